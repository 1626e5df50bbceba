package faults

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
)

// lossLine is the worker's log line about an outcome of which it does not know that it was
// stored.
const lossLine = "the outcome may be lost: it is not known that it was stored"

// losses notes of which messages a worker's log says that an outcome may be lost.
type losses struct {
	mu  sync.Mutex
	ids map[string]bool
}

// add notes a line of the log.
func (l *losses) add(line []byte) {
	if !bytes.Contains(line, []byte(lossLine)) {
		return
	}
	var said struct{ ID string }
	if json.Unmarshal(line, &said) != nil {
		return // a killed worker has not ended it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil {
		l.ids = make(map[string]bool)
	}
	l.ids[said.ID] = true
}

// said reports whether the log says it of a message.
func (l *losses) said(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids[id]
}

// lineWriter passes on the output of one process in whole lines, and calls seen with each.
type lineWriter struct {
	to   io.Writer
	seen func(line []byte)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	end := bytes.LastIndexByte(w.rest, '\n') + 1
	lines := w.rest[:end]
	if _, err := w.to.Write(lines); err != nil {
		return 0, err
	}
	for line := range bytes.Lines(lines) {
		w.seen(line)
	}
	w.rest = append([]byte(nil), w.rest[end:]...)
	return len(p), nil
}
