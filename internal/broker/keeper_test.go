package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages/wire"
)

// jetStreamWith starts a server whose store has this size.
func jetStreamWith(t *testing.T, maxStore int64) jetstream.JetStream {
	t.Helper()
	s := natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = maxStore })
	_, js := connect(t, s.ClientURL())
	return js
}

func streamConfig(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(deadline(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

func consumerConfig(t *testing.T, js jetstream.JetStream, name string) jetstream.ConsumerConfig {
	t.Helper()
	c, err := js.Consumer(deadline(t), wire.StreamName, name)
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo().Config
}

func findings(t *testing.T, js jetstream.JetStream, o wire.StreamOptions) []broker.Finding {
	t.Helper()
	all, nothing, err := broker.Inspect(deadline(t), js, o)
	if err != nil || nothing {
		t.Fatalf("inspected with nothing = %v, %v", nothing, err)
	}
	return all
}

// TestWhatIsMadeIsAsNeeded: after a stream and a consumer were made, in any way, the server
// shows no difference.
func TestWhatIsMadeIsAsNeeded(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(context.Context, jetstream.JetStream, wire.StreamOptions) error{"Provision": broker.Provision, "Ensure": broker.Ensure} {
		js := jetStreamWith(t, 1<<40)
		if _, nothing, err := broker.Inspect(deadline(t), js, wire.StreamOptions{}); err != nil || !nothing {
			t.Errorf("before %s: nothing = %v, %v", name, nothing, err)
		}
		for range 2 {
			if err := f(deadline(t), js, wire.StreamOptions{}); err != nil {
				t.Fatal(name, err)
			}
			if got := findings(t, js, wire.StreamOptions{}); len(got) > 0 {
				t.Errorf("after %s: %+v", name, got)
			}
		}
		if got := streamConfig(t, js, wire.StreamName).FirstSeq; got > 1 {
			t.Errorf("%s begins at %d, where nothing was before", name, got)
		}
	}
}

func TestEnsureRepairs(t *testing.T) {
	t.Parallel()
	js := jetStreamWith(t, 1<<40)
	k := broker.NewKeeper(js, wire.StreamOptions{}, nil, zerolog.Nop())
	if err := k.Ensure(deadline(t)); err != nil {
		t.Fatal(err)
	}
	c := consumerConfig(t, js, "sms")
	c.MaxDeliver, c.AckWait, c.MaxAckPending, c.MaxRequestBatch, c.Metadata = 3, time.Second, 1, 10, map[string]string{"team": "login"}
	if _, err := js.UpdateConsumer(deadline(t), wire.StreamName, c); err != nil {
		t.Fatal(err)
	}
	s := streamConfig(t, js, wire.StreamName)
	s.MaxAge, s.AllowDirect, s.MaxBytes = time.Hour, true, 7<<20
	if _, err := js.UpdateStream(deadline(t), s); err != nil {
		t.Fatal(err)
	}
	var text string
	for _, f := range findings(t, js, wire.StreamOptions{}) {
		text += f.Text + "\n"
	}
	for _, field := range []string{
		"max_deliver of consumer sms is 3, and has to be -1", "ack_wait of consumer sms is 1s, and has to be 30s", "max_ack_pending of consumer sms is 1,",
		"max_batch of consumer sms is 10; the worker keeps to it", "max_age of stream CODEFERRY is 1h0m0s, and has to be 0s", "allow_direct of stream CODEFERRY",
	} {
		if !strings.Contains(text, field) {
			t.Errorf("check does not say %q: %s", field, text)
		}
	}
	if err := k.Ensure(deadline(t)); err != nil {
		t.Fatal(err)
	}
	c, s = consumerConfig(t, js, "sms"), streamConfig(t, js, wire.StreamName)
	if c.MaxDeliver != -1 || c.AckWait != 30*time.Second || c.MaxAckPending != 100_000 {
		t.Errorf("the consumer is not repaired: %+v", c)
	}
	if c.MaxRequestBatch != 10 || c.Metadata["team"] != "login" || s.MaxBytes != 7<<20 {
		t.Errorf("an operator's choice is gone: %+v %+v", c, s)
	}
	if s.MaxAge != 0 || s.AllowDirect {
		t.Errorf("the stream is not repaired: %+v", s)
	}
	if err := broker.Provision(deadline(t), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if c = consumerConfig(t, js, "sms"); c.MaxRequestBatch != 0 {
		t.Errorf("provision leaves max_batch %d", c.MaxRequestBatch)
	}
	if s = streamConfig(t, js, wire.StreamName); s.MaxBytes != 7<<20 {
		t.Errorf("provision changes a size that nobody has given, to %d", s.MaxBytes)
	}
}

func TestEnsureRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil  func(t *testing.T, js jetstream.JetStream)
		says   []string
		blocks bool
	}{
		"a consumer in memory": {func(t *testing.T, js jetstream.JetStream) {
			t.Helper()
			c := consumerConfig(t, js, "sms")
			if err := js.DeleteConsumer(deadline(t), wire.StreamName, "sms"); err != nil {
				t.Fatal(err)
			}
			c.MemoryStorage, c.MaxDeliver = true, 3
			if _, err := js.CreateConsumer(deadline(t), wire.StreamName, c); err != nil {
				t.Fatal(err)
			}
		}, []string{"mem_storage of consumer sms is true, and has to be false", "delete the consumer"}, true},
		"a paused consumer": {func(t *testing.T, js jetstream.JetStream) {
			t.Helper()
			if _, err := js.PauseConsumer(deadline(t), wire.StreamName, "email", time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, []string{"pause_until of consumer email"}, true},
		"sealed dead letters": {func(t *testing.T, js jetstream.JetStream) {
			t.Helper()
			s := streamConfig(t, js, wire.DeadName)
			s.Sealed = true
			if _, err := js.UpdateStream(deadline(t), s); err != nil {
				t.Fatal(err)
			}
		}, []string{"sealed of stream CODEFERRY_DEAD is true"}, false},
		"no work queue": {func(t *testing.T, js jetstream.JetStream) {
			t.Helper()
			s := streamConfig(t, js, wire.StreamName)
			if err := js.DeleteStream(deadline(t), s.Name); err != nil {
				t.Fatal(err)
			}
			s.Retention, s.FirstSeq = jetstream.LimitsPolicy, 0
			if _, err := js.CreateStream(deadline(t), s); err != nil {
				t.Fatal(err)
			}
		}, []string{"retention of stream CODEFERRY is Limits, and has to be WorkQueue"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := jetStreamWith(t, 1<<40)
			if err := broker.Provision(deadline(t), js, wire.StreamOptions{}); err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, js)
			err := broker.Ensure(deadline(t), js, wire.StreamOptions{})
			var unfit *broker.UnfitError
			if !errors.As(err, &unfit) || unfit.Blocks() != tt.blocks {
				t.Fatalf("got %v, and it should block: %v", err, tt.blocks)
			}
			var text string
			for _, f := range findings(t, js, wire.StreamOptions{}) {
				text += f.Text + "\n"
			}
			for _, word := range tt.says {
				if !strings.Contains(err.Error(), word) || !strings.Contains(text, word) {
					t.Errorf("Ensure says %q and check %q, not both %q", err, text, word)
				}
			}
		})
	}
}

// TestWhatIsDeletedIsMadeAgain: a deleted stream is made again beyond its old sequences.
func TestWhatIsDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	js := jetStreamWith(t, 1<<40)
	k := broker.NewKeeper(js, wire.StreamOptions{}, nil, zerolog.Nop())
	if err := k.Ensure(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{
		{wire.StreamName},
		{wire.OutcomesName},
		{wire.DeadName},
		{wire.LedgerStream},
		{wire.StreamName, wire.OutcomesName, wire.DeadName, wire.LedgerStream},
	} {
		for _, name := range names {
			if err := js.DeleteStream(deadline(t), name); err != nil {
				t.Fatal(err)
			}
			for _, f := range findingsOrNothing(t, js) {
				check.True(t, "the finding is Missing", f.Missing, f)
				check.True(t, "the finding is Wrong", f.Wrong, f)
			}
		}
		if err := k.Ensure(deadline(t)); err != nil {
			t.Fatalf("Ensure after the delete of %v: %v", names, err)
		}
		if got := findings(t, js, wire.StreamOptions{}); len(got) > 0 {
			t.Errorf("after the delete of %v the findings are %+v, want none", names, got)
		}
		for _, name := range names {
			if got := streamConfig(t, js, name).FirstSeq; got < 1<<40 {
				t.Errorf("%s begins again at %d", name, got)
			}
		}
	}
	if _, err := js.KeyValue(deadline(t), wire.LedgerName); err != nil {
		t.Error(err)
	}
}

func findingsOrNothing(t *testing.T, js jetstream.JetStream) []broker.Finding {
	t.Helper()
	all, nothing, err := broker.Inspect(deadline(t), js, wire.StreamOptions{})
	if err != nil || !nothing && len(all) == 0 {
		t.Fatalf("nothing is said to be missing: %v", err)
	}
	return all
}

func TestStoresOfAnySize(t *testing.T) {
	t.Parallel()
	js := jetStreamWith(t, 512<<20)
	if err := broker.Ensure(deadline(t), js, wire.StreamOptions{}); err != nil {
		t.Errorf("on 512 MiB: %v", err)
	}
	js = jetStreamWith(t, 64<<20)
	err := broker.Ensure(deadline(t), js, wire.StreamOptions{MaxBytes: 8 << 20})
	if err == nil || !strings.Contains(err.Error(), "stream CODEFERRY_OUTCOMES is missing") || !strings.Contains(err.Error(), "128MiB: make nats.outcomesBytes smaller") {
		t.Errorf("on 64 MiB: %v", err)
	}
	err = broker.Provision(deadline(t), js, wire.StreamOptions{MaxBytes: 8 << 20, OutcomesBytes: 1 << 30})
	if err == nil || !strings.Contains(err.Error(), "1GiB: make nats.outcomesBytes smaller") {
		t.Errorf("provision on 64 MiB: %v", err)
	}
	small := wire.StreamOptions{MaxBytes: 8 << 20, OutcomesBytes: 8 << 20, DeadBytes: 8 << 20, LedgerBytes: 8 << 20}
	for name, f := range map[string]func(context.Context, jetstream.JetStream, wire.StreamOptions) error{"Ensure": broker.Ensure, "Provision": broker.Provision} {
		if err := f(deadline(t), js, small); err != nil {
			t.Errorf("%s of small ones on 64 MiB: %v", name, err)
		}
	}
	// A given size is set; a size without room changes nothing.
	small.OutcomesBytes, small.DeadBytes = 9<<20, 1<<30
	if err := broker.Ensure(deadline(t), js, small); err != nil {
		t.Errorf("a size without room stops all: %v", err)
	}
	if a, b := streamConfig(t, js, wire.OutcomesName).MaxBytes, streamConfig(t, js, wire.DeadName).MaxBytes; a != 9<<20 || b != 8<<20 {
		t.Errorf("the sizes are %d and %d, want 9 and 8 MiB", a, b)
	}
}

// TestAFailedTryIsNotRepeatedAtOnce, because a request that is not permitted costs the wait
// for an answer.
func TestAFailedTryIsNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	js := jetStreamWith(t, 64<<20)
	k := broker.NewKeeper(js, wire.StreamOptions{}, nil, zerolog.Nop())
	if err := k.Ensure(deadline(t)); err == nil {
		t.Fatal("it fits")
	}
	info, err := js.AccountInfo(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	before := info.API.Errors
	if err := k.Ensure(deadline(t)); err == nil || !strings.Contains(err.Error(), "nats.maxBytes") {
		t.Errorf("the second time: %v", err)
	}
	if info, err = js.AccountInfo(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n := info.API.Errors - before; n > 4 { // the requests for what is missing
		t.Errorf("%d requests failed at the second try", n)
	}
}
