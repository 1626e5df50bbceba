package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// writes is a writer that counts its writes and signals each.
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

func TestLogBatch(t *testing.T) {
	to := &writes{hit: make(chan struct{}, 1)}
	batch := newLogBatch(to, time.Now)
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
		t.Errorf("%d lines in %d writes, want 1 line or more in at most 10 writes", lines, n)
	}
	log.Info().Msg("before")
	log.Warn().Msg("now")
	if lines, _ := to.lines(); lines != 12 {
		t.Errorf("%d lines are written after a warning, want 12", lines)
	}
	long := strings.Repeat("x", maxBatch)
	log.Info().Msg(long)
	if lines, _ := to.lines(); lines != 13 {
		t.Errorf("%d lines are written after a full batch, want 13", lines)
	}
	log.Info().Msg("last")
	if err := batch.Flush(); err != nil {
		t.Fatal(err)
	}
	if lines, _ := to.lines(); lines != 14 {
		t.Errorf("%d lines are written after Flush, want 14", lines)
	}
}

// TestLogBatchLine: a line is JSON, and begins with the time in milliseconds.
func TestLogBatchLine(t *testing.T) {
	t.Parallel()
	to := new(bytes.Buffer)
	now := time.Date(2026, 11, 30, 12, 0, 0, 12_345_678, time.FixedZone("", 8*3600))
	batch := newLogBatch(to, func() time.Time { return now })
	log := zerolog.New(batch)
	log.Warn().Str("id", "1").Msg("x")
	if err := batch.Flush(); err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2026-11-30T04:00:00.012Z","level":"warn","id":"1","message":"x"}` + "\n"
	if got := to.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
