package worker

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// fakeJetStream has one stream and one consumer.
type fakeJetStream struct {
	jetstream.JetStream
	stream   *fakeStream
	consumer *fakeConsumer
	// ledger is when the ledger was made; zero if it was made with the stream.
	ledger time.Time
	// fail is the error of each lookup; failing is the only stream whose lookup fails, if
	// it is set.
	fail    error
	failing string
}

func (j *fakeJetStream) Stream(_ context.Context, name string) (jetstream.Stream, error) {
	if name == j.failing {
		return nil, errors.New("away")
	}
	if j.fail == nil && name == wire.LedgerStream && !j.ledger.IsZero() {
		return &fakeStream{created: j.ledger}, nil
	}
	if j.fail != nil || j.stream == nil {
		return nil, errors.Join(j.fail, jetstream.ErrStreamNotFound)
	}
	return j.stream, nil
}

func (j *fakeJetStream) Consumer(context.Context, string, string) (jetstream.Consumer, error) {
	switch {
	case j.fail != nil:
		return nil, j.fail
	case j.stream == nil:
		return nil, jetstream.ErrStreamNotFound
	case j.consumer == nil:
		return nil, jetstream.ErrConsumerNotFound
	}
	return j.consumer, nil
}

type fakeConsumer struct {
	jetstream.Consumer
	info jetstream.ConsumerInfo
}

func (c *fakeConsumer) CachedInfo() *jetstream.ConsumerInfo { return &c.info }

// fakeStream holds messages, by their sequence.
type fakeStream struct {
	jetstream.Stream
	created  time.Time
	messages []*jetstream.RawStreamMsg
	last     uint64
	fail     error
}

func (s *fakeStream) CachedInfo() *jetstream.StreamInfo {
	return &jetstream.StreamInfo{Created: s.created, State: jetstream.StreamState{LastSeq: s.last}}
}

// GetMsg returns the first message from a sequence on.
func (s *fakeStream) GetMsg(_ context.Context, from uint64, _ ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	for _, m := range s.messages {
		if m.Sequence >= from {
			return m, nil
		}
	}
	return nil, jetstream.ErrMsgNotFound
}

// made returns the time so many hours after the stream was made.
func made(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }

// at returns a place of a message.
func at(sequence uint64, stored time.Time) ledger.Place {
	return ledger.Place{Sequence: sequence, StoredAt: stored.UnixNano()}
}

// guard returns the guard of a worker.
func guard(js *fakeJetStream, b *ledgertest.Bucket) *consumerGuard {
	return newConsumerGuard(js, messages.SMS, func(context.Context) error { return errors.New("nothing is missing") }, newLedger(b, "me"))
}

// isSuspect reports whether a message is a suspect.
func isSuspect(g *consumerGuard, p ledger.Place) bool {
	suspect, _ := g.suspect(p)
	return suspect
}

// TestConsumerSuspects: which messages an earlier consumer may have handed out.
func TestConsumerSuspects(t *testing.T) {
	for name, c := range map[string]struct {
		// noted is the mark of an earlier worker; nil if there is none.
		noted *consumerMark
		want  consumerMark
		// suspects and fresh are places of messages.
		suspects, fresh []ledger.Place
	}{
		"the first consumer ever: a backlog is fresh": {
			want:     consumerMark{Stream: made(0), Consumer: made(50), Before: made(50).Add(-markKept).UnixNano()},
			fresh:    []ledger.Place{at(1, made(50).Add(-markKept)), at(100, made(50)), at(101, made(51))},
			suspects: []ledger.Place{at(1, made(50).Add(-markKept-1))},
		},
		"the same consumer": {
			noted: &consumerMark{Stream: made(0), Consumer: made(50), UpTo: 40},
			want:  consumerMark{Stream: made(0), Consumer: made(50), UpTo: 40},
			fresh: []ledger.Place{at(41, made(0)), at(101, made(51))}, suspects: []ledger.Place{at(40, made(49))},
		},
		"it was made again: all that was there is suspect": {
			noted: &consumerMark{Stream: made(0), Consumer: made(20), UpTo: 40},
			want:  consumerMark{Stream: made(0), Consumer: made(50), UpTo: 100},
			fresh: []ledger.Place{at(101, made(49))}, suspects: []ledger.Place{at(1, made(1)), at(100, made(50))},
		},
		"another stream: nobody was handed anything": {
			noted: &consumerMark{Stream: made(-9), Consumer: made(20), UpTo: 40, Before: made(20).UnixNano()},
			want:  consumerMark{Stream: made(0), Consumer: made(50)},
			fresh: []ledger.Place{at(1, made(1)), at(100, made(50))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			if c.noted != nil {
				b.Set("consumer.sms", *c.noted)
			}
			g := guard(&fakeJetStream{
				stream:   &fakeStream{created: made(0), last: 100},
				consumer: &fakeConsumer{info: jetstream.ConsumerInfo{Created: made(50), Config: jetstream.ConsumerConfig{AckWait: time.Minute}}},
			}, b)
			info, err := g.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			check.Equal(t, "made at", info.Created, made(50))
			select {
			case <-g.known:
			default:
				t.Error("known is not closed")
			}
			check.Equal(t, "the server waits for", g.ackWait(), time.Minute)
			check.Equal(t, "noted", noted(t, b), c.want)
			for _, p := range c.suspects {
				check.Equal(t, "suspect: the message "+time.Unix(0, p.StoredAt).UTC().String(), isSuspect(g, p), true)
			}
			for _, p := range c.fresh {
				check.Equal(t, "suspect: the message "+time.Unix(0, p.StoredAt).UTC().String(), isSuspect(g, p), false)
			}
		})
	}
}

// noted returns the ledger's mark of the consumer.
func noted(t *testing.T, b *ledgertest.Bucket) (m consumerMark) {
	t.Helper()
	value, revision := b.Value("consumer.sms")
	if revision == 0 {
		return m
	}
	if err := json.Unmarshal(value, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestConsumerNotSeenYet: before the first lookup nothing is suspect, and AckWait has its
// default.
func TestConsumerNotSeenYet(t *testing.T) {
	g := guard(new(fakeJetStream), new(ledgertest.Bucket))
	check.Equal(t, "the server waits for", g.ackWait(), wire.AckWait)
	check.Equal(t, "suspect", isSuspect(g, at(1, made(0))), false)
	check.Equal(t, "AckWait is known", isClosed(g.known), false)
}

// TestConsumerOpensAgain: the same consumer is not noted again, and another one is.
func TestConsumerOpensAgain(t *testing.T) {
	b := new(ledgertest.Bucket)
	js := &fakeJetStream{
		stream:   &fakeStream{created: made(0), last: 10},
		consumer: &fakeConsumer{info: jetstream.ConsumerInfo{Created: made(1)}},
	}
	g := guard(js, b)
	open := func() {
		t.Helper()
		if _, err := g.open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	open()
	check.Equal(t, "the server waits for (it does not say)", g.ackWait(), wire.AckWait)
	check.Equal(t, "AckWait is known", isClosed(g.known), true)
	_, first := b.Value("consumer.sms")
	js.stream.last = 20
	open()
	if _, now := b.Value("consumer.sms"); now != first {
		t.Error("the same consumer was noted twice")
	}
	b.Before = func(ledgertest.Step, string) error { return errors.New("away") }
	open() // a known consumer needs no ledger
	b.Before = nil
	check.Equal(t, "suspect: a message that came later", isSuspect(g, at(15, made(2))), false)
	js.consumer.info.Created = made(3)
	open()
	check.Equal(t, "suspect: a message before the consumer was made again", isSuspect(g, at(20, made(2))), true)
	check.Equal(t, "suspect: a message after it", isSuspect(g, at(21, made(3))), false)
}

// TestConsumerIsMade: if the consumer is missing, it is made.
func TestConsumerIsMade(t *testing.T) {
	for name, js := range map[string]*fakeJetStream{
		"no consumer": {stream: &fakeStream{created: made(0)}},
		"no stream":   {},
	} {
		calls := 0
		g := newConsumerGuard(js, messages.SMS, func(context.Context) error {
			calls++
			js.stream = &fakeStream{created: made(0)}
			js.consumer = &fakeConsumer{info: jetstream.ConsumerInfo{Created: made(1)}}
			return nil
		}, newLedger(new(ledgertest.Bucket), "me"))
		info, err := g.open(t.Context())
		if err != nil {
			t.Fatalf("%s: got the error %v", name, err)
		}
		check.Equal(t, name+": made at", info.Created, made(1))
		check.Equal(t, name+": what is missing was made", calls, 1)
	}
}

// TestConsumerCannotBeOpened: nothing is pulled before the consumer is noted.
func TestConsumerCannotBeOpened(t *testing.T) {
	away := errors.New("away")
	there := func() *fakeJetStream {
		return &fakeJetStream{stream: &fakeStream{created: made(0)}, consumer: &fakeConsumer{info: jetstream.ConsumerInfo{Created: made(1)}}}
	}
	for name, c := range map[string]struct {
		spoil func(js *fakeJetStream, g *consumerGuard, b *ledgertest.Bucket)
	}{
		"the consumer can't be looked at": {func(js *fakeJetStream, _ *consumerGuard, _ *ledgertest.Bucket) { js.fail = away }},
		"it can't be made": {func(js *fakeJetStream, g *consumerGuard, _ *ledgertest.Bucket) {
			js.consumer = nil
			g.ensure = func(context.Context) error { return away }
		}},
		"the ledger can't be read": {func(_ *fakeJetStream, _ *consumerGuard, b *ledgertest.Bucket) {
			b.Before = func(s ledgertest.Step, _ string) error {
				if s == ledgertest.Get {
					return away
				}
				return nil
			}
		}},
		"the ledger can't be written": {func(_ *fakeJetStream, _ *consumerGuard, b *ledgertest.Bucket) {
			b.Before = func(s ledgertest.Step, _ string) error {
				if s != ledgertest.Get {
					return away
				}
				return nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			js, b := there(), new(ledgertest.Bucket)
			g := guard(js, b)
			c.spoil(js, g, b)
			if _, err := g.open(t.Context()); !errors.Is(err, away) {
				t.Errorf("got the error %v, want one of %v", err, away)
			}
			check.Equal(t, "taken over", *g.mark.Load(), consumerMark{})
		})
	}
	t.Run("the stream can't be looked at", func(t *testing.T) {
		js := there()
		g := guard(js, new(ledgertest.Bucket))
		g.js = streamless{js}
		if _, err := g.open(t.Context()); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("got the error %v, want one of %v", err, jetstream.ErrStreamNotFound)
		}
	})
}

// streamless is JetStream with a consumer whose stream was just deleted.
type streamless struct{ *fakeJetStream }

func (streamless) Stream(context.Context, string) (jetstream.Stream, error) {
	return nil, jetstream.ErrStreamNotFound
}

// TestConsumerTwoWorkers: if two workers note a consumer at once, one succeeds, and the
// other takes over its mark.
func TestConsumerTwoWorkers(t *testing.T) {
	b := new(ledgertest.Bucket)
	b.Set("consumer.sms", consumerMark{Stream: made(0), Consumer: made(1)})
	first := consumerMark{Stream: made(0), Consumer: made(50), UpTo: 90}
	raced := false
	b.Before = func(s ledgertest.Step, key string) error {
		if s == ledgertest.Update && !raced {
			raced = true
			b.Set(key, first) // the stream had 90 messages then
		}
		return nil
	}
	g := guard(nil, b)
	if err := g.note(t.Context(), incarnations{stream: made(0), consumer: made(50), ledger: made(0)}, 100); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "noted", noted(t, b), first)
	check.Equal(t, "suspect: the 90th", isSuspect(g, at(90, made(50))), true)
	check.Equal(t, "suspect: the 91st, which the consumer handed to the other", isSuspect(g, at(91, made(50))), false)
}

// TestConsumerTooManyWorkers: if other workers keep changing the mark, nothing is pulled.
func TestConsumerTooManyWorkers(t *testing.T) {
	b := new(ledgertest.Bucket)
	n := 0
	b.Before = func(s ledgertest.Step, key string) error {
		if s != ledgertest.Get {
			n++
			b.Set(key, consumerMark{Stream: made(0), Consumer: made(n)})
		}
		return nil
	}
	g := guard(nil, b)
	err := g.note(t.Context(), incarnations{stream: made(0), consumer: made(50), ledger: made(0)}, 100)
	if err == nil {
		t.Fatal("the consumer was noted")
	}
	contains(t, "error", err.Error(), "note the consumer sms in the ledger: other workers keep changing it")
	check.Equal(t, "tries", n, maxConflicts)
}

// TestConsumerMarkIsKept: the ledger deletes an entry after a day, so the mark is written
// again every few hours.
func TestConsumerMarkIsKept(t *testing.T) {
	mine := consumerMark{Stream: made(0), Consumer: made(50), UpTo: 90}
	other := consumerMark{Stream: made(0), Consumer: made(51), UpTo: 95}
	for name, c := range map[string]struct {
		mine, there consumerMark // there is empty if the ledger has deleted it
		want        consumerMark
		written     bool
	}{
		"it is written again":                {mine, mine, mine, true},
		"it was forgotten":                   {mine, consumerMark{}, mine, true},
		"another consumer is noted by now":   {mine, other, other, false},
		"nothing was opened yet":             {consumerMark{}, consumerMark{}, consumerMark{}, false},
		"nothing was opened, another has it": {consumerMark{}, other, other, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := new(ledgertest.Bucket)
				if c.there != (consumerMark{}) {
					b.Set("consumer.sms", c.there)
				}
				_, before := b.Value("consumer.sms")
				g := guard(nil, b)
				g.mark.Store(&c.mine)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					g.run(ctx)
					close(ended)
				}()
				after(markEvery - 1)
				synctest.Wait()
				if _, now := b.Value("consumer.sms"); now != before {
					t.Error("the mark was written too soon")
				}
				after(1)
				synctest.Wait()
				check.Equal(t, "noted", noted(t, b), c.want)
				_, now := b.Value("consumer.sms")
				check.Equal(t, "written", now != before, c.written)
				cancel()
				<-ended
			})
		})
	}
}

// openedGuard returns a guard that has opened a consumer. The consumer was made 50 hours
// after the stream, which had 100 messages, and replaced an earlier one. Call it in a
// synctest bubble.
func openedGuard(t *testing.T) (*consumerGuard, *fakeJetStream) {
	t.Helper()
	b := new(ledgertest.Bucket)
	b.Set("consumer.sms", consumerMark{Stream: made(0), Consumer: made(20)})
	js := &fakeJetStream{
		stream:   &fakeStream{created: made(0), last: 100},
		consumer: &fakeConsumer{info: jetstream.ConsumerInfo{Created: made(50), Config: jetstream.ConsumerConfig{AckWait: 30 * time.Second}}},
	}
	g := guard(js, b)
	reopen(t, g)
	return g, js
}

func reopen(t *testing.T, g *consumerGuard) {
	t.Helper()
	if _, err := g.open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestConsumerHeld: a worker that does not know the new consumer may have a suspect for
// AckWait, counted from when this worker learned of the new one.
func TestConsumerHeld(t *testing.T) {
	for name, c := range map[string]struct {
		place   ledger.Place
		after   time.Duration
		suspect bool
		held    time.Duration
	}{
		"a suspect, at once":        {at(100, made(49)), 0, true, 30 * time.Second},
		"a suspect, a while later":  {at(100, made(49)), 10 * time.Second, true, 20 * time.Second},
		"a suspect, nearly over":    {at(100, made(49)), 30*time.Second - 1, true, 1},
		"a suspect, over":           {at(100, made(49)), 30 * time.Second, true, 0},
		"a suspect, long over":      {at(100, made(49)), time.Hour, true, 0},
		"it came after the old one": {at(101, made(49)), 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _ := openedGuard(t)
				after(c.after)
				reopen(t, g) // the same consumer: the time does not start again
				suspect, held := g.suspect(c.place)
				check.Equal(t, "suspect", suspect, c.suspect)
				check.Equal(t, "held for", held, c.held)
			})
		})
	}
}

// TestConsumerHeldAfterAnotherWorkerNotedIt: the time counts from when this worker learned
// of the consumer, since it has pulled by the old one until then.
func TestConsumerHeldAfterAnotherWorkerNotedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, js := openedGuard(t)
		after(time.Hour)
		other := newConsumerGuard(js, messages.SMS, g.ensure, g.ledger)
		js.consumer.info.Created = made(60)
		reopen(t, other)
		after(20 * time.Second)
		_, held := other.suspect(at(100, made(49)))
		check.Equal(t, "held for, to who noted it", held, 10*time.Second)
		reopen(t, g)
		_, held = g.suspect(at(100, made(49)))
		check.Equal(t, "held for, to who learned of it later", held, 30*time.Second)
	})
}

// TestConsumerMine: a message belongs to this worker while its lease holds and while the
// consumer that handed it out exists.
func TestConsumerMine(t *testing.T) {
	for name, c := range map[string]struct {
		// consumer is the consumer that hands the message out.
		consumer time.Time
		// then is what happens after it has come; inHand is how long it has been in
		// flight.
		then   func(t *testing.T, g *consumerGuard, js *fakeJetStream)
		inHand time.Duration
		want   bool
	}{
		"it has just come":             {consumer: made(50), want: true},
		"its lease is nearly over":     {consumer: made(50), inHand: 17*time.Second - 1, want: true},
		"its lease is over":            {consumer: made(50), inHand: 17 * time.Second},
		"of the consumer before":       {consumer: made(20)},
		"of a consumer not opened yet": {consumer: made(60)},
		"its consumer was seen again": {
			consumer: made(50), want: true,
			then: func(_ *testing.T, g *consumerGuard, _ *fakeJetStream) { g.seen(made(50), time.Now()) },
		},
		"another consumer was seen": {
			consumer: made(50),
			then:     func(_ *testing.T, g *consumerGuard, _ *fakeJetStream) { g.seen(made(60), time.Now()) },
		},
		"another was seen, and then its own by who looked before": {
			consumer: made(50),
			then: func(_ *testing.T, g *consumerGuard, _ *fakeJetStream) {
				g.seen(made(60), time.Now())
				g.seen(made(50), time.Now())
			},
		},
		"the one before was seen by who looked before": {
			consumer: made(50), want: true,
			then: func(_ *testing.T, g *consumerGuard, _ *fakeJetStream) {
				g.seen(made(20), time.Unix(0, g.noted.Load()-1))
			},
		},
		"another one was seen, made by a server whose clock is behind": {
			consumer: made(50),
			then:     func(_ *testing.T, g *consumerGuard, _ *fakeJetStream) { g.seen(made(20), time.Now()) },
		},
		"another was opened": {
			consumer: made(50),
			then: func(t *testing.T, g *consumerGuard, js *fakeJetStream) {
				js.consumer.info.Created = made(60)
				reopen(t, g)
			},
		},
		"another was seen and opened, and has handed it out": {
			consumer: made(60), want: true,
			then: func(t *testing.T, g *consumerGuard, js *fakeJetStream) {
				js.consumer.info.Created = made(60)
				g.seen(made(60), time.Now())
				reopen(t, g)
			},
		},
		"another was seen, and it is the same after all": {
			consumer: made(50), want: true,
			then: func(t *testing.T, g *consumerGuard, _ *fakeJetStream) {
				g.seen(made(60), time.Now())
				reopen(t, g)
			},
		},
		"another was seen, and can't be noted": {
			consumer: made(50),
			then: func(t *testing.T, g *consumerGuard, js *fakeJetStream) {
				g.seen(made(60), time.Now())
				js.fail = errors.New("away")
				if _, err := g.open(t.Context()); err == nil {
					t.Error("the consumer was opened, want an error")
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, js := openedGuard(t)
				m := given{consumer: c.consumer, arrived: time.Now()}.message(t, nowhere())
				if c.then != nil {
					c.then(t, g, js)
				}
				after(c.inHand)
				until, mine := g.mine(m)
				check.Equal(t, "mine", mine, c.want)
				check.Equal(t, "until", until.Sub(m.Arrived), 17*time.Second)
			})
		})
	}
}

// TestConsumerSeenBeforeItWasOpened: any consumer that is seen then does not count as
// another one, and no message belongs to this worker.
func TestConsumerSeenBeforeItWasOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guard(new(fakeJetStream), new(ledgertest.Bucket))
		g.seen(made(50), time.Now())
		check.Equal(t, "gone", g.gone.Load(), false)
		_, mine := g.mine(given{consumer: made(50), arrived: time.Now()}.message(t, nowhere()))
		check.Equal(t, "mine", mine, false)
	})
}
