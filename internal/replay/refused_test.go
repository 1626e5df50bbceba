package replay_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/replay"
)

// TestReplayThatMayNotErase: a message that was published counts, also if the server does not
// permit to erase its dead letter. The refusal ends the replay at once; the next one finds
// that the message was replayed.
func TestReplayThatMayNotErase(t *testing.T) {
	t.Parallel()
	r := newRigOn(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "a"},
			{Username: "reader", Password: "r", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.MSG.DELETE.>"}}}},
		}
	}, nats.UserInfo("admin", "a"))
	r.store(r.letter("one", "k1"))

	ctx, refuse := context.WithCancelCause(t.Context())
	defer refuse(nil)
	nc, err := nats.Connect(r.nc.ConnectedUrl(), nats.UserInfo("reader", "r"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			refuse(err)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	report, err := replay.Run(ctx, nc, js, replay.Options{})
	if !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("the error is %v, want the refusal", err)
	}
	if report[replay.Replayed] != 1 || report.Total() != 1 {
		t.Errorf("the report is %v, want 1 replayed", report)
	}
	report, err = replay.Run(t.Context(), r.nc, r.js, replay.Options{})
	if err != nil || report[replay.AlreadyReplayed] != 1 || report.Total() != 1 {
		t.Errorf("the next replay: %v, %v; want 1 already replayed", report, err)
	}
}
