package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// noon is the time of tests without a clock of their own.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// steady is a spread without randomness: it adds nothing to a delay.
var steady = spread{random: func() float64 { return 0 }}

// retry is a configuration with round waits: 1s, 2s, 4s, … and 3 attempts.
var retry = config.Retry{InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Minute, MaxAttempts: 3}

// trace keeps the steps in their order.
type trace struct {
	// panicAt is the step that panics; empty for none.
	panicAt string

	mu    sync.Mutex
	steps []string
}

func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	step := fmt.Sprintf(format, args...)
	if t.panicAt != "" && strings.HasPrefix(step, t.panicAt) {
		t.steps = append(t.steps, step+"!")
		panic(step)
	}
	t.steps = append(t.steps, step)
}

// empty returns the steps, and forgets them.
func (t *trace) empty() string {
	all := t.String()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = nil
	return all
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.steps, ", ")
}

// fakeConn is the connection over which a message came. It keeps the naks.
type fakeConn struct {
	*trace
	// fail is the error of each nak.
	fail error
}

func (w *fakeConn) Publish(_ string, word []byte) error {
	name, rest, _ := strings.Cut(string(word), " ")
	switch name {
	case "-NAK":
		var delay struct{ Delay time.Duration }
		if rest != "" {
			if err := json.Unmarshal([]byte(rest), &delay); err != nil {
				return err
			}
		}
		w.add("nak %v", delay.Delay)
	default:
		w.add("%s", word)
	}
	return w.fail
}

// given describes a message. By default it is handed out for the first time, a moment
// after it was stored.
type given struct {
	subject, msgID, body string
	sequence             uint64
	delivered, pending   uint64
	storedAt, arrived    time.Time
	// consumer is when the consumer that hands it out was made. Default: noon.
	consumer time.Time
	header   nats.Header
}

const (
	smsSubject = "codeferry.send.default.sms.SignIn.u1"
	smsBody    = `{"id":"id-1","to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}`
)

func (g given) message(t testing.TB, w *fakeConn) *jetpull.Message {
	t.Helper()
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&g.subject, smsSubject)
	set(&g.body, smsBody)
	if g.sequence == 0 {
		g.sequence = 7
	}
	if g.delivered == 0 {
		g.delivered = 1
	}
	if g.storedAt.IsZero() {
		g.storedAt = noon.Add(-time.Second)
	}
	if g.arrived.IsZero() {
		g.arrived = noon
	}
	if g.consumer.IsZero() {
		g.consumer = noon
	}
	if g.header == nil {
		g.header = make(nats.Header)
	}
	if g.msgID != "" {
		g.header.Set(jetstream.MsgIDHeader, g.msgID)
	}
	m, err := jetpull.Read(w, &nats.Msg{
		Subject: g.subject, Header: g.header, Data: []byte(g.body), Sub: new(nats.Subscription),
		Reply: fmt.Sprintf("$JS.ACK.CODEFERRY.sms.%d.%d.1.%d.%d", g.delivered, g.sequence, g.storedAt.UnixNano(), g.pending),
	}, jetpull.Options{Created: g.consumer, AckWait: 30 * time.Second}, g.arrived)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open returns a message that the stages open and doubt have passed on as fresh.
func (g given) open(t testing.TB, w *fakeConn) *delivery {
	t.Helper()
	d := &delivery{msg: g.message(t, w)}
	openStage{channel: messages.SMS, apps: map[string]config.App{"default": {SMS: steps("a", "b")}}}.handle(t.Context(), d)
	return d
}

// fresh returns a message that no worker has tried, and whose code expires in ten minutes.
func fresh(t testing.TB) *delivery {
	t.Helper()
	return given{}.open(t, &fakeConn{trace: new(trace)})
}

// steps is a route through connectors.
func steps(connectors ...string) []config.Step {
	var all []config.Step
	for _, c := range connectors {
		all = append(all, config.Step{Connector: c})
	}
	return all
}

// attempts are n failed attempts of a class, a second apart, the last one at noon.
func attempts(n int, class sender.Class) []messages.Attempt {
	var all []messages.Attempt
	for i := range n {
		all = append(all, messages.Attempt{
			Connector: "a", Class: class.String(), Code: "E", Detail: "failed", At: noon.Add(time.Duration(i-n+1) * time.Second),
		})
	}
	return all
}

// fakeSender is a provider that can't be asked.
type fakeSender struct {
	// render and send answer instead of the defaults: everything can be rendered, and
	// everything is accepted.
	render func(*messages.SendCode) (*sender.Message, error)
	send   func(context.Context, *sender.Message) (sender.Receipt, error)

	mu   sync.Mutex
	sent []*sender.Message
}

func (s *fakeSender) Render(code *messages.SendCode) (*sender.Message, error) {
	if s.render != nil {
		return s.render(code)
	}
	return &sender.Message{To: code.To}, nil
}

func (s *fakeSender) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	s.mu.Lock()
	s.sent = append(s.sent, m)
	s.mu.Unlock()
	if s.send != nil {
		return s.send(ctx, m)
	}
	return sender.Receipt{ProviderID: "P-1", RequestID: "R-1"}, nil
}

func (s *fakeSender) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

// failing is a provider that answers every message with an error.
func failing(e *sender.Error) *fakeSender {
	return &fakeSender{send: func(context.Context, *sender.Message) (sender.Receipt, error) { return sender.Receipt{}, e }}
}

// fakeAsker is a provider that can be asked.
type fakeAsker struct {
	fakeSender
	// ask answers; by default nothing is found.
	ask func(m *sender.Message, since time.Time) (bool, error)

	asked []time.Time
}

func (s *fakeAsker) Ask(_ context.Context, m *sender.Message, since time.Time) (sender.Receipt, bool, error) {
	s.asked = append(s.asked, since)
	if s.ask == nil {
		return sender.Receipt{}, false, nil
	}
	found, err := s.ask(m, since)
	return sender.Receipt{ProviderID: "found"}, found, err
}

// connect makes a connector of a provider.
func connect(name string, s sender.Sender, edit ...func(*connector)) *connector {
	limiter := newRateLimiter(0)
	c := &connector{
		name: name, sender: s, onDoubt: config.Resend, askGrace: 8 * time.Second, limiter: limiter,
		metrics: NewMetrics(nil).of(name), unfilled: newUnfilled(zerolog.Nop()),
		breaker: newBreaker(breakerOptions{
			pauses:  config.Worker{AccountPause: 20 * time.Second, HealthPause: 5 * time.Second},
			limiter: limiter, log: zerolog.Nop(), changed: func(bool) {}, templates: func(int) {},
		}),
	}
	for _, f := range edit {
		f(c)
	}
	return c
}

// onDoubtDead sets a connector's onDoubt to dead.
func onDoubtDead(c *connector) { c.onDoubt = config.Dead }

// named returns the connectors by name, as the configuration has them.
func named(all ...*connector) map[string]*connector {
	m := make(map[string]*connector)
	for _, c := range all {
		m[c.name] = c
	}
	return m
}

// newLedger returns the ledger of a worker of that name, over a bucket in memory.
func newLedger(b *ledgertest.Bucket, owner string) *ledger.Ledger {
	return ledger.New(b, owner, time.Second)
}

// entryOf reads a message's entry; it is empty if there is none.
func entryOf(t testing.TB, b *ledgertest.Bucket, d *delivery) (e ledger.Entry) {
	t.Helper()
	if value, revision := b.Value(recordOf(d.msg).Key); revision > 0 {
		if err := json.Unmarshal(value, &e); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// state returns the state that the ledger has for a message, or "nothing".
func state(t testing.TB, b *ledgertest.Bucket, d *delivery) string {
	t.Helper()
	return or(string(entryOf(t, b, d).State), "nothing")
}

// contains checks that a text has a part.
func contains(t testing.TB, what, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%s: %q does not have %q", what, text, part)
	}
}

// same compares lists.
func same[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// counter is a prometheus.Counter whose count can be read.
type counter struct {
	prometheus.Counter
	n int
}

func (c *counter) Inc() { c.n++ }

// arrives returns a message that was stored a second ago and has just come, by the clock
// of a synctest bubble.
func arrives(t testing.TB, w *fakeConn) *delivery {
	t.Helper()
	return given{storedAt: time.Now().Add(-time.Second), arrived: time.Now()}.open(t, w)
}

// nowhere returns a connection whose naks no test reads.
func nowhere() *fakeConn { return &fakeConn{trace: new(trace)} }

// after lets time pass in a synctest bubble.
func after(d time.Duration) { <-time.After(d) }

// adder is a prometheus.Counter whose sum can be read.
type adder struct {
	prometheus.Counter
	sum float64
}

func (a *adder) Add(v float64) { a.sum += v }

// someSuspects are messages that an earlier consumer may have handed out, and how long a
// worker may still have them.
type someSuspects struct {
	are  func(p ledger.Place) bool
	held time.Duration
	// forgot is true if the ledger was made again after they were claimed.
	forgot bool
}

func (s someSuspects) forgotten(ledger.Place) bool { return s.forgot }

// someTroubles keep the errors of what can't be stored, and log nothing.
type someTroubles struct {
	ledger, letters []error
	stored          int
	// itsFault is what ledgerFailed returns.
	itsFault bool
}

func (s *someTroubles) ledgerFailed(err error) bool {
	s.ledger = append(s.ledger, err)
	return s.itsFault
}
func (s *someTroubles) deadLettersFailed(err error) { s.letters = append(s.letters, err) }
func (s *someTroubles) deadLettersStored()          { s.stored++ }

func (s someSuspects) suspect(p ledger.Place) (bool, time.Duration) {
	if s.are == nil || !s.are(p) {
		return false, 0
	}
	return true, s.held
}

// mine returns a function with one answer for every message.
func mine(until time.Time, ok bool) func(*jetpull.Message) (time.Time, bool) {
	return func(*jetpull.Message) (time.Time, bool) { return until, ok }
}

// leased reports that a message belongs to this worker while its lease holds: for 17 s
// after its arrival.
func leased(m *jetpull.Message) (until time.Time, ok bool) {
	return m.OwnedUntil(), time.Now().Before(m.OwnedUntil())
}

// fakeBeater keeps the messages that are marked as in progress.
type fakeBeater struct{ *trace }

func (b fakeBeater) InProgress(m *jetpull.Message, ackWait time.Duration) {
	b.add("%s in progress for %v", m.Subject, ackWait)
}
