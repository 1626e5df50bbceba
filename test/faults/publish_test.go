package faults

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// TestAuthor: the provider can distinguish all messages, and ids are shared in every way.
func TestAuthor(t *testing.T) {
	p := Short(R1, 1)
	a := newAuthor(p)
	const n = 2000
	seen := make(map[trace]bool)
	firsts := make(map[string]*published)
	var borrowed, otherApp, otherChannel, sameUser int
	for i := range n {
		m := a.write(i)
		if seen[m.trace()] {
			t.Errorf("two messages are %v", m.trace())
		}
		seen[m.trace()] = true
		if err := m.Validate(m.subject.Channel); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
		if err := m.subject.Validate(); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
		first := firsts[m.ID]
		if m.borrowed != (first != nil) {
			t.Errorf("message %d: borrowed is %v, and the first of its id is %v", i, m.borrowed, first)
		}
		if first == nil {
			firsts[m.ID] = m
			continue
		}
		borrowed++
		switch {
		case m.subject == first.subject:
			sameUser++
			if m.To != first.To {
				t.Errorf("message %d: the same user has another address", i)
			}
		case m.subject.App != first.subject.App:
			otherApp++
		case m.subject.Channel != first.subject.Channel:
			otherChannel++
		}
	}
	if share := float64(borrowed) / n; share < p.SharedIDs/2 || share > 2*p.SharedIDs || otherApp == 0 || otherChannel == 0 || sameUser == 0 {
		t.Errorf("%.0f%% have an earlier one's id: %d of another app, %d of the other channel, %d of the same user", 100*share, otherApp, otherChannel, sameUser)
	}
}

// TestAuthorsTroubles: while there are bad recipients, a share of the codes is for them, in
// every channel and app. Each other trouble has its own messages, and most messages are in
// none.
func TestAuthorsTroubles(t *testing.T) {
	p := ShortNeighbors(R1, 3)
	moments := awhile(BadRecipients)(p)
	a := newAuthor(p)
	count := make(map[string]int)
	for n := range p.Messages {
		m := a.write(n)
		at := time.Duration(n) * time.Second / time.Duration(p.Rate)
		if err := m.Validate(m.subject.Channel); err != nil {
			t.Errorf("message %d: %v", n, err)
		}
		if m.Type != m.subject.Type {
			t.Errorf("message %d: type %s on %s", n, m.Type, m.subject)
		}
		refused := refusesRecipient(request{sms: m.subject.Channel == messages.SMS, sends: true, trace: m.trace()}) != nil
		if m.bad != refused {
			t.Errorf("message %d to %s: bad is %v, and refused %v", n, m.To, m.bad, refused)
		}
		if m.bad {
			count["bad by "+string(m.subject.Channel)]++
			if !slices.ContainsFunc(moments, func(b moment) bool { return b.holds(at) }) || m.ExpiresAt.IsZero() {
				t.Errorf("message %d: a bad recipient at %v of %v, for ever", n, at, moments)
			}
		}
		in := 0
		for _, f := range neighborFaults {
			if f.troubles != nil && f.troubles(m) {
				count[string(f.kind)]++
				in++
			}
		}
		if in == 0 {
			count["in none"]++
		}
		if strings.Contains(m.To, greyDomain) && m.subject.App != postApp {
			t.Errorf("message %d: app %s writes to %s, and no server of its greylists", n, m.subject.App, m.To)
		}
	}
	for _, what := range []string{
		"bad by sms", "bad by email", string(BadRecipients), string(Greylisting), string(WrongTemplate), string(EmptyAccount), string(SlowApp), "in none",
	} {
		if count[what] < 15 {
			t.Errorf("%d messages %s", count[what], what)
		}
	}
}
