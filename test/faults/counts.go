package faults

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/tally"
)

// accept is an SMS that the provider has accepted.
type accept struct {
	// requestID is the provider's id of the request.
	requestID string
	// worker has made the request, at signed, in whole seconds; the provider has read it at at.
	worker     int
	signed, at time.Time
}

// ending is how a life of a worker has ended.
type ending string

// The endings.
const (
	killed  ending = "killed"
	stopped ending = "stopped"
	// lastly is a clean stop too, after a reading of its metrics at which nothing was in flight.
	lastly ending = "stopped, idle"
)

// life is a worker's process from its start to its end, and what it said about itself.
//
// A life that has stopped cleanly has exported every span, unless it says otherwise: its traces
// are exact. Its metrics are exact if nothing happened after the last reading.
//
// Otherwise the numbers are bounds. Both sides have what they say from the worker itself, after
// the provider's answer, so neither ever has more than the provider. What they may lack is known
// too. A slot makes one request at a time. So of the requests that the provider had read before a
// reading of the metrics, at most one for each slot is not counted. Spans are exported in the order
// of their ends, so the same holds for the end of the last span that came. These bounds hold on a
// machine of any speed.
type life struct {
	worker, number int
	slots          int
	// from is its start. A worker starts again a second after its end or later, so that the time
	// of a request tells the lives apart.
	from time.Time
	end  ending
	// spansLost says that its log or its metrics say that spans are missing.
	spansLost bool

	// metrics are those of the last reading, which began at readAt.
	metrics tally.Tally
	readAt  time.Time

	traces tally.Tally
	// spans are the ids of all spans; an exporter may send a span twice.
	spans map[string]bool
	// lastEnd is the latest end of a span.
	lastEnd time.Time
	// accepted has the request's id of each attempt with class ok.
	accepted map[string]bool
	// reasons counts, by the id of a delivery's span, the attempts with class ok and the questions
	// with class found, and sent has the deliveries that say that the message was sent.
	reasons map[string]int
	sent    []string
	// found counts those questions: the sent messages of which another life had the answer, or
	// nobody.
	found int

	// provider are the requests of this life that the provider has accepted.
	provider []accept
}

// attempted is the key of the attempts in these plans, which have one connector for SMS.
func attempted(class string) string { return tally.Attempt(connector("sms", defaultApp), class) }

func newLife(worker, number, slots int, from time.Time) *life {
	return &life{
		worker: worker, number: number, slots: slots, from: from, metrics: make(tally.Tally), traces: make(tally.Tally),
		spans: make(map[string]bool), accepted: make(map[string]bool), reasons: make(map[string]int),
	}
}

// add adds a span.
func (l *life) add(s otlptest.Span) {
	if l.spans[s.ID] {
		return
	}
	l.spans[s.ID] = true
	l.traces.AddSpan(s)
	if s.End.After(l.lastEnd) {
		l.lastEnd = s.End
	}
	kind, _, _ := strings.Cut(s.Name, " ")
	class := s.Attributes["codeferry.class"]
	switch {
	case kind == "send" && class == "ok":
		l.accepted[s.Attributes["codeferry.request_id"]] = true
		l.reasons[s.Parent]++
	case kind == "ask" && class == "found":
		l.found++
		l.reasons[s.Parent]++
	case kind == "process" && s.Attributes["codeferry.decision"] == "sent":
		l.sent = append(l.sent, s.ID)
	}
}

// exact reports whether the traces have everything.
func (l *life) exact() bool { return l.end != killed && !l.spansLost }

// after counts the requests that the provider has read after a time.
func (l *life) after(t time.Time) (n int) {
	for _, a := range l.provider {
		if a.at.After(t) {
			n++
		}
	}
	return n
}

// metricsMayLack is how many accepted requests the last reading may lack, of those that were
// answered.
func (l *life) metricsMayLack() int {
	if l.end == lastly {
		return 0
	}
	return l.after(l.readAt) + l.slots
}

// tracesMayLack is the same for the spans. A life that says that it has lost spans may lack any.
func (l *life) tracesMayLack() int {
	switch {
	case l.spansLost:
		return len(l.provider)
	case l.end == killed:
		return l.after(l.lastEnd) + l.slots
	}
	return 0
}

// String names the life.
func (l *life) String() string { return fmt.Sprintf("worker %d, life %d", l.worker, l.number) }

// contradictions says where the provider, the metrics and the traces contradict each other.
func (l *life) contradictions() (all []string) {
	say := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("%v (%s): ", l, l.end)+fmt.Sprintf(format, args...))
	}
	provider, counted, lost := len(l.provider), l.metrics[attempted("ok")], attempted("unknown")
	if counted > provider {
		say("the metrics have %d attempts with class ok, and the provider has accepted %d", counted, provider)
	}
	// An accepted request whose answer was lost has the class unknown.
	if least := provider - l.metricsMayLack() - l.metrics[lost]; counted < least {
		say("the metrics have %d attempts with class ok, want %d at least", counted, least)
	}
	known, missing := 0, 0
	for _, a := range l.provider {
		if l.accepted[a.requestID] {
			known++
		} else {
			missing++
		}
	}
	if n := l.traces[attempted("ok")]; n != known {
		say("%d spans say that the provider has accepted a request, and it knows %d of them", n, known)
	}
	if most := l.tracesMayLack() + l.traces[lost]; missing > most {
		say("%d accepted requests have no span, want %d at most", missing, most)
	}
	for _, id := range l.sent {
		if l.reasons[id] != 1 && !l.spansLost { // the span of the reason ended before, so it was exported before
			say("the delivery with span %s was sent, and %d spans say why, want 1", id, l.reasons[id])
		}
	}
	if !l.exact() {
		return all
	}
	if n := len(l.reasons); n != len(l.sent) {
		say("%d deliveries have a span that says that the message was sent, and %d say so themselves", n, len(l.sent))
	}
	if l.end == lastly {
		for _, difference := range tally.Differences(l.metrics, l.traces) {
			say("%s", difference)
		}
		return all
	}
	for k, n := range l.metrics {
		if n > l.traces[k] {
			say("%s: %d in the metrics, and only %d in the traces", k, n, l.traces[k])
		}
	}
	return all
}

// compare gives each accepted request to its life, and compares what the provider, the metrics
// and the traces say. The lives are in the order of their starts.
func compare(lives []*life, accepts []accept) (contradictions []string) {
	for _, a := range accepts {
		var of *life
		for _, l := range lives {
			if l.worker == a.worker && !l.from.Truncate(time.Second).After(a.signed) {
				of = l
			}
		}
		if of == nil {
			contradictions = append(contradictions, fmt.Sprintf("worker %d has made request %s before it began", a.worker, a.requestID))
			continue
		}
		of.provider = append(of.provider, a)
	}
	for _, l := range lives {
		contradictions = append(contradictions, l.contradictions()...)
	}
	return contradictions
}

// table shows the accepted requests as all three count them, and what the last reading and the
// spans may lack. Call it after compare.
func table(lives []*life) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) { _, _ = fmt.Fprintf(w, strings.Repeat("%v\t", len(cells))+"\n", cells...) } // to memory
	row("", "ended", "accepted by the provider", "in the metrics", "may lack", "in the traces", "may lack", "answers lost", "found by asking")
	var provider, metrics, traces, lost, found int
	for _, l := range lives {
		in, out, unknown := l.metrics[attempted("ok")], l.traces[attempted("ok")], l.traces[attempted("unknown")]
		row(l, l.end, len(l.provider), in, l.metricsMayLack(), out, l.tracesMayLack(), unknown, l.found)
		provider, metrics, traces, lost, found = provider+len(l.provider), metrics+in, traces+out, lost+unknown, found+l.found
	}
	row("all", "", provider, metrics, "", traces, "", lost, found)
	_ = w.Flush() // to memory
	return b.String()
}
