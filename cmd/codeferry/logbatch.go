package main

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// logBatch writes many lines of a log at once: at full speed a system call a line
// costs as much as a request to the provider. A warning or worse is written at once,
// with what came before it; anything else within logDelay. What a killed process
// has not written is lost: the outcomes tell what became of messages, the log does not.
type logBatch struct {
	to io.Writer

	mu  sync.Mutex
	buf []byte
	// due is set while a flush is.
	due *time.Timer
}

const (
	logDelay = 20 * time.Millisecond
	// maxBatch is how many bytes are kept back at most.
	maxBatch = 32 << 10
)

func newLogBatch(to io.Writer) *logBatch { return &logBatch{to: to} }

// Write keeps a line for a moment.
func (b *logBatch) Write(line []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel keeps a line for a moment, or writes it at once where a person may wait
// for it.
func (b *logBatch) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(b.buf, line...)
	if level >= zerolog.WarnLevel && level != zerolog.NoLevel || len(b.buf) >= maxBatch {
		return len(line), b.flush()
	}
	if b.due == nil {
		b.due = time.AfterFunc(logDelay, func() { _ = b.Flush() }) // nobody could be told
	}
	return len(line), nil
}

// Flush writes what is kept.
func (b *logBatch) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

func (b *logBatch) flush() error {
	if b.due != nil {
		b.due.Stop()
		b.due = nil
	}
	if len(b.buf) == 0 {
		return nil
	}
	_, err := b.to.Write(b.buf)
	b.buf = b.buf[:0]
	return err
}
