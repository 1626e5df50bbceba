package messages_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestPublishWithoutAnInbox: if no acknowledgement can arrive, nothing is published. Otherwise
// a caller would repeat it, and the user would get two codes.
func TestPublishWithoutAnInbox(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "p"},
			{Username: "publisher", Password: "p", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_publisher.>"}}}},
		}
	})
	js := natstest.Provision(t, srv.Connect(t, nats.UserInfo("all", "p")), wire.StreamOptions{})
	s, m := code()

	p := newPublisher(t, srv.Connect(t, nats.UserInfo("publisher", "p")), messages.PublisherOptions{})
	for range 2 {
		if ack, err := p.Publish(t.Context(), s, m); !errors.Is(err, messages.ErrNoAnswers) || ack.ID == "" {
			t.Errorf("Publish: %+v, %v, want an id and ErrNoAnswers", ack, err)
		}
		if _, err := p.PublishAsync(s, m); !errors.Is(err, messages.ErrNoAnswers) {
			t.Errorf("PublishAsync: %v, want ErrNoAnswers", err)
		}
	}
	if n := natstest.Stored(t, js); n != 0 {
		t.Errorf("%d messages are stored, want none", n)
	}

	p = newPublisher(t, srv.Connect(t, nats.UserInfo("publisher", "p"), nats.CustomInboxPrefix("_INBOX_publisher")), messages.PublisherOptions{})
	if _, err := p.Publish(t.Context(), s, m); err != nil {
		t.Errorf("with the right prefix: %v", err)
	}
	if n := natstest.Stored(t, js); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}
