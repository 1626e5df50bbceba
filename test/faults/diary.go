package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// diary records the faults and their times, so that a report of a broken promise can say what
// went on.
type diary struct {
	mu     sync.Mutex
	events []*event
}

// event is a fault that was carried out.
type event struct {
	kind     Kind
	what     string
	from, to time.Time
}

// begin records a fault that began at a time; the returned function records its end.
func (d *diary) begin(from time.Time, kind Kind, format string, args ...any) (end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &event{kind: kind, what: fmt.Sprintf(format, args...), from: from}
	d.events = append(d.events, e)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		e.to = time.Now()
	}
}

// of returns the faults of a kind, in order.
func (d *diary) of(kind Kind) (list []event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.kind == kind {
			list = append(list, *e)
		}
	}
	return list
}

// during lists the faults in a span of time, with times since began.
func (d *diary) during(began, from, to time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.events {
		if e.from.After(to) || !e.to.IsZero() && e.to.Before(from) {
			continue
		}
		end := "the end"
		if !e.to.IsZero() {
			end = since(began, e.to)
		}
		lines = append(lines, fmt.Sprintf("%s %s to %s", e.what, since(began, e.from), end))
	}
	if len(lines) == 0 {
		return "nothing else"
	}
	return strings.Join(lines, ", ")
}

// count says how many faults there were of each kind.
func (d *diary) count() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := make(map[Kind]int)
	for _, e := range d.events {
		counts[e.kind]++
	}
	lines := make([]string, 0, len(counts))
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(lines, ", ")
}

// since formats a time as seconds since began.
func since(began, t time.Time) string { return fmt.Sprintf("+%.3fs", t.Sub(began).Seconds()) }
