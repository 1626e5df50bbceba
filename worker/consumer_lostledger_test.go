package worker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// TestConsumerAfterALostLedger: which messages are suspects if the ledger has no mark.
func TestConsumerAfterALostLedger(t *testing.T) {
	const soon = 10 * time.Second
	for name, c := range map[string]struct {
		// knew is when the consumer was made that this worker has pulled from before, with
		// the first ledger; zero if it has not pulled.
		knew time.Time
		// first is when the first ledger was made; zero if it was made with the stream.
		first time.Time
		// consumer and ledger are when the current ones were made.
		consumer, ledger time.Time
		want             consumerMark
		// forgot is a message whose claim may be lost, kept one whose claim is not.
		forgot, kept ledger.Place
	}{
		"made with the rest, a little late": {
			consumer: made(0).Add(soon), ledger: made(0).Add(soon),
			want: consumerMark{Before: made(0).Add(soon).Add(-markKept).UnixNano()}, kept: at(1, made(0)),
		},
		"younger than the consumer": {
			consumer: made(1), ledger: made(30),
			want:   consumerMark{Before: made(1).Add(-markKept).UnixNano(), Unclaimed: made(30).UnixNano()},
			forgot: at(90, made(30).Add(-1)), kept: at(100, made(30)),
		},
		"younger than the stream by far: the consumer may not be the first": {
			consumer: made(31), ledger: made(30),
			want:   consumerMark{Before: made(30).UnixNano(), Unclaimed: made(30).UnixNano()},
			forgot: at(90, made(30).Add(-1)), kept: at(100, made(30)),
		},
		"younger than the consumer by a little": {
			consumer: made(0).Add(soon), ledger: made(0).Add(2 * soon),
			want:   consumerMark{Before: made(0).Add(soon).Add(-markKept).UnixNano(), Unclaimed: made(0).Add(2 * soon).UnixNano()},
			forgot: at(90, made(0).Add(soon)), kept: at(100, made(0).Add(2*soon)),
		},
		"as late as whoever makes both may be": {
			consumer: made(1), ledger: made(0).Add(ledgerLate),
			want: consumerMark{Before: made(1).Add(-markKept).UnixNano()}, kept: at(1, made(0)),
		},
		"this worker knows another ledger": {
			knew: made(1), consumer: made(1), ledger: made(0).Add(soon),
			want:   consumerMark{Before: made(1).Add(-markKept).UnixNano(), Unclaimed: made(0).Add(soon).UnixNano()},
			forgot: at(90, made(0)), kept: at(100, made(30)),
		},
		"this worker knows this ledger, which was made late": {
			knew: made(1), first: made(30), consumer: made(1), ledger: made(30),
			want:   consumerMark{Before: made(1).Add(-markKept).UnixNano(), Unclaimed: made(30).UnixNano()},
			forgot: at(90, made(30).Add(-1)), kept: at(100, made(30)),
		},
		"this worker knows the consumer": {
			knew: made(1), consumer: made(1), ledger: made(30),
			want:   consumerMark{Before: made(1).Add(-markKept).UnixNano(), Unclaimed: made(30).UnixNano()},
			forgot: at(90, made(30).Add(-1)), kept: at(100, made(30)),
		},
		"this worker knows the consumer before": {
			knew: made(1), consumer: made(31), ledger: made(30),
			want:   consumerMark{UpTo: 100, Unclaimed: made(30).UnixNano()},
			forgot: at(90, made(30).Add(-1)), kept: at(101, made(30)),
		},
		"the same ledger has forgotten the mark": {
			knew: made(1), consumer: made(1), ledger: made(0),
			want: consumerMark{Before: made(1).Add(-markKept).UnixNano()}, kept: at(1, made(0)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			js := &fakeJetStream{
				stream:   &fakeStream{created: made(0), last: 100},
				consumer: &fakeConsumer{info: jetstream.ConsumerInfo{Created: c.knew}},
			}
			js.ledger = c.first
			g := guard(js, new(ledgertest.Bucket))
			g.claims = true
			if !c.knew.IsZero() {
				reopen(t, g)
			}
			b := new(ledgertest.Bucket)
			g.ledger = newLedger(b, "me")
			js.consumer.info.Created, js.ledger = c.consumer, c.ledger
			if c.knew.Equal(c.consumer) {
				if err := g.keep(t.Context(), c.consumer); err != nil {
					t.Fatal(err)
				}
			} else {
				reopen(t, g)
			}
			c.want.Stream, c.want.Consumer = made(0), c.consumer
			check.Equal(t, "noted", noted(t, b), c.want)
			check.Equal(t, "forgotten: the message after it", g.forgotten(c.kept), false)
			check.Equal(t, "suspect: the message after it", isSuspect(g, c.kept), false)
			if c.forgot != (ledger.Place{}) {
				check.Equal(t, "forgotten: the message before it", g.forgotten(c.forgot), true)
				check.Equal(t, "suspect: the message before it", isSuspect(g, c.forgot), true)
				g.claims = false
				check.Equal(t, "suspect without claims: the message before it", isSuspect(g, c.forgot), c.want.UpTo > 0 || c.want.Before == c.want.Unclaimed)
			}
		})
	}
}

// opensOver returns a guard that has opened its consumer, with a ledger that has noted it.
func opensOver(t *testing.T) (*consumerGuard, *fakeJetStream, *ledgertest.Bucket, *someTroubles) {
	t.Helper()
	b, told := new(ledgertest.Bucket), new(someTroubles)
	js := &fakeJetStream{stream: &fakeStream{created: made(0), last: 100}, consumer: &fakeConsumer{info: jetstream.ConsumerInfo{Created: made(1)}}}
	g := guard(js, b)
	g.claims, g.failed = true, told.ledgerFailed
	reopen(t, g)
	return g, js, b, told
}

// TestConsumerKeepLeavesAMark: if the ledger has the mark, or open has to note it, keep
// reads and writes nothing more.
func TestConsumerKeepLeavesAMark(t *testing.T) {
	for name, c := range map[string]struct {
		then    func(g *consumerGuard, b *ledgertest.Bucket, js *fakeJetStream)
		created time.Time
	}{
		"it is there":           {nil, made(1)},
		"another consumer came": {func(_ *consumerGuard, b *ledgertest.Bucket, _ *fakeJetStream) { *b = ledgertest.Bucket{} }, made(2)},
		"another was seen": {func(g *consumerGuard, b *ledgertest.Bucket, _ *fakeJetStream) {
			g.gone.Store(true)
			*b = ledgertest.Bucket{}
		}, made(1)},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, js, b, told := opensOver(t)
			if c.then != nil {
				c.then(g, b, js)
			}
			_, first := b.Value("consumer.sms")
			before := g.noted.Load()
			after(time.Second)
			if err := g.keep(t.Context(), c.created); err != nil {
				t.Errorf("%s: got the error %v", name, err)
			}
			_, now := b.Value("consumer.sms")
			check.Equal(t, name+": revision", now, first)
			check.Equal(t, name+": noted at", g.noted.Load(), before)
			check.Equal(t, name+": told", len(told.ledger), 0)
		})
	}
	b := new(ledgertest.Bucket)
	if err := guard(&fakeJetStream{stream: &fakeStream{created: made(0)}}, b).keep(t.Context(), time.Time{}); err != nil {
		t.Error(err)
	}
	_, revision := b.Value("consumer.sms")
	check.Equal(t, "nothing is open yet: revision", revision, 0)
}

// TestConsumerKeepFails: keep returns the error, and changes nothing.
func TestConsumerKeepFails(t *testing.T) {
	for name, fail := range map[string]func(js *fakeJetStream, b *ledgertest.Bucket){
		"the ledger can't be looked at": func(js *fakeJetStream, _ *ledgertest.Bucket) { js.failing = wire.LedgerStream },
		"the mark can't be read": func(_ *fakeJetStream, b *ledgertest.Bucket) {
			b.Before = func(s ledgertest.Step, _ string) error {
				if s == ledgertest.Get {
					b.Before = nil
					return errors.New("away")
				}
				return nil
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, js, b, _ := opensOver(t)
			before := g.noted.Load()
			after(time.Second)
			fail(js, b)
			if err := g.keep(t.Context(), made(1)); err == nil {
				t.Errorf("%s: got no error", name)
			}
			check.Equal(t, name+": noted at", g.noted.Load(), before)
		})
	}
}

// TestConsumerKeepTakesOverAMark: another worker has noted the consumer in the ledger
// that was made again.
func TestConsumerKeepTakesOverAMark(t *testing.T) {
	g, js, b, _ := opensOver(t)
	b.Set("consumer.sms", consumerMark{Stream: made(0), Consumer: made(1), Unclaimed: made(30).UnixNano()})
	js.ledger = made(30)
	if err := g.keep(t.Context(), made(1)); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "forgotten", g.forgotten(at(50, made(29))), true)
}

// TestConsumerMarkInTheLedgerCounts: the ledger's mark counts more than an older consumer that a
// worker remembers, and a ledger that has a mark was not lost.
func TestConsumerMarkInTheLedgerCounts(t *testing.T) {
	g, js, b, _ := opensOver(t)
	b.Set("consumer.sms", consumerMark{Stream: made(0), Consumer: made(20), UpTo: 50, Unclaimed: 5})
	js.consumer.info.Created, js.ledger = made(50), made(60)
	reopen(t, g)
	check.Equal(t, "noted", noted(t, b), consumerMark{Stream: made(0), Consumer: made(50), UpTo: 100, Unclaimed: 5})
	// Another worker finds it noted, and writes nothing.
	_, first := b.Value("consumer.sms")
	reopen(t, guard(js, b))
	_, now := b.Value("consumer.sms")
	check.Equal(t, "revision", now, first)
}

// TestConsumerOpenFails: the error names what could not be read, and nothing is noted.
func TestConsumerOpenFails(t *testing.T) {
	for name, want := range map[string]string{wire.LedgerStream: "get the ledger: away", wire.StreamName: "get CODEFERRY: away"} {
		b := new(ledgertest.Bucket)
		g := guard(&fakeJetStream{stream: &fakeStream{created: made(0)}, consumer: new(fakeConsumer), ledger: made(0), failing: name}, b)
		_, err := g.open(t.Context())
		if err == nil {
			t.Fatal(name, "is not missed")
		}
		check.Equal(t, name, err.Error(), want)
		_, revision := b.Value("consumer.sms")
		check.Equal(t, name+": revision", revision, 0)
	}
}

// TestConsumerNoteFails: the keeper gets the error.
func TestConsumerNoteFails(t *testing.T) {
	b := new(ledgertest.Bucket)
	b.Before = func(ledgertest.Step, string) error { return errors.New("no room") }
	g := guard(&fakeJetStream{stream: &fakeStream{created: made(0)}, consumer: new(fakeConsumer)}, b)
	told := new(someTroubles)
	g.failed = told.ledgerFailed
	if _, err := g.open(t.Context()); err == nil {
		t.Fatal("the consumer was noted")
	}
	check.Equal(t, "told", len(told.ledger), 1)
}

// TestDoubtAfterALostLedger: if a claim may be lost, its absence does not prove that the
// message is fresh.
func TestDoubtAfterALostLedger(t *testing.T) {
	for _, forgot := range []bool{false, true} {
		s, lost := doubting(new(ledgertest.Bucket), true)
		s.suspects = someSuspects{are: func(ledger.Place) bool { return true }, forgot: forgot}
		d := given{storedAt: noon.Add(-time.Second)}.open(t, nowhere())
		s.handle(t.Context(), d)
		check.Equal(t, "in doubt", d.inDoubt, forgot)
		check.Equal(t, "lost workers", lost.n, map[bool]int{false: 0, true: 1}[forgot])
	}
}

// TestUntried: a message that was put back because the ledger could not be read is still
// fresh if its next delivery comes to this worker.
func TestUntried(t *testing.T) {
	for name, c := range map[string]struct {
		delivered uint64
		consumer  time.Time
		first     uint64
		// suspect: an earlier consumer may have handed it out, too.
		suspect bool
		doubt   bool
	}{
		"the next delivery":   {first: 1, delivered: 2, consumer: made(1)},
		"one in between":      {first: 1, delivered: 3, consumer: made(1), doubt: true},
		"of another consumer": {first: 1, delivered: 2, consumer: made(2), doubt: true},
		"it was a suspect":    {first: 1, delivered: 2, consumer: made(1), suspect: true, doubt: true},
		"it was tried before": {first: 2, delivered: 3, consumer: made(1), doubt: true},
		"the same one, again": {first: 1, delivered: 1, consumer: made(1)},
	} {
		b := new(ledgertest.Bucket)
		s, _ := doubting(b, true)
		told := &someTroubles{itsFault: c.first == 1}
		s.failed = told.ledgerFailed
		s.suspects = someSuspects{are: func(ledger.Place) bool { return c.suspect }}
		b.Before = func(ledgertest.Step, string) error { return errors.New("no room") }
		d := given{delivered: c.first, consumer: made(1), storedAt: noon.Add(-time.Second)}
		v, _ := s.handle(t.Context(), d.open(t, nowhere()))
		check.Equal(t, name+": action", v.action, actPutBack)
		check.Equal(t, name+": told", len(told.ledger), 1)
		check.Equal(t, name+": the keeper says why", v.quiet, told.itsFault)
		b.Before, s.suspects = nil, someSuspects{}
		d.delivered, d.consumer = c.delivered, c.consumer
		again := d.open(t, nowhere())
		s.handle(t.Context(), again)
		check.Equal(t, name+": in doubt", again.inDoubt, c.doubt)
	}
}

func TestUntriedIsBounded(t *testing.T) {
	u := newUntried()
	for i := range uint64(maxUntried + 5) {
		u.put(&jetpull.Message{Sequence: i + 1, Delivered: 1})
	}
	check.Equal(t, "remembered", len(u.all), maxUntried)
	check.Equal(t, "the first", u.take(&jetpull.Message{Sequence: 1, Delivered: 2}), true)
	check.Equal(t, "the first, again", u.take(&jetpull.Message{Sequence: 1, Delivered: 3}), false)
	check.Equal(t, "one too many", u.take(&jetpull.Message{Sequence: maxUntried + 1, Delivered: 2}), false)
}
