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

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// listener is a running messages.SubscribeOutcomes.
type listener struct {
	t    *testing.T
	got  chan messages.Outcome
	errs chan error
	stop func() error
}

// listen runs SubscribeOutcomes until the test ends or stop is called. It calls f, if it is
// not nil, before it sends the outcome to got.
func listen(t *testing.T, nc *nats.Conn, o messages.OutcomesOptions, f func(context.Context, messages.Outcome) error) *listener {
	t.Helper()
	h := &listener{t: t, got: make(chan messages.Outcome, 100), errs: make(chan error, 1000)}
	o.ErrorHandler = func(err error) { h.errs <- err }
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- messages.SubscribeOutcomes(ctx, nc, o, func(ctx context.Context, o messages.Outcome) error {
			var err error
			if f != nil {
				err = f(ctx, o)
			}
			h.got <- o
			return err
		})
	}()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return h.end(ended)
	})
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("SubscribeOutcomes returned %v", err)
		}
	})
	return h
}

const outcomePatience = check.Patience

func (h *listener) end(ended <-chan error) error {
	h.t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(outcomePatience):
		h.t.Fatal("SubscribeOutcomes does not end")
	}
	return nil
}

// want waits for outcomes with these ids, in this order.
func (h *listener) want(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		if got := h.next("an outcome of " + id); got != id {
			h.t.Fatalf("the next outcome is of %s, want %s", got, id)
		}
	}
}

// next waits for an outcome, which what names, and returns its id.
func (h *listener) next(what string) string {
	h.t.Helper()
	select {
	case o := <-h.got:
		return o.ID
	case <-time.After(outcomePatience):
		h.t.Fatalf("%s did not come", what)
	}
	return ""
}

// wantError waits for an error that contains text.
func (h *listener) wantError(text string) {
	h.t.Helper()
	limit := time.After(outcomePatience)
	for {
		select {
		case err := <-h.errs:
			if strings.Contains(err.Error(), text) {
				return
			}
		case <-limit:
			h.t.Fatalf("no error contains %q", text)
		}
	}
}

func publishOutcome(t *testing.T, js jetstream.JetStream, o messages.Outcome) {
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
	if _, err := js.Publish(ctx, wire.OutcomeSubject(o.App, o.Channel, o.Status), body, jetstream.WithRetryAttempts(100)); err != nil {
		t.Fatal(err)
	}
}

// hourAgo is before every outcome of these tests.
var hourAgo = time.Now().Add(-time.Hour)

func TestSubscribeOutcomesFilters(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	for _, app := range []string{"default", "shop"} {
		for _, ch := range messages.Channels() {
			for _, s := range messages.Statuses() {
				publishOutcome(t, js, messages.Outcome{ID: fmt.Sprintf("%s-%s-%s", app, ch, s), App: app, Channel: ch, Status: s})
			}
		}
	}
	publishOutcome(t, js, messages.Outcome{ID: "end", App: "shop"}) // the last outcome of each listener below

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
			[]string{"shop-sms-sent", "shop-sms-retrying", "shop-sms-unknown", "shop-sms-dead", "shop-sms-superseded", "shop-sms-delivered", "shop-sms-undelivered", "end"},
		},
	} {
		for _, durable := range []string{"", strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", "")} {
			t.Run(name+" "+durable, func(t *testing.T) {
				c.opts.Since, c.opts.Durable = hourAgo, durable
				listen(t, nc, c.opts, nil).want(c.want...)
			})
		}
	}
	t.Run("from now on", func(t *testing.T) {
		h := listen(t, nc, messages.OutcomesOptions{}, nil)
		awaitConsumers(t, js, 1)
		publishOutcome(t, js, messages.Outcome{ID: "new"})
		h.want("new")
	})
}

// awaitConsumers waits until n consumers without a durable listen.
func awaitConsumers(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	s, err := js.Stream(t.Context(), wire.OutcomesName)
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
	t.Fatalf("fewer than %d consumers without a durable listen", n)
}

func TestSubscribeOutcomesIgnoresOtherMessages(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	for _, body := range []string{"", "{", "[]", `{"id":7}`, "{}", "\xff"} {
		if _, err := js.Publish(t.Context(), "codeferry.outcome.default.sms.dead", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	publishOutcome(t, js, messages.Outcome{ID: "good"})
	h := listen(t, nc, messages.OutcomesOptions{Durable: "auth", Since: hourAgo}, nil)
	h.want("good")
	for range 6 {
		h.wantError("is not an outcome")
	}
	awaitSettled(t, js, "auth")
}

// awaitSettled waits until a durable has no outcome that waits for delivery or for an ack.
func awaitSettled(t *testing.T, js jetstream.JetStream, durable string) {
	t.Helper()
	for limit := time.Now().Add(outcomePatience); time.Now().Before(limit); {
		c, err := js.Consumer(t.Context(), wire.OutcomesName, durable)
		if err != nil {
			t.Fatal(err)
		}
		if info := c.CachedInfo(); info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
	}
	t.Fatalf("the durable %s still has outcomes", durable)
}

// TestSubscribeOutcomesRetries: an outcome for which f fails comes again, and the others do
// not wait for it.
func TestSubscribeOutcomesRetries(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	for _, durable := range []string{"", "auth"} {
		t.Run("durable "+durable, func(t *testing.T) {
			publishOutcome(t, js, messages.Outcome{ID: "1", App: "shop" + durable})
			publishOutcome(t, js, messages.Outcome{ID: "2", App: "shop" + durable})
			second := false
			h := listen(t, nc, messages.OutcomesOptions{App: "shop" + durable, Durable: durable, Since: hourAgo}, func(_ context.Context, o messages.Outcome) error {
				if o.ID == "2" {
					second = true
				} else if !second {
					return errors.New("the database is down")
				}
				return nil
			})
			h.want("1")
			id := "1"
			for id == "1" { // on a busy machine it comes again before the second one
				id = h.next("the second outcome, while the first one fails")
			}
			check.Equal(t, "the outcome after the first one's failures", id, "2")
			h.want("1")
			h.wantError("the database is down")
		})
	}
}

func TestDurableContinuesAtItsPlace(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	opts := messages.OutcomesOptions{Durable: "auth", Since: hourAgo}
	publishOutcome(t, js, messages.Outcome{ID: "1"})
	h := listen(t, nc, opts, nil)
	h.want("1")
	awaitSettled(t, js, "auth")
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	publishOutcome(t, js, messages.Outcome{ID: "2"})

	// A process that ends while f works leaves the outcome to the next one.
	entered := make(chan struct{})
	h = listen(t, nc, opts, func(ctx context.Context, _ messages.Outcome) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	})
	<-entered
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = listen(t, nc, opts, nil)
	h.want("2")

	// The same durable with other statuses.
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	opts.Statuses = []messages.Status{messages.StatusSent}
	publishOutcome(t, js, messages.Outcome{ID: "3"})
	publishOutcome(t, js, messages.Outcome{ID: "4", Status: messages.StatusSent})
	listen(t, nc, opts, nil).want("4")
	c, err := js.Consumer(t.Context(), wire.OutcomesName, "auth")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.CachedInfo().Config.FilterSubject; got != "codeferry.outcome.default.*.sent" {
		t.Errorf("the consumer filters %s, want codeferry.outcome.default.*.sent", got)
	}
}

func TestDurableIsShared(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	opts := messages.OutcomesOptions{Durable: "auth", Since: hourAgo}
	busy, release := make(chan string, 2), make(chan struct{})
	hold := func(_ context.Context, o messages.Outcome) error {
		busy <- o.ID
		<-release
		return nil
	}
	listen(t, nc, opts, hold)
	listen(t, nc, opts, hold)
	publishOutcome(t, js, messages.Outcome{ID: "1"})
	publishOutcome(t, js, messages.Outcome{ID: "2"})
	if a, b := <-busy, <-busy; a == b {
		t.Errorf("both processes got outcome %s", a)
	}
	close(release)
	awaitSettled(t, js, "auth")
}

// TestSubscribeOutcomesSendsInProgress while f works, so that the outcome does not come again.
func TestSubscribeOutcomesSendsInProgress(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	if _, err := js.CreateConsumer(t.Context(), wire.OutcomesName, jetstream.ConsumerConfig{
		Durable: "auth", FilterSubject: "codeferry.outcome.default.*.*", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 300 * time.Millisecond,
	}); err != nil {
		t.Fatal(err)
	}
	acks := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("$JS.ACK.>", acks); err != nil {
		t.Fatal(err)
	}
	h := listen(t, nc, messages.OutcomesOptions{Durable: "auth"}, func(context.Context, messages.Outcome) error {
		for range 5 {
			if a := <-acks; string(a.Data) != "+WPI" {
				t.Errorf("while f works the server gets %q, want +WPI", a.Data)
			}
		}
		return nil
	})
	publishOutcome(t, js, messages.Outcome{ID: "1"})
	h.want("1")
	if a := <-acks; string(a.Data) != "+ACK" && string(a.Data) != "+WPI" {
		t.Errorf("after f the server gets %q, want +ACK or a last +WPI", a.Data)
	}
}

func TestSubscribeOutcomesAfterAServerRestart(t *testing.T) {
	t.Parallel()
	for _, durable := range []string{"", "auth"} {
		t.Run("durable "+durable, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t)
			nc := s.Connect(t)
			js := natstest.Provision(t, nc, wire.StreamOptions{})
			h := listen(t, nc, messages.OutcomesOptions{Durable: durable, Since: hourAgo}, nil)
			publishOutcome(t, js, messages.Outcome{ID: "1"})
			h.want("1")
			back := nc.StatusChanged(nats.CONNECTED)
			s.Stop()
			s.Again(t)
			<-back
			publishOutcome(t, js, messages.Outcome{ID: "2"})
			h.want("2")
		})
	}
}

func TestSubscribeOutcomesCreatesADeletedConsumer(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	remove := func() {
		s, err := js.Stream(t.Context(), wire.OutcomesName)
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.ConsumerNames(t.Context()).Name() {
			if err := js.DeleteConsumer(t.Context(), wire.OutcomesName, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("without a name", func(t *testing.T) {
		h := listen(t, nc, messages.OutcomesOptions{App: "shop", Since: hourAgo}, nil)
		publishOutcome(t, js, messages.Outcome{ID: "1", App: "shop"})
		h.want("1")
		remove()
		publishOutcome(t, js, messages.Outcome{ID: "2", App: "shop"})
		h.want("2") // and not the first one again
	})
	t.Run("durable", func(t *testing.T) {
		h := listen(t, nc, messages.OutcomesOptions{App: "bank", Durable: "bank"}, nil)
		awaitDurable(t, js, "bank")
		publishOutcome(t, js, messages.Outcome{ID: "1", App: "bank"})
		h.want("1")
		remove()
		publishOutcome(t, js, messages.Outcome{ID: "2", App: "bank"})
		h.want("1", "2") // another process of the durable may have had the first one
	})
	t.Run("with its stream", func(t *testing.T) {
		h := listen(t, nc, messages.OutcomesOptions{App: "club", Durable: "club"}, nil)
		awaitDurable(t, js, "club")
		publishOutcome(t, js, messages.Outcome{ID: "2", App: "club"})
		h.want("2")
		if err := js.DeleteStream(t.Context(), wire.OutcomesName); err != nil {
			t.Fatal(err)
		}
		h.wantError("codeferry provision")
		if _, err := js.CreateStream(t.Context(), wire.StreamConfigs(wire.StreamOptions{})[1]); err != nil {
			t.Fatal(err)
		}
		publishOutcome(t, js, messages.Outcome{ID: "3", App: "club"})
		h.want("3")
	})
}

func awaitDurable(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	for limit := time.Now().Add(outcomePatience); time.Now().Before(limit); {
		if _, err := js.Consumer(t.Context(), wire.OutcomesName, name); err == nil {
			return
		}
	}
	t.Fatalf("there is no consumer %s", name)
}

func TestSubscribeOutcomesCanNotBegin(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	never := func(context.Context, messages.Outcome) error { return nil }
	for field, o := range map[string]messages.OutcomesOptions{
		"app":       {App: "a.b"},
		"channel":   {Channel: "fax"},
		"status":    {Statuses: []messages.Status{"gone"}},
		"durable":   {Durable: "a.b"},
		"apiPrefix": {Domain: "hub", APIPrefix: "$JS.hub.API"},
	} {
		wantField(t, messages.SubscribeOutcomes(t.Context(), nc, o, never), field)
	}
	if err := messages.SubscribeOutcomes(t.Context(), nc, messages.OutcomesOptions{}, never); !errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "codeferry provision") {
		t.Errorf("without the stream: error is %v, want ErrStreamNotFound and the command that creates it", err)
	}
	natstest.Provision(t, nc, wire.StreamOptions{})
	if _, err := js.CreateConsumer(t.Context(), wire.OutcomesName, jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	if err := messages.SubscribeOutcomes(t.Context(), nc, messages.OutcomesOptions{Durable: "other"}, never); err == nil || !strings.Contains(err.Error(), "was not made by SubscribeOutcomes") {
		t.Errorf("with a consumer of another program: error is %v, want one that says that SubscribeOutcomes did not make it", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := messages.SubscribeOutcomes(ended, nc, messages.OutcomesOptions{}, never); err != nil {
		t.Errorf("with a context that has ended: error is %v, want none", err)
	}
}

func TestSubscribeOutcomesOnAClosedConnection(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	ended := make(chan error, 1)
	entered := make(chan struct{})
	go func() {
		ended <- messages.SubscribeOutcomes(t.Context(), nc, messages.OutcomesOptions{Since: hourAgo}, func(context.Context, messages.Outcome) error {
			close(entered)
			return nil
		})
	}()
	publishOutcome(t, js, messages.Outcome{ID: "1"})
	<-entered
	nc.Close()
	if err := <-ended; !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("error is %v, want ErrNotConnected", err)
	}
}
