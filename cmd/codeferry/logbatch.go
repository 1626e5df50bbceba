package main

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// logBatch writes many lines of a log at once: at full speed one system call for each
// line costs as much as a request to the provider. It writes a warning or worse at
// once, with the lines before it, and every other line within logDelay. A killed
// process loses the lines that it has not written; the outcomes are the record of what
// became of messages.
//
// Each line begins with the time, so that a person can read it. zerolog itself puts its
// time behind the fields, and cuts it to seconds.
type logBatch struct {
	to  io.Writer
	now func() time.Time
	// journal is true if each line begins with its priority, for systemd's journal.
	journal bool

	mu  sync.Mutex
	buf []byte
	// due is the timer of the next flush, nil if none is planned.
	due *time.Timer
}

const (
	logDelay = 20 * time.Millisecond
	// maxBatch is the most bytes that wait for a flush.
	maxBatch = 32 << 10
)

func newLogBatch(to io.Writer, now func() time.Time) *logBatch { return &logBatch{to: to, now: now} }

// Write buffers a line.
func (b *logBatch) Write(line []byte) (int, error) { return b.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel buffers a line. It writes a warning or worse at once.
func (b *logBatch) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.journal {
		b.buf = append(b.buf, journalPriority(level)...)
	}
	b.buf = b.now().UTC().AppendFormat(append(b.buf, `{"time":"`...), `2006-01-02T15:04:05.000Z07:00",`)
	b.buf = append(b.buf, line[1:]...) // without its {
	if level >= zerolog.WarnLevel && level != zerolog.NoLevel || len(b.buf) >= maxBatch {
		return len(line), b.flush()
	}
	if b.due == nil {
		b.due = time.AfterFunc(logDelay, func() { _ = b.Flush() }) // there is nowhere to report an error
	}
	return len(line), nil
}

// Flush writes the buffered lines.
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
