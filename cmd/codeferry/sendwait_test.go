package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func exitOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return -1
}

// TestWhatEndsAWait: a sent outcome of either place ends it, since a publish can be stored
// twice. Another one ends it only if it is of the acknowledged place.
func TestWhatEndsAWait(t *testing.T) {
	t.Parallel()
	o := func(s messages.Status, sequence uint64) messages.Outcome {
		return messages.Outcome{ID: "x", Status: s, Sequence: sequence}
	}
	other := o(messages.StatusDead, 18)
	other.ID = "y"
	for name, c := range map[string]struct {
		outcomes []messages.Outcome
		exit     int
		heard    int
	}{
		"sent":                         {[]messages.Outcome{o(messages.StatusRetrying, 18), o(messages.StatusSent, 18)}, 0, 2},
		"sent from the first place":    {[]messages.Outcome{o(messages.StatusSent, 17)}, 0, 1},
		"superseded":                   {[]messages.Outcome{o(messages.StatusSuperseded, 18)}, exitFailed, 1},
		"superseded, by an old one":    {[]messages.Outcome{o(messages.StatusSuperseded, 0)}, exitFailed, 1},
		"stored twice":                 {[]messages.Outcome{o(messages.StatusSuperseded, 17), o(messages.StatusSent, 18)}, 0, 2},
		"dead":                         {[]messages.Outcome{o(messages.StatusDead, 18)}, exitFailed, 1},
		"stored twice, the first died": {[]messages.Outcome{o(messages.StatusDead, 17), o(messages.StatusSent, 18)}, 0, 2},
		"another message":              {[]messages.Outcome{other, o(messages.StatusSent, 18)}, 0, 1},
	} {
		outcomes := make(chan *nats.Msg, len(c.outcomes))
		for _, o := range c.outcomes {
			body, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			outcomes <- &nats.Msg{Data: body}
		}
		var out bytes.Buffer
		w := outcomeWait{cmd: &sendCmd{Wait: time.Hour}, streams: streams{out: &out}, ack: messages.Ack{ID: "x", Sequence: 18}, outcomes: outcomes}
		err := w.until(t.Context(), nil, messages.Subject{})
		if exitOf(err) != c.exit || strings.Count(out.String(), "\n") != c.heard || len(outcomes) > 0 {
			t.Errorf("%s: exit status %d (%v), want %d: %s", name, exitOf(err), err, c.exit, out.String())
		}
	}
}

// hooked is a JetStream that calls a function before it reads a stream.
type hooked struct {
	jetstream.JetStream
	looked func()
}

func (j hooked) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	j.looked()
	return j.JetStream.Stream(ctx, name)
}

// TestAWaitThatIsOver: at the end send looks whether a newer code has superseded this one. An
// outcome that comes meanwhile counts.
func TestAWaitThatIsOver(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, c := range []struct {
		name    string
		newer   bool
		deleted bool
		doubt   bool
		heard   messages.Status // after the wait is over
		exit    int
		want    string
	}{
		{name: "it waits", exit: exitNoOutcome, want: "after 1ns, and the code may still be sent"},
		{name: "superseded", newer: true, exit: exitFailed, want: "A newer code superseded it (message %d for its subject); it was not sent, as far as its outcomes say"},
		{name: "superseded in doubt", newer: true, doubt: true, exit: exitNoOutcome, want: "it was in doubt, and may have been sent"},
		{name: "gone", deleted: true, exit: exitNoOutcome, want: "The code does not wait any more: it may have been sent"},
		{name: "superseded, and sent before", newer: true, heard: messages.StatusSent},
	} {
		subject := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: fmt.Sprint("u", i)}
		o := sent(ctx, t, js, subject, "x", messages.Outcome{ID: "x"})
		last := o.Sequence
		if c.newer {
			last = sent(ctx, t, js, subject, "y", messages.Outcome{}).Sequence
		}
		if c.deleted {
			remove(ctx, t, js, o.Sequence)
		}
		outcomes := make(chan *nats.Msg, 1)
		w := outcomeWait{
			key: subject.Key,
			cmd: &sendCmd{Wait: 1, Timeout: 30 * time.Second}, streams: streams{out: new(bytes.Buffer)}, ack: messages.Ack{ID: "x", Sequence: o.Sequence},
			outcomes: outcomes, doubt: c.doubt,
		}
		o.Status = c.heard
		body, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		err = w.until(ctx, hooked{js, func() {
			if c.heard != "" {
				outcomes <- &nats.Msg{Data: body}
			}
		}}, subject)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if want := strings.ReplaceAll(c.want, "%d", fmt.Sprint(last)); exitOf(err) != c.exit || !strings.Contains(text, want) {
			t.Errorf("%s: exit status %d, want %d: %s\nwant %s", c.name, exitOf(err), c.exit, text, want)
		}
		see := "to see what becomes of it (if NATS has roles, this takes the login and the --inbox-prefix of the operator): codeferry status x"
		if c.exit == exitFailed { // it is superseded, and nothing else is known of it
			see = "to see what becomes of the newer one (if NATS has roles, this takes the login and the --inbox-prefix of the operator): codeferry status --key " + subject.Key
		}
		if err != nil && !strings.Contains(text, see) {
			t.Errorf("%s: how to see its outcome is missing: %s", c.name, text)
		}
	}
}

// TestAWaitOfAPublisher: a publisher may not read the stream. Then it is not known whether a
// newer code superseded this one, and send says so.
func TestAWaitOfAPublisher(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "x"},
			{Username: "publisher", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"codeferry.send.>"}}}},
		}
	})
	natstest.Provision(t, srv.Connect(t, nats.UserInfo("admin", "x")), wire.StreamOptions{})
	r := call(t, "send", "--nats", "nats://publisher:x@"+srv.Addr().String(), "--channel", "sms", "--to", "+8613012345678", "--type", "SignIn", "--code", "123456", "--wait", "1ms").want(t, exitNoOutcome)
	const want = "there is no final outcome after 1ms. The code may still be sent, unless a newer code superseded it; that is not known, because this user may not read the stream; to see what becomes of it"
	if !strings.Contains(r.err, want) {
		t.Errorf("got %s\nwant %s", r.err, want)
	}
}
