package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// told calls f when something is written to it.
type told struct{ f func() }

func (w told) Write(b []byte) (int, error) {
	w.f()
	return len(b), nil
}

// TestCtrlCAtAQuestion: the first Ctrl-C ends a command that waits for an answer. It writes
// nothing, although an answer would come later.
func TestCtrlCAtAQuestion(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	dir := filepath.Join(t.TempDir(), "new")
	var errs bytes.Buffer
	status := execute(ctx, []string{"init", "--dir", dir}, streams{
		in: in, out: told{interrupt}, err: &errs, asks: true,
		quit: func() { _ = in.CloseWithError(io.ErrClosedPipe) },
	})
	if status != exitFailed {
		t.Errorf("exit status %d, want %d", status, exitFailed)
	}
	check.Equal(t, "errors", errs.String(), "codeferry: interrupted; nothing was written\n")
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}

// TestCtrlCBeforeInitWrites: nor does it write if the answers were there already.
func TestCtrlCBeforeInitWrites(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	dir := filepath.Join(t.TempDir(), "new")
	var out, errs bytes.Buffer
	status := execute(ctx, []string{"init", "--email", "smtp", "--dir", dir}, streams{out: &out, err: &errs, quit: func() {}})
	if status != exitFailed {
		t.Errorf("exit status %d, want %d: %s", status, exitFailed, out.String())
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was made", dir)
	}
}
