package messages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// hearer is a running messages.Outcomes.
type hearer struct {
	t       *testing.T
	heard   chan messages.Outcome
	trouble chan error
	stop    func() error
}

// hear runs Outcomes until the test ends or stop is called. f, where there is one,
// is called before the outcome is told of.
func hear(t *testing.T, js jetstream.JetStream, o messages.OutcomesOptions, f func(context.Context, messages.Outcome) error) *hearer {
	t.Helper()
	h := &hearer{t: t, heard: make(chan messages.Outcome, 100), trouble: make(chan error, 1000)}
	o.Trouble = func(err error) { h.trouble <- err }
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- messages.Outcomes(ctx, js, o, func(ctx context.Context, o messages.Outcome) error {
			var err error
			if f != nil {
				err = f(ctx, o)
			}
			h.heard <- o
			return err
		})
	}()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return h.end(ended)
	})
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return h
}

const outcomePatience = 30 * time.Second

func (h *hearer) end(ended <-chan error) error {
	h.t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(outcomePatience):
		h.t.Fatal("Outcomes does not end")
	}
	return nil
}

// want waits for outcomes with these ids, in this order.
func (h *hearer) want(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		select {
		case o := <-h.heard:
			if o.ID != id {
				h.t.Fatalf("heard %s, want %s", o.ID, id)
			}
		case <-time.After(outcomePatience):
			h.t.Fatalf("%s was not heard", id)
		}
	}
}

// wantTrouble waits for a trouble that says text.
func (h *hearer) wantTrouble(text string) {
	h.t.Helper()
	limit := time.After(outcomePatience)
	for {
		select {
		case err := <-h.trouble:
			if strings.Contains(err.Error(), text) {
				return
			}
		case <-limit:
			h.t.Fatalf("no trouble says %q", text)
		}
	}
}

func tell(t *testing.T, js jetstream.JetStream, o messages.Outcome) {
	t.Helper()
	if o.App == "" {
		o.App = messages.DefaultApp
	}
	if o.Channel == "" {
		o.Channel = messages.SMS
	}
	if o.Status == "" {
		o.Status = messages.StatusDead
	}
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), outcomePatience)
	defer cancel()
	if _, err := js.Publish(ctx, messages.OutcomeSubject(o.App, o.Channel, o.Status), body, jetstream.WithRetryAttempts(100)); err != nil {
		t.Fatal(err)
	}
}

// always has every outcome heard that the stream keeps.
var always = time.Now().Add(-time.Hour)

func TestOutcomesAreChosen(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	for _, app := range []string{"default", "shop"} {
		for _, ch := range messages.Channels() {
			for _, s := range messages.Statuses() {
				tell(t, js, messages.Outcome{ID: fmt.Sprintf("%s-%s-%s", app, ch, s), App: app, Channel: ch, Status: s})
			}
		}
	}
	tell(t, js, messages.Outcome{ID: "end", App: "shop"}) // everyone below hears it, and no one hears more after it

	for name, c := range map[string]struct {
		opts messages.OutcomesOptions
		want []string
	}{
		"one status": {
			messages.OutcomesOptions{App: "shop", Statuses: []messages.Status{messages.StatusDead}},
			[]string{"shop-email-dead", "shop-sms-dead", "end"},
		},
		"two statuses": {
			messages.OutcomesOptions{App: "shop", Channel: messages.SMS, Statuses: []messages.Status{messages.StatusUndelivered, messages.StatusDead}},
			[]string{"shop-sms-dead", "shop-sms-undelivered", "end"},
		},
		"every app's": {
			messages.OutcomesOptions{App: "*", Statuses: []messages.Status{messages.StatusSent, messages.StatusDead}},
			[]string{"default-email-sent", "default-email-dead", "default-sms-sent", "default-sms-dead", "shop-email-sent", "shop-email-dead", "shop-sms-sent", "shop-sms-dead", "end"},
		},
		"a channel": {
			messages.OutcomesOptions{App: "shop", Channel: messages.SMS},
			[]string{"shop-sms-sent", "shop-sms-retrying", "shop-sms-unknown", "shop-sms-dead", "shop-sms-delivered", "shop-sms-undelivered", "end"},
		},
	} {
		for _, durable := range []string{"", strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", "")} {
			t.Run(name+" "+durable, func(t *testing.T) {
				c.opts.Since, c.opts.Durable = always, durable
				hear(t, js, c.opts, nil).want(c.want...)
			})
		}
	}
	t.Run("from now on", func(t *testing.T) {
		h := hear(t, js, messages.OutcomesOptions{}, nil)
		awaitConsumers(t, js, 1)
		tell(t, js, messages.Outcome{ID: "new"})
		h.want("new")
	})
}

// awaitConsumers waits until somebody listens who has no durable.
func awaitConsumers(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	s, err := js.Stream(t.Context(), messages.OutcomesName)
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(outcomePatience); time.Now().Before(limit); {
		found := 0
		for info := range s.ListConsumers(t.Context()).Info() {
			if info.Config.Durable == "" && info.Config.DeliverPolicy == jetstream.DeliverNewPolicy {
				found++
			}
		}
		if found >= n {
			return
		}
	}
	t.Fatal("nobody listens")
}

func TestWhatIsNoOutcomeIsPassedOver(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	for _, body := range []string{"", "{", "[]", `{"id":7}`, "{}", "\xff"} {
		if _, err := js.Publish(t.Context(), "codeferry.outcome.default.sms.dead", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	tell(t, js, messages.Outcome{ID: "good"})
	h := hear(t, js, messages.OutcomesOptions{Durable: "auth", Since: always}, nil)
	h.want("good")
	for range 6 {
		h.wantTrouble("is no outcome")
	}
	awaitSettled(t, js, "auth")
}

// awaitSettled waits until a durable has nothing more to hand out.
func awaitSettled(t *testing.T, js jetstream.JetStream, durable string) {
	t.Helper()
	for limit := time.Now().Add(outcomePatience); time.Now().Before(limit); {
		c, err := js.Consumer(t.Context(), messages.OutcomesName, durable)
		if err != nil {
			t.Fatal(err)
		}
		if info := c.CachedInfo(); info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
	}
	t.Fatal("outcomes are left over")
}

// TestAnOutcomeThatIsNotTakenComesAgain: and holds up no other one.
func TestAnOutcomeThatIsNotTakenComesAgain(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	for _, durable := range []string{"", "auth"} {
		t.Run("durable "+durable, func(t *testing.T) {
			tell(t, js, messages.Outcome{ID: "1", App: "shop" + durable})
			tell(t, js, messages.Outcome{ID: "2", App: "shop" + durable})
			failed := false
			h := hear(t, js, messages.OutcomesOptions{App: "shop" + durable, Durable: durable, Since: always}, func(_ context.Context, o messages.Outcome) error {
				if o.ID == "1" && !failed {
					failed = true
					return errors.New("the database is away")
				}
				return nil
			})
			h.want("1", "2", "1")
			h.wantTrouble("the database is away")
		})
	}
}

func TestADurableGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	opts := messages.OutcomesOptions{Durable: "auth", Since: always}
	tell(t, js, messages.Outcome{ID: "1"})
	h := hear(t, js, opts, nil)
	h.want("1")
	awaitSettled(t, js, "auth")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	tell(t, js, messages.Outcome{ID: "2"})

	// One that ends in the midst of it leaves it to the next.
	entered := make(chan struct{})
	h = hear(t, js, opts, func(ctx context.Context, _ messages.Outcome) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	<-entered
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = hear(t, js, opts, nil)
	h.want("2")

	// Other statuses are wanted from now on, by the same name.
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	opts.Statuses = []messages.Status{messages.StatusSent}
	tell(t, js, messages.Outcome{ID: "3"})
	tell(t, js, messages.Outcome{ID: "4", Status: messages.StatusSent})
	hear(t, js, opts, nil).want("4")
	c, err := js.Consumer(t.Context(), messages.OutcomesName, "auth")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.CachedInfo().Config.FilterSubject; got != "codeferry.outcome.default.*.sent" {
		t.Errorf("the server sends %s", got)
	}
}

func TestTheServicesOfOneDurableShareTheOutcomes(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	opts := messages.OutcomesOptions{Durable: "auth", Since: always}
	busy, release := make(chan string, 2), make(chan struct{})
	hold := func(_ context.Context, o messages.Outcome) error {
		busy <- o.ID
		<-release
		return nil
	}
	hear(t, js, opts, hold)
	hear(t, js, opts, hold)
	tell(t, js, messages.Outcome{ID: "1"})
	tell(t, js, messages.Outcome{ID: "2"})
	if a, b := <-busy, <-busy; a == b {
		t.Errorf("both have %s", a)
	}
	close(release)
	awaitSettled(t, js, "auth")
}

// TestASlowServiceKeepsItsOutcome: it tells the server that it is at work.
func TestASlowServiceKeepsItsOutcome(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	if _, err := js.CreateConsumer(t.Context(), messages.OutcomesName, jetstream.ConsumerConfig{
		Durable: "auth", FilterSubject: "codeferry.outcome.default.*.*", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 300 * time.Millisecond,
	}); err != nil {
		t.Fatal(err)
	}
	acks := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("$JS.ACK.>", acks); err != nil {
		t.Fatal(err)
	}
	h := hear(t, js, messages.OutcomesOptions{Durable: "auth"}, func(context.Context, messages.Outcome) error {
		for range 5 {
			if a := <-acks; string(a.Data) != "+WPI" {
				t.Errorf("the server is told %q", a.Data)
			}
		}
		return nil
	})
	tell(t, js, messages.Outcome{ID: "1"})
	h.want("1")
	if a := <-acks; string(a.Data) != "+ACK" && string(a.Data) != "+WPI" {
		t.Errorf("the server is told %q", a.Data)
	}
}

func TestOutcomesOutliveTheServer(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "auth"} {
		t.Run("durable "+durable, func(t *testing.T) {
			s := startServer(t)
			nc := s.connect(t)
			js := provision(t, nc, messages.StreamOptions{})
			h := hear(t, js, messages.OutcomesOptions{Durable: durable, Since: always}, nil)
			tell(t, js, messages.Outcome{ID: "1"})
			h.want("1")
			back := nc.StatusChanged(nats.CONNECTED)
			s.stop()
			s.start(t)
			<-back
			tell(t, js, messages.Outcome{ID: "2"})
			h.want("2")
		})
	}
}

func TestADeletedConsumerIsMadeAgain(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	remove := func() {
		s, err := js.Stream(t.Context(), messages.OutcomesName)
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.ConsumerNames(t.Context()).Name() {
			if err := js.DeleteConsumer(t.Context(), messages.OutcomesName, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("without a name", func(t *testing.T) {
		h := hear(t, js, messages.OutcomesOptions{App: "shop", Since: always}, nil)
		tell(t, js, messages.Outcome{ID: "1", App: "shop"})
		h.want("1")
		remove()
		tell(t, js, messages.Outcome{ID: "2", App: "shop"})
		h.want("2") // and not the first one again
	})
	t.Run("durable", func(t *testing.T) {
		h := hear(t, js, messages.OutcomesOptions{App: "bank", Durable: "bank"}, nil)
		awaitDurable(t, js, "bank")
		tell(t, js, messages.Outcome{ID: "1", App: "bank"})
		h.want("1")
		remove()
		tell(t, js, messages.Outcome{ID: "2", App: "bank"})
		h.want("1", "2") // another one who shares it may have had the first
	})
	t.Run("with its stream", func(t *testing.T) {
		h := hear(t, js, messages.OutcomesOptions{App: "club", Durable: "club"}, nil)
		awaitDurable(t, js, "club")
		tell(t, js, messages.Outcome{ID: "2", App: "club"})
		h.want("2")
		if err := js.DeleteStream(t.Context(), messages.OutcomesName); err != nil {
			t.Fatal(err)
		}
		h.wantTrouble("codeferry provision")
		if _, err := js.CreateStream(t.Context(), messages.Streams(messages.StreamOptions{})[1]); err != nil {
			t.Fatal(err)
		}
		tell(t, js, messages.Outcome{ID: "3", App: "club"})
		h.want("3")
	})
}

func awaitDurable(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	for limit := time.Now().Add(outcomePatience); time.Now().Before(limit); {
		if _, err := js.Consumer(t.Context(), messages.OutcomesName, name); err == nil {
			return
		}
	}
	t.Fatal("the consumer is not made")
}

func TestOutcomesThatCanNotBegin(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	never := func(context.Context, messages.Outcome) error { return nil }
	for field, o := range map[string]messages.OutcomesOptions{
		"app":     {App: "a.b"},
		"channel": {Channel: "fax"},
		"status":  {Statuses: []messages.Status{"gone"}},
		"durable": {Durable: "a.b"},
	} {
		wantField(t, messages.Outcomes(t.Context(), js, o, never), field)
	}
	if err := messages.Outcomes(t.Context(), js, messages.OutcomesOptions{}, never); !errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "codeferry provision") {
		t.Errorf("without the stream: %v", err)
	}
	provision(t, nc, messages.StreamOptions{})
	if _, err := js.CreateConsumer(t.Context(), messages.OutcomesName, jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	if err := messages.Outcomes(t.Context(), js, messages.OutcomesOptions{Durable: "other"}, never); err == nil || !strings.Contains(err.Error(), "another's") {
		t.Errorf("over another's consumer: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := messages.Outcomes(over, js, messages.OutcomesOptions{}, never); err != nil {
		t.Errorf("with a context that is over: %v", err)
	}
}

func TestOutcomesOfAClosedConnection(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	ended := make(chan error, 1)
	entered := make(chan struct{})
	go func() {
		ended <- messages.Outcomes(t.Context(), js, messages.OutcomesOptions{Since: always}, func(context.Context, messages.Outcome) error {
			close(entered)
			return nil
		})
	}()
	tell(t, js, messages.Outcome{ID: "1"})
	<-entered
	nc.Close()
	if err := <-ended; !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("got %v", err)
	}
}
