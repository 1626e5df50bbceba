package messages_test

import (
	"context"
	"testing"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestTraceParent: a message carries the trace context of the context that publishes it. A
// text that is not one could hold a secret, and is left out.
func TestTraceParent(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	type key struct{}
	p := newPublisher(t, nc, messages.PublisherOptions{TraceParent: func(ctx context.Context) string {
		parent, _ := ctx.Value(key{}).(string)
		return parent
	}})
	for _, c := range []struct{ given, want string }{{good, good}, {"", ""}, {"my-secret", ""}} {
		s, m := code()
		if _, err := p.Publish(context.WithValue(t.Context(), key{}, c.given), s, m); err != nil {
			t.Fatal(err)
		}
		if got := natstest.Next(t, js, messages.SMS).Headers().Get("traceparent"); got != c.want {
			t.Errorf("with %q the header is %q, want %q", c.given, got, c.want)
		}
	}
	s, m := code()
	msg, err := messages.NewMsg(s, m, messages.PublisherOptions{TraceParent: func(context.Context) string { return good }})
	if err != nil {
		t.Fatal(err)
	}
	if got := msg.Header.Get("traceparent"); got != good {
		t.Errorf("the header of NewMsg is %q, want %q", got, good)
	}
}
