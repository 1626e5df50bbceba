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

// progress draws a progress bar on a terminal, and nothing elsewhere. It is safe for
// concurrent use.
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

// redraw is the shortest time between two drawings of the bar.
const redraw = 100 * time.Millisecond

// at draws the bar: n of total are done.
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

// aside has the line free for what f prints; the bar is drawn again after it.
func (p *progress) aside(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = time.Time{}
	}
	f()
}

// end finishes the bar's line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprintln(p.out)
	}
}
