package worker

import (
	"slices"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// delivery is one message that a worker works on, and what the stages found out about it.
// The comment on each group of fields names the stage that writes them.
type delivery struct {
	// The pool.
	msg    *jetpull.Message
	traced traced

	// open.
	opened

	// doubt.
	past
	record ledger.Record

	// route: the connectors that may be tried, in their order.
	chain []*connector
}

// opened is what a message holds.
type opened struct {
	subject messages.Subject
	// code is never nil; fields that could not be read are empty.
	code *messages.SendCode
	// wrong is why the message can't be sent. unreadable is true if this worker's
	// configuration is the cause: another worker may have sent it.
	wrong      error
	unreadable bool
	// id is the publisher's id, in a form that may be shown.
	id string
	// epoch counts the message's replays.
	epoch int
	app   config.App
	// appKnown is false for an app that the configuration does not have.
	appKnown  bool
	expiresAt time.Time
	// place is where the message is stored.
	place ledger.Place
}

// past is the result of earlier deliveries of the message.
type past struct {
	// inDoubt is true if a connector may have accepted the message and was not asked, or
	// not for long enough. suspects has these connectors.
	inDoubt bool
	// suspects are the connectors that may have accepted the message and that can't be
	// asked, or were not asked yet. If they can't be asked, they stay suspects.
	suspects []string
	// doubtFor is how long it has surely been in doubt. Providers that can be asked are
	// asked for doubtGrace; then the message counts as not sent.
	doubtFor, doubtGrace time.Duration
	// doubts counts the workers that it has lost.
	doubts int
	// lost is true if the worker of the delivery before was lost.
	lost bool
	// unfilled is true if an outcome has told that no connector can fill in its template.
	unfilled bool
	// history are the attempts, including those of other workers, the oldest first.
	history []messages.Attempt
	// first is the first place of the same publish, if it was stored twice.
	first ledger.Place
	// former is the span of the delivery before, as a traceparent; empty if it is not known.
	former string
}

// minimal returns what is known about a message before it is opened.
func minimal(m *jetpull.Message, c messages.Channel) opened {
	o := opened{code: new(messages.SendCode), place: placeOf(m), epoch: wire.Epoch(m.Header)}
	o.subject.App, o.subject.Channel = wire.HiddenKey, c
	o.id = maskID(wire.MessageID(m.Header, o.code, m.Sequence), "")
	o.expiresAt = m.StoredAt.Add(config.DefaultCodeTTL)
	return o
}

// identify sets the message's record, if it is not set yet.
func (d *delivery) identify() {
	if d.record.Key == "" {
		d.record = recordOf(d.msg)
	}
}

// entry returns what to write to the ledger about the message.
func (d *delivery) entry(s ledger.State) ledger.Entry {
	return ledger.Entry{
		State: s, Place: d.firstPlace(), Doubts: d.doubts, DoubtFor: d.doubtFor, DoubtGrace: d.doubtGrace,
		Suspects: d.suspects, History: d.history, Unfilled: d.unfilled, Trace: d.lastSpan(),
	}
}

// lastSpan returns the span that the next delivery links to: this delivery's, or the one before
// if this one has none because no slot has begun with it.
func (d *delivery) lastSpan() string {
	if own := d.traced.parent(); own != "" {
		return own
	}
	return d.former
}

// putBack returns the ledger entry of a message that is put back without an attempt.
func (d *delivery) putBack(s ledger.State, v verdict) ledger.Entry {
	e := d.entry(s)
	if s == ledger.Released {
		e.Why, e.Open = v.why, v.open
	}
	return e
}

// recall takes over what the ledger has kept about the message.
func (p *past) recall(e *ledger.Entry) {
	p.history, p.doubts, p.suspects = e.History, e.Doubts, slices.Clone(e.Suspects)
	p.doubtFor, p.doubtGrace = e.DoubtFor, e.DoubtGrace
	p.first, p.unfilled, p.former = e.Place, e.Unfilled, e.Trace
}

// firstPlace returns the place from which the message's name at the provider is made.
func (d *delivery) firstPlace() ledger.Place {
	if d.first == (ledger.Place{}) {
		return d.place
	}
	return d.first
}

// lastAttempt returns the last attempt; nil if there was none.
func (p *past) lastAttempt() *messages.Attempt {
	if n := len(p.history); n > 0 {
		return &p.history[n-1]
	}
	return nil
}

// failedAt reports whether an attempt has failed at a connector.
func (p *past) failedAt(connector string) bool {
	return slices.ContainsFunc(p.history, func(a messages.Attempt) bool { return a.Connector == connector })
}

// mayHaveBeenSent reports whether a connector may have accepted the message.
func (p *past) mayHaveBeenSent() bool { return p.inDoubt || len(p.suspects) > 0 }

// expired reports whether the code has expired. No other function decides this.
func (o *opened) expired(now time.Time) bool { return !now.Before(o.expiresAt) }
