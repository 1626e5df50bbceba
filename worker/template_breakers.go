package worker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/sender"
)

// templateBreakers are the circuit breakers of a connector's templates. A template that
// the provider rejects, or whose signature it rejects, delays only its own messages. Only
// breakers that are not closed are kept. Templates come from the configuration, which
// bounds their number.
type templateBreakers struct {
	pause time.Duration
	log   zerolog.Logger
	// changed is called with how many are not closed.
	changed func(notClosed int)

	// notClosed is how many are not closed. It saves taking the lock while all are closed.
	notClosed atomic.Int32
	mu        sync.Mutex
	all       map[string]*circuit
}

// names returns the templates whose breakers are not closed, sorted.
func (t *templateBreakers) names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.all))
}

// of returns the breaker of a template; nil if it is closed.
func (t *templateBreakers) of(template string) *circuit {
	if t.notClosed.Load() == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[template]
}

// may reports whether a request may be made, and if not, after how long one may be.
func (t *templateBreakers) may(r request) (in time.Duration, ok bool) {
	if c := t.of(r.template); c != nil {
		return c.may(r.tried)
	}
	return 0, true
}

// admit asks to make a request. If ok, the caller has to pass done and the request's
// result to answered. done is nil if the template's breaker is closed.
func (t *templateBreakers) admit(r request) (done func(error), ok bool) {
	if c := t.of(r.template); c != nil {
		return c.admit(r.tried)
	}
	return nil, true
}

// answered takes the result of a request. It opens the template's breaker if the template
// is at fault.
func (t *templateBreakers) answered(done func(error), r request, e *sender.Error) {
	switch {
	case done != nil:
		done(ofTemplate(e))
	case e != nil && templatesFault(e):
		t.open(r.template, e)
	}
}

// open opens the breaker of a template.
func (t *templateBreakers) open(template string, e *sender.Error) {
	t.mu.Lock()
	if _, opened := t.all[template]; opened { // another request has opened it meanwhile
		t.mu.Unlock()
		return
	}
	c := t.newCircuit(template)
	if t.all == nil {
		t.all = make(map[string]*circuit)
	}
	t.all[template] = c
	t.mu.Unlock()
	if done, ok := c.admit(false); ok {
		c.cause.Store(e)
		done(e)
	}
}

// newCircuit makes a template's breaker: the first error opens it.
func (t *templateBreakers) newCircuit(template string) *circuit {
	log := t.log.With().Str("template", template).Logger()
	var c *circuit
	c = newCircuit(gobreaker.Settings{
		Timeout:     t.pause,
		ReadyToTrip: func(gobreaker.Counts) bool { return true },
		IsExcluded:  func(err error) bool { return err != nil && !operatorsFault(err) },
	}, func(from, to gobreaker.State) {
		switch to {
		case gobreaker.StateOpen:
			if from == gobreaker.StateClosed {
				t.mu.Lock()
				t.changed(int(t.notClosed.Add(1)))
				t.mu.Unlock()
			}
			c.opened(&log, from, t.pause).Msg("circuit breaker of a template opened: the provider rejects the template or its signature; one request will try it again; other templates are not affected")
		case gobreaker.StateClosed:
			t.mu.Lock()
			delete(t.all, template)
			t.changed(int(t.notClosed.Add(-1)))
			t.mu.Unlock()
			c.closed(&log).Msg("circuit breaker of a template closed; the provider accepts the template again")
		case gobreaker.StateHalfOpen:
		}
	})
	return c
}

// ofTemplate returns what an answer says about its template: nil if the provider accepts
// it, errNotMade if the answer says nothing.
func ofTemplate(e *sender.Error) error {
	switch {
	case e == nil:
		return nil
	case e == errNotMade || templatesFault(e):
		return e
	}
	return errOtherScope
}

// errOtherScope stands for an answer that is not about the template.
var errOtherScope = &sender.Error{Class: sender.Unavailable, Code: "of something else"}

// templatesFault reports whether an operator has to fix the error, in a template.
func templatesFault(e *sender.Error) bool {
	return e.SpeaksOf() == sender.ScopeTemplate && operatorsFault(e)
}
