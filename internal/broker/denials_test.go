package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// TestARefusedRepair: a refusal ends the wait for an answer, the error names the reason once,
// and the Keeper takes what somebody else made.
func TestARefusedRepair(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "p"},
			{Username: "worker", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.CREATE.>", "$JS.API.CONSUMER.CREATE.>"}}}},
		}
	})
	var denials broker.Denials
	target := broker.Target{URL: s.ClientURL(), User: "worker", Password: sender.NewSecret("p"), Denied: denials.Heard}
	nc, err := broker.Connect(t.Context(), target, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := broker.JetStream(nc, target)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	k := broker.NewKeeper(js, wire.StreamOptions{}, &denials, zerolog.New(&log))
	ctx := deadline(t)
	err = k.Ensure(ctx)
	var unfit *broker.UnfitError
	if !errors.As(err, &unfit) || !unfit.Blocks() || !errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrTimeout) || ctx.Err() != nil {
		t.Fatalf("Ensure: %v, want an UnfitError about the permission", err)
	}
	if text := err.Error(); strings.Count(text, "run codeferry provision") != 1 || strings.Count(text, "is missing") != 4 {
		t.Errorf("the error names four streams and one reason: %s", text)
	}

	natstest.Provision(t, s.Connect(t, nats.UserInfo("all", "p")), wire.StreamOptions{})
	if err := k.Ensure(deadline(t)); err != nil {
		t.Errorf("after provision: %v", err)
	}
	if strings.Contains(log.String(), "made the") {
		t.Errorf("the Keeper made nothing, and says: %s", log.String())
	}
}

// another is a JetStream in which somebody else makes a stream or consumer first.
type another struct{ jetstream.JetStream }

var errLost = errors.New("somebody else was quicker")

func (a another) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if _, err := a.JetStream.CreateStream(ctx, cfg); err != nil {
		return nil, err
	}
	return nil, errLost
}

func (a another) CreateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if _, err := a.JetStream.CreateConsumer(ctx, stream, cfg); err != nil {
		return nil, err
	}
	return nil, errLost
}

// TestTheLogSaysWhoMadeIt: if somebody else was quicker, the Keeper does not say that it made
// a stream or consumer.
func TestTheLogSaysWhoMadeIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wrap func(jetstream.JetStream) jetstream.JetStream
		want string
	}{
		"this one": {func(js jetstream.JetStream) jetstream.JetStream { return js }, "made the %s"},
		"another":  {func(js jetstream.JetStream) jetstream.JetStream { return another{js} }, "the %s is there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, js := connect(t, natstest.Start(t).ClientURL())
			var log bytes.Buffer
			if err := broker.NewKeeper(tt.wrap(js), wire.StreamOptions{}, nil, zerolog.New(&log)).Ensure(deadline(t)); err != nil {
				t.Fatal(err)
			}
			for what, n := range map[string]int{"stream": 4, "consumer": 2} {
				if got := strings.Count(log.String(), `"message":"`+fmt.Sprintf(tt.want, what)+`"`); got != n || strings.Count(log.String(), "\n") != 6 {
					t.Errorf("the log has %d such lines about a %s, want %d: %s", got, what, n, log.String())
				}
			}
		})
	}
}

// TestADeniedLook: a server that denies a question has answered it. The error says what to do,
// and the connection does not leave the server, because every other one denies the same.
func TestADeniedLook(t *testing.T) {
	t.Parallel()
	for name, subject := range map[string]string{
		"a stream":   "$JS.API.STREAM.INFO." + wire.OutcomesName,
		"a consumer": "$JS.API.CONSUMER.INFO." + wire.StreamName + ".sms",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := natstest.Start(t, func(o *server.Options) {
				o.Users = []*server.User{
					{Username: "all", Password: "p"},
					{Username: "worker", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{subject}}}},
				}
			})
			natstest.Provision(t, s.Connect(t, nats.UserInfo("all", "p")), wire.StreamOptions{})
			var denials broker.Denials
			target := broker.Target{URL: s.ClientURL(), User: "worker", Password: sender.NewSecret("p"), Denied: denials.Heard}
			nc, err := broker.Connect(t.Context(), target, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			js, err := broker.JetStream(nc, target)
			if err != nil {
				t.Fatal(err)
			}
			err = broker.NewKeeper(js, wire.StreamOptions{}, &denials, zerolog.Nop()).Ensure(deadline(t))
			check.True(t, "it is a violation of a permission", errors.Is(err, nats.ErrPermissionViolation), err)
			check.True(t, "it is no silence", !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout), err)
			check.True(t, "it names the subject and the page", err != nil && strings.Contains(err.Error(), subject) && strings.Contains(err.Error(), "docs/roles.md"), err)
		})
	}
}
