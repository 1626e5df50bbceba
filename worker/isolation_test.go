package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// mailOf publishes a mail of an app.
func (r *rig) mailOf(app string, n int, more string) string {
	r.t.Helper()
	id := fmt.Sprintf("%s-%d", app, n)
	r.publish(fmt.Sprintf("codeferry.send.%s.email.SignIn.u%d", app, n),
		fmt.Sprintf(`{"id":%q,"to":"%s%d@example.com","type":"SignIn","payload":{"code":"123456"}%s}`, id, app, n, more))
	return id
}

// TestAnotherAppsTroubleIsItsOwn: one app's connector hangs, waits for its rate, or has an
// open breaker, with more messages than there are slots. The other app's codes are sent
// meanwhile.
func TestAnotherAppsTroubleIsItsOwn(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(t *testing.T) []func(*config.Config){
		"its provider hangs": func(t *testing.T) []func(*config.Config) {
			return []func(*config.Config){script("backup", newBarrier(t).hold)}
		},
		"its rate is used up": func(*testing.T) []func(*config.Config) {
			return []func(*config.Config){func(c *config.Config) {
				conn := c.Connectors["backup"]
				conn.RateLimit = 0.01
				c.Connectors["backup"] = conn
			}}
		},
		"its account is out": func(*testing.T) []func(*config.Config) {
			return []func(*config.Config){func(c *config.Config) { c.Worker.AccountPause = time.Hour }, script("backup", func(context.Context, *sender.Message) error {
				return &sender.Error{Class: sender.AccountDown, Code: "isv.AMOUNT_NOT_ENOUGH", Detail: "no money"}
			})}
		},
		"its provider can't be reached": func(*testing.T) []func(*config.Config) {
			return []func(*config.Config){func(c *config.Config) { c.Worker.HealthPause = time.Hour }, script("backup", func(context.Context, *sender.Message) error {
				return &sender.Error{Class: sender.Unavailable, Code: "SDK.ConnectError", Detail: "nobody there"}
			})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, backup, append(trouble(t), inApp("other", "backup"), func(c *config.Config) { c.Worker.Grace = 100 * time.Millisecond })...)
			r.start()
			r.story(r.mailOf("default", 0, ""))
			for i := range 100 {
				r.mailOf("other", i, "")
			}
			for i := 1; i <= 20; i++ {
				story := r.story(r.mailOf("default", i, ""))
				if last := story[len(story)-1]; last.Status != messages.StatusSent || last.Attempt != 1 {
					t.Fatalf("the other app's code %d: got %s at attempt %d, want sent at the first: %s", i, last.Status, last.Attempt, last.Detail)
				}
			}
		})
	}
}

// TestOneSlotUsesTheFirstConnector.
func TestOneSlotUsesTheFirstConnector(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d slots", slots), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, backup, route("direct-mail", "backup"), func(c *config.Config) { c.Worker.Concurrency = slots })
			r.start()
			by := map[string]int{}
			for i := range 5 {
				r.story(r.email(i, ""))
			}
			for _, m := range r.box.Inbox("") {
				by[m.AccountName]++
			}
			if by["no-reply@mail.example.com"] != 5 {
				t.Errorf("the connectors sent %v, want all 5 by the first", by)
			}
		})
	}
}

// TestTheConnectorThatCanServeSoonestDecides: the first connector asks to wait for an
// hour, the second one for a moment.
func TestTheConnectorThatCanServeSoonestDecides(t *testing.T) {
	t.Parallel()
	blip := make(chan struct{}, 1)
	blip <- struct{}{}
	r := newRig(t, backup, route("direct-mail", "backup"),
		script("direct-mail", func(context.Context, *sender.Message) error {
			return &sender.Error{Class: sender.Throttled, Code: "HTTP.429", RetryAfter: time.Hour, Detail: "later"}
		}),
		script("backup", func(context.Context, *sender.Message) error {
			select {
			case <-blip:
				return &sender.Error{Class: sender.Unavailable, Code: "SDK.ConnectError", Detail: "a blip"}
			default:
				return nil
			}
		}))
	r.start()
	story := r.story(r.email(1, ""))
	if last := story[len(story)-1]; last.Status != messages.StatusSent || last.Connector != "backup" {
		t.Errorf("the last outcome is %s by %q, want sent by backup: %s", last.Status, last.Connector, last.Detail)
	}
}

// TestOneAppDoesNotUseUpMaxAckPending: an app whose connector fails has more messages than
// the server hands out at once.
func TestOneAppDoesNotUseUpMaxAckPending(t *testing.T) {
	t.Parallel()
	r := newRig(t, backup, inApp("other", "backup"), func(c *config.Config) {
		c.Worker.AccountPause, c.Worker.Patience = time.Minute, 20*time.Millisecond
	}, script("backup", func(context.Context, *sender.Message) error {
		return &sender.Error{Class: sender.AccountDown, Code: "isv.AMOUNT_NOT_ENOUGH", Detail: "no money"}
	}))
	cfg := wire.ConsumerConfig(messages.Email, wire.StreamOptions{})
	cfg.MaxAckPending, r.asIs = 50, true
	if _, err := r.js.UpdateConsumer(r.ctx(), wire.StreamName, cfg); err != nil {
		t.Fatal(err)
	}
	r.start()
	for i := range 200 {
		r.mailOf("other", i, "")
	}
	story := r.story(r.mailOf("default", 1, ""))
	if last := story[len(story)-1]; last.Status != messages.StatusSent {
		t.Errorf("the other app's code: got %s, want sent: %s", last.Status, last.Detail)
	}
	for _, d := range r.dead() {
		if d.App != "other" || d.Reason != messages.ReasonUndeliverable {
			t.Errorf("got a dead letter of app %s with the reason %s: %s", d.App, d.Reason, d.Detail)
		}
	}
}
