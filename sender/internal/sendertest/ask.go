package sendertest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// checks checks that a check succeeds with the fake and sends nothing, and fails if nobody
// listens.
func (p *Provider) checks(t *testing.T) {
	f := p.Fake(t)
	c, ok := p.New(t, f.Endpoint, patience).(sender.Checker)
	if !ok {
		t.Skip("the connector is not a sender.Checker")
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if all := f.Accepted(); len(all) != 0 {
		t.Errorf("a check has sent %d messages", len(all))
	}
	c, _ = p.New(t, p.Failures[NobodyListens].Serve(t).Endpoint, patience).(sender.Checker)
	_ = p.refused(t, sender.Receipt{}, c.Check(t.Context()), sender.Unavailable)
	for name, form := range forms {
		t.Run("the request "+name, func(t *testing.T) {
			t.Parallel()
			c, _ := p.New(t, p.Repeats(t, form).Endpoint, patience).(sender.Checker)
			if err := c.Check(t.Context()); err != nil {
				Hides(t, err, p.private()...)
			}
		})
	}
}

// asks checks that a message that was accepted is found, that another one is not, and that
// nothing is known if nobody answers.
func (p *Provider) asks(t *testing.T) {
	f := p.Fake(t)
	s := p.New(t, f.Endpoint, patience)
	a, ok := s.(sender.Asker)
	if !ok {
		t.Skip("the connector is not a sender.Asker")
	}
	since := time.Now().Add(-time.Minute)
	m := p.render(t, s)
	sent, err := s.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := a.Ask(t.Context(), m, since); err != nil || !found {
		t.Errorf("asked about a message that was accepted as %s: found %t, error %v", sent.ProviderID, found, err)
	}
	other := *m
	other.ID += "-other"
	if r, found, err := a.Ask(t.Context(), &other, since); err != nil || found {
		t.Errorf("asked about a message that was never sent: found %t as %q, error %v", found, r.ProviderID, err)
	}
	a, _ = p.New(t, p.Failures[CutAfter].Serve(t).Endpoint, patience).(sender.Asker)
	r, found, err := a.Ask(t.Context(), m, since)
	if found {
		t.Error("it was found by nobody's answer")
	}
	_ = p.refused(t, r, err, sender.Unknown)
	for _, name := range slices.Sorted(maps.Keys(p.Failures)) {
		if f := p.Failures[name]; !f.Warm { // what is kept is the same for both
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p.asksInVain(t, f)
			})
		}
	}
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		p.cancelsAsk(t)
	})
	for name, form := range forms {
		t.Run("the request "+name, func(t *testing.T) {
			t.Parallel()
			srv := p.Repeats(t, form)
			s := p.New(t, srv.Endpoint, patience)
			r, found, err := ask(t.Context(), t, s, p.render(t, s))
			p.nothingKnown(t, r, found, err)
		})
	}
}

// ask asks about a message of the last minute.
func ask(ctx context.Context, t testing.TB, s sender.Sender, m *sender.Message) (sender.Receipt, bool, error) {
	t.Helper()
	a, ok := s.(sender.Asker)
	if !ok {
		t.Fatalf("%T is no sender.Asker", s)
	}
	return a.Ask(ctx, m, time.Now().Add(-time.Minute))
}

// nothingKnown checks what Ask says if the provider has not answered the question: an error,
// since what is not found may be sent again.
func (p *Provider) nothingKnown(t testing.TB, r sender.Receipt, found bool, err error) {
	t.Helper()
	if found {
		t.Error("Ask has found the message without an answer that says so")
	}
	if err == nil {
		t.Fatal("Ask returned no error, so the message would be sent again; only an answer that says that it was not accepted may come to that")
	}
	_ = p.refused(t, r, err, sender.AsError(err).Class)
}

// asksInVain asks a provider that fails.
func (p *Provider) asksInVain(t *testing.T, f Failure) {
	t.Helper()
	srv := f.Serve(t)
	timeout := patience
	if f.Slow {
		timeout = 500 * time.Millisecond
	}
	s := p.New(t, srv.Endpoint, timeout)
	m := p.render(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	began := time.Now()
	r, found, err := ask(ctx, t, s, m)
	if took := time.Since(began); f.Slow && took >= Patience {
		t.Errorf("Ask took %s, with a time-out of %s", took, timeout)
	}
	p.nothingKnown(t, r, found, err)
}

// cancelsAsk checks that ctx ends the wait for the answer to a question.
func (p *Provider) cancelsAsk(t *testing.T) {
	t.Helper()
	srv := p.Failures[StallAfter].Serve(t)
	s := p.New(t, srv.Endpoint, Patience)
	m := p.render(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-srv.Arrived
		cancel()
	}()
	began := time.Now()
	r, found, err := ask(ctx, t, s, m)
	if took := time.Since(began); took >= Patience {
		t.Errorf("Ask returned after %s, by its time-out: the end of ctx has to end it", took)
	}
	p.nothingKnown(t, r, found, err)
}
