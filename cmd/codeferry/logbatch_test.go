package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// writes tells of each write.
type writes struct {
	mu  sync.Mutex
	b   bytes.Buffer
	n   int
	hit chan struct{}
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	select {
	case w.hit <- struct{}{}:
	default:
	}
	return w.b.Write(p)
}

func (w *writes) lines() (lines, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.b.String(), "\n"), w.n
}

func TestTheLogIsWrittenInBatches(t *testing.T) {
	to := &writes{hit: make(chan struct{}, 1)}
	batch := newLogBatch(to)
	log := zerolog.New(batch)
	for range 10 {
		log.Info().Msg("x")
	}
	select {
	case <-to.hit:
	case <-time.After(patience):
		t.Fatal("nothing was written")
	}
	if lines, n := to.lines(); lines < 1 || n > 10 {
		t.Errorf("%d lines in %d writes", lines, n)
	}
	log.Info().Msg("before")
	log.Warn().Msg("now")
	if lines, _ := to.lines(); lines != 12 {
		t.Errorf("%d of 12 lines were written when a warning came", lines)
	}
	long := strings.Repeat("x", maxBatch)
	log.Info().Msg(long)
	if lines, _ := to.lines(); lines != 13 {
		t.Errorf("%d of 13 lines were written when there was much to write", lines)
	}
	log.Info().Msg("last")
	if err := batch.Flush(); err != nil {
		t.Fatal(err)
	}
	if lines, _ := to.lines(); lines != 14 {
		t.Errorf("%d of 14 lines were written at the end", lines)
	}
}
