package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/tally"
	"github.com/codeferry/codeferry/messages"
)

// TestCountsOfWorkersThatEnd kills one of two workers and restarts the other one, while codes
// come in: the provider, the metrics and the traces say the same. It is a small TestFleet.
func TestCountsOfWorkersThatEnd(t *testing.T) {
	t.Parallel()
	const n, rate = 600, 150
	r, lives := watched(t, Plan{Broker: R1, Workers: 2})
	flowing := make(chan struct{})
	go func() {
		defer close(flowing)
		r.flow(t.Context(), t, messages.SMS, n, rate)
	}()
	for i, end := range []func(*process){func(p *process) { p.kill() }, func(p *process) { p.stop(time.Minute) }} {
		check.Eventually(t, "the next part is sent", func() bool { return r.provider.box.Requests()["SendSms"] > (i+1)*n/4 })
		end(r.workers[i])
		pause(t.Context(), time.Second) // life.from says why
		if err := r.workers[i].start(); err != nil {
			t.Fatal(err)
		}
	}
	<-flowing
	r.drained(t, time.Minute)
	lives.finish(r)
	t.Logf("\n%s", lives.compare(r))
	check.Equal(t, "accepted", len(r.provider.inbox()), n)
}

// told is a life of three seconds in which each second brings a request that is accepted, and all
// three count each of them.
func told(end ending) *life {
	l := newLife(0, 1, 1, at(0))
	l.end = end
	for n := 1; n <= 3; n++ {
		tell(l, n)
	}
	l.readAt = at(3.5)
	l.metrics = metricsOf(l)
	return l
}

// metricsOf are the metrics of a life that count what its traces have.
func metricsOf(l *life) tally.Tally {
	m := make(tally.Tally)
	m.Add(l.traces)
	return m
}

func spanOf(kind, id, parent string, seconds float64, attributes map[string]string) otlptest.Span {
	return otlptest.Span{Name: kind + " x", ID: id, Parent: parent, End: at(seconds), Attributes: attributes}
}

// tell adds the spans of the nth message.
func tell(l *life, n int) {
	id, name := fmt.Sprint(n), connector("sms", defaultApp)
	l.add(spanOf("send", "send-"+id, "process-"+id, float64(n)+0.1, map[string]string{"codeferry.class": "ok", "codeferry.connector": name, "codeferry.request_id": "r" + id}))
	l.add(spanOf("process", "process-"+id, "", float64(n)+0.2, map[string]string{
		"codeferry.decision": "sent", "codeferry.outcome": "sent", "codeferry.connector": name, "codeferry.channel": "sms",
	}))
}

// TestCompare: numbers that agree, those that may lack something, and those that contradict.
func TestCompare(t *testing.T) {
	t.Parallel()
	accepts := func(n int) (all []accept) {
		for i := range n {
			all = append(all, accept{requestID: fmt.Sprint("r", i+1), signed: at(float64(i + 1)), at: at(float64(i) + 1.05)})
		}
		return all
	}
	less := func(l *life, k string) { l.metrics[k]-- }
	outcome := tally.Outcome("sms", "sent", "", connector("sms", defaultApp))
	for name, c := range map[string]struct {
		end    ending
		sent   int // accepted by the provider
		change func(*life)
		want   int // contradictions
	}{
		"all agree":                                   {lastly, 3, func(*life) {}, 0},
		"all agree before a kill":                     {killed, 3, func(*life) {}, 0},
		"a span twice":                                {lastly, 3, func(l *life) { tell(l, 3) }, 0},
		"a request without a counter":                 {lastly, 3, func(l *life) { less(l, attempted("ok")) }, 2},
		"an outcome without a counter":                {lastly, 3, func(l *life) { less(l, outcome) }, 1},
		"an outcome counted twice":                    {lastly, 3, func(l *life) { l.metrics[outcome]++ }, 1},
		"more counted than accepted, after a kill":    {killed, 3, func(l *life) { l.metrics[attempted("ok")]++ }, 1},
		"a span of a request that nobody accepted":    {killed, 2, func(l *life) { less(l, attempted("ok")) }, 1},
		"stopped after the last reading":              {stopped, 3, func(l *life) { l.readAt = at(2); less(l, attempted("ok")) }, 0},
		"stopped, one was in flight at the reading":   {stopped, 3, func(l *life) { less(l, attempted("ok")) }, 0},
		"stopped, two were not counted":               {stopped, 3, func(l *life) { less(l, attempted("ok")); less(l, attempted("ok")) }, 1},
		"stopped, and a span is missing":              {stopped, 4, func(*life) {}, 1},
		"stopped, and counted what no span has":       {stopped, 3, func(l *life) { l.metrics[outcome]++ }, 1},
		"stopped, and the log tells of missing spans": {stopped, 4, func(l *life) { l.spansLost = true }, 0},
		"idle, and the log tells of missing spans":    {lastly, 4, func(l *life) { l.spansLost = true; l.metrics[attempted("ok")]++ }, 0},
		"killed with one in flight":                   {killed, 4, func(l *life) { l.readAt = at(3.9) }, 0},
		"killed, and the last ones are missing":       {killed, 9, func(l *life) { l.readAt = at(3.9) }, 0},
		"killed, and one in the middle is missing":    {killed, 5, func(l *life) { l.readAt = at(4.9); tell(l, 5); l.metrics = metricsOf(l) }, 0},
		"killed, and two in the middle are missing":   {killed, 6, func(l *life) { tell(l, 6); l.metrics = metricsOf(l) }, 1},
		"killed, and read long after two requests":    {killed, 5, func(l *life) { l.readAt = at(9); l.lastEnd = at(3) }, 1},
		"sent, and no span says why":                  {killed, 3, func(l *life) { l.reasons = map[string]int{"process-1": 1, "process-2": 1} }, 1},
		"sent, and two spans say why":                 {killed, 3, func(l *life) { l.reasons["process-1"]++ }, 1},
		"accepted, and the delivery says nothing":     {stopped, 3, func(l *life) { l.sent = l.sent[:2] }, 1},
		"an answer was lost": {lastly, 4, func(l *life) {
			l.add(spanOf("send", "send-4", "process-4", 4.1, map[string]string{"codeferry.class": "unknown", "codeferry.connector": connector("sms", defaultApp)}))
			l.metrics = metricsOf(l)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := told(c.end)
			c.change(l)
			got := compare([]*life{l}, accepts(c.sent))
			check.True(t, fmt.Sprintf("there are %d contradictions", c.want), len(got) == c.want, got)
		})
	}
}

// TestCompareLives: a request belongs to the life that has made it, whenever the provider has read
// it.
func TestCompareLives(t *testing.T) {
	t.Parallel()
	first, second, other := newLife(0, 1, 1, at(0)), newLife(0, 2, 1, at(5.5)), newLife(1, 1, 1, at(2))
	compare([]*life{first, other, second}, []accept{
		{requestID: "before the kill, read late", signed: at(4), at: at(7)},
		{requestID: "in the second of the second start", signed: at(5), at: at(5.6)},
		{requestID: "of the other worker", worker: 1, signed: at(6), at: at(6)},
	})
	for _, l := range []*life{first, second, other} {
		check.Equal(t, fmt.Sprint("requests of ", l), len(l.provider), 1)
	}
	check.Equal(t, "contradictions about a request before all lives", len(compare(nil, []accept{{}})), 1)
}
