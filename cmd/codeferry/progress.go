package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
)

// progress is a bar on a terminal, and nothing elsewhere. Its methods may be
// called by many goroutines.
type progress struct {
	out   io.Writer
	began time.Time

	mu    sync.Mutex
	drawn time.Time
}

// newProgress returns a bar on standard error.
func newProgress(s streams) *progress {
	p := &progress{began: time.Now()}
	if f, ok := s.err.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.out = f
	}
	return p
}

// redraw is how often the bar is drawn at most.
const redraw = 100 * time.Millisecond

// at tells how many of how many are done.
func (p *progress) at(n, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil || time.Since(p.drawn) < redraw && n < total {
		return
	}
	p.drawn = time.Now()
	const width = 30
	full := width
	if total > 0 {
		full = min(width, width*n/total)
	}
	rate := float64(n) / max(time.Since(p.began).Seconds(), 0.001)
	_, _ = fmt.Fprintf(p.out, "\r%s%s %d of %d, %.0f/s ", strings.Repeat("█", full), strings.Repeat("░", width-full), n, total, rate)
}

// end leaves the line to what follows.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprintln(p.out)
	}
}
