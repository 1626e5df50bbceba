package faults

import (
	"strings"
	"testing"
	"time"
)

// TestKept: the report has each good code that certainly waited because of somebody else's
// trouble, and no other code.
func TestKept(t *testing.T) {
	last := func(sequence uint64) func(*published) { return inStream(1, sequence) }
	slow := &event{kind: SlowApp, what: "app slow slow", from: testBegan, to: at(60)}
	badRecipients := &event{kind: BadRecipients, from: testBegan, to: at(60)}
	// late makes a code wait 2 seconds, less than a slow request takes.
	late := func(h *happened, add func(*published) *published) {
		h.accepts(add(sms(1, last(1))), 0, 3)
	}
	// passes makes n codes of app second overtake.
	passes := func(h *happened, add func(*published) *published, n int, change ...func(*published)) {
		for i := range n {
			at := 2 + 0.2*float64(i)
			change := append([]func(*published){last(uint64(10 + i)), forApp(secondApp)}, change...)
			m := add(sms(100+i, change...))
			m.begun, m.ended = testBegan.Add(time.Duration(at*float64(time.Second))), testBegan.Add(time.Duration(at*float64(time.Second)))
			h.accepts(m, 0, at+0.01)
		}
	}
	for name, tt := range map[string]struct {
		happens func(h *happened, add func(*published) *published)
		want    int
		skew    time.Duration
	}{
		"as long as a slow request": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow}
			h.accepts(add(sms(1, last(1))), 0, 1.5)
			h.accepts(add(sms(2, last(2))), 0, 6)
		}, want: 1},
		"app slow's own": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow}
			h.accepts(add(sms(1, last(1), forApp(slowApp))), 0, 7)
		}},
		"before the trouble": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{{kind: SlowApp, from: at(2), to: at(30)}}
			h.accepts(add(sms(1, last(1))), 0, 9)
		}},
		"after the trouble": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{{kind: SlowApp, from: testBegan, to: at(0.5)}}
			h.accepts(add(sms(1, last(1))), 0, 9)
		}},
		"a worker was killed before": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow, {kind: WorkerKill, from: at(17), to: at(18)}}
			h.accepts(add(sms(22, last(22))), 0, 27)
		}},
		"a worker was killed long before": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow, {kind: WorkerKill, from: at(7), to: at(8)}}
			h.accepts(add(sms(22, last(22))), 0, 27)
		}, want: 1},
		"a worker was killed meanwhile": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow, {kind: WorkerKill, from: at(25), to: at(26)}}
			h.accepts(add(sms(22, last(22))), 0, 27)
		}},
		"requests of all sorts went wrong, and still do": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow, {kind: ProviderFault, from: at(1)}}
			h.accepts(add(sms(22, last(22))), 0, 27)
		}},
		"the machine stood still": {happens: func(h *happened, add func(*published) *published) {
			h.faults, h.stalls = []*event{slow}, []span{{at(0), at(2.5)}}
			h.accepts(add(sms(1, last(1))), 0, 4.5)
		}},
		"it has expired": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow}
			h.dies(add(sms(1, last(1), expires(5))))
		}, want: 1},
		"it has expired by a clock that is ahead": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow}
			h.dies(add(sms(1, last(1), expires(5))))
		}, skew: time.Minute},
		"it has expired soon": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{slow}
			h.dies(add(sms(1, last(1), expires(1.5))))
		}},
		"overtaken": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{badRecipients}
			late(h, add)
			passes(h, add, 3)
		}, want: 1},
		"overtaken by two": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{badRecipients}
			late(h, add)
			passes(h, add, 2)
		}},
		"overtaken by what its connector sends": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{badRecipients}
			late(h, add)
			passes(h, add, 3, forApp(defaultApp))
		}},
		"overtaken by mails": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{badRecipients}
			late(h, add)
			passes(h, add, 3, byMail)
		}},
		"overtaken, and the recipient is bad itself": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{badRecipients}
			h.accepts(add(sms(1, last(1), func(m *published) { m.bad = true })), 0, 3)
			passes(h, add, 3)
		}},
		"a node stopped, and codes came again": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{{kind: NodeStop, from: testBegan, to: at(60)}}
			h.accepts(add(sms(1, last(1))), 0, 30)
		}},
		"a node stopped, and a worker was cut off": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{{kind: NodeStop, from: testBegan, to: at(60)}, {kind: WorkerCut, from: at(20), to: at(23)}}
			h.accepts(add(sms(1, last(1))), 0, 60)
		}},
		"a node stopped, and none came": {happens: func(h *happened, add func(*published) *published) {
			h.faults = []*event{{kind: NodeStop, from: testBegan, to: at(60)}}
			h.accepts(add(sms(1, last(1))), 0, 60)
		}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var h happened
			tt.happens(&h, func(m *published) *published {
				h.published = append(h.published, m)
				return m
			})
			if r, _ := h.judged(tt.skew); len(r.Kept) != tt.want {
				t.Errorf("%d codes waited, want %d: %q", len(r.Kept), tt.want, r.Kept)
			}
		})
	}
}

// TestWaits: the report has the times of codes without faults and during each kind of fault,
// and compares them.
func TestWaits(t *testing.T) {
	h := happened{faults: []*event{
		{kind: BadRecipients, from: at(10), to: at(20)},
		{kind: BadRecipients, from: at(30), to: at(40)},
		{kind: EmptyAccount, from: at(30), to: at(40)},
	}}
	add := func(m *published, took float64) {
		h.published = append(h.published, m)
		h.accepts(m, 0, m.ended.Sub(testBegan).Seconds()+took)
	}
	for i := range 9 { // in the quiet time, whose first two seconds do not count
		add(sms(i, inStream(1, uint64(i+1))), 0.1)
	}
	add(sms(15, inStream(1, 15)), 0.2)
	add(sms(16, inStream(1, 16), func(m *published) { m.bad = true }), 9)
	add(sms(25, inStream(1, 25)), 0.3)
	add(sms(35, inStream(1, 35)), 0.4)
	add(sms(36, inStream(1, 36), forApp(secondApp)), 9)
	r, _ := h.judged()
	var got []string
	for _, w := range r.Waits {
		got = append(got, strings.Join(strings.Fields(w.String()), " "))
	}
	want := []string{
		"nothing p50 100ms, p99 100ms, longest 100ms of 7 codes",
		"bad recipients p50 400ms, p99 400ms (4.0 x), longest 400ms of 2 codes",
		"empty accounts p50 400ms, p99 400ms (4.0 x), longest 400ms of 1 codes",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := r.String(); !strings.Contains(text, "(4.0 x)") {
		t.Errorf("the report does not have it:\n%s", text)
	}
}

func TestStalls(t *testing.T) {
	s := stalls{spans: []span{{at(1), at(2)}, {at(5), at(6)}}}
	for _, tt := range []struct{ from, to, want float64 }{
		{0, 1, 0}, {0, 1.5, 0.5}, {1.2, 1.5, 0.3}, {1.5, 3, 0.5}, {0, 10, 2}, {3, 4, 0},
	} {
		if got := s.within(at(tt.from), at(tt.to)); got.Round(time.Millisecond) != time.Duration(tt.want*float64(time.Second)) {
			t.Errorf("from %vs to %vs the machine stood still for %v, want %vs", tt.from, tt.to, got, tt.want)
		}
	}
}
