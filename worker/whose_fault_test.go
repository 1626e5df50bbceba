package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// mailTo publishes a mail of a type, and returns its id.
func (r *rig) mailTo(to string, kind messages.Type, n int, more string) string {
	r.t.Helper()
	id := fmt.Sprintf("%s-%d", kind, n)
	r.publish(fmt.Sprintf("codeferry.send.default.email.%s.n%d", kind, n),
		fmt.Sprintf(`{"id":%q,"to":%q,"type":%q,"payload":{"code":"123456"}%s}`, id, to, kind, more))
	return id
}

// atOnce checks that a mail is sent at its first attempt.
func (r *rig) atOnce(what, to string, kind messages.Type, n int) {
	r.t.Helper()
	story := r.story(r.mailTo(to, kind, n, ""))
	if last := story[len(story)-1]; last.Status != messages.StatusSent || last.Attempt != 1 || len(story) > 1 {
		r.t.Errorf("%s: got %s at attempt %d, after %d outcomes; want sent at the first: %s", what, last.Status, last.Attempt, len(story), last.Detail)
	}
}

// pauses sets how long breakers are open. With an hour, nothing is sent once one has
// opened.
func pauses(d time.Duration) func(*config.Config) {
	return func(c *config.Config) { c.Worker.AccountPause, c.Worker.HealthPause = d, d }
}

// fails makes the mails to bad.example fail with an error.
func fails(with func(m *sender.Message) *sender.Error) func(*config.Config) {
	return script("direct-mail", func(_ context.Context, m *sender.Message) error {
		if strings.HasSuffix(m.To, "@bad.example") {
			if e := with(m); e != nil {
				return e
			}
		}
		return nil
	})
}

// TestBadRecipientsHoldUpNobody: sixty codes to a domain that the provider's server can't
// find do not delay a good one after them.
func TestBadRecipientsHoldUpNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", pauses(time.Hour), fails(func(*sender.Message) *sender.Error {
		return &sender.Error{Class: sender.Unavailable, Scope: sender.ScopeRecipient, Code: "450 4.1.2", Detail: "Domain not found"}
	}))
	r.start()
	for i := range 60 {
		r.mailTo(fmt.Sprintf("u%d@bad.example", i), messages.SignIn, i, "")
	}
	for i := range 5 {
		r.atOnce("a good one", "good@example.org", messages.SignIn, 100+i)
	}
	if strings.Contains(r.log.String(), "circuit breaker opened") {
		t.Error("bad recipients opened the circuit breaker")
	}
}

// TestEachScopeHoldsUpNoMore: a hundred errors of every class about a message, a
// recipient, a domain or a template do not delay anything else.
func TestEachScopeHoldsUpNoMore(t *testing.T) {
	t.Parallel()
	for _, scope := range []sender.Scope{sender.ScopeMessage, sender.ScopeRecipient, sender.ScopeDomain, sender.ScopeTemplate} {
		t.Run(scope.String(), func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			classes := sender.Classes()
			r := newRig(t, "", pauses(time.Hour), fails(func(*sender.Message) *sender.Error {
				return &sender.Error{Class: classes[int(n.Add(1))%len(classes)], Scope: scope, Code: "E", Detail: "failed"}
			}))
			r.start()
			for i := range 100 {
				r.mailTo(fmt.Sprintf("u%d@bad.example", i), messages.Register, i, "")
			}
			for i := range 5 {
				r.atOnce("a good one", "good@example.org", messages.SignIn, i)
			}
			if strings.Contains(r.log.String(), "circuit breaker opened") {
				t.Error("the connector's circuit breaker opened")
			}
		})
	}
}

// TestGreylisting: a server refuses each recipient's first mail for a while. Each mail is
// sent at its second attempt, and no other mail waits.
func TestGreylisting(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[string]bool)
	r := newRig(t, "", pauses(time.Hour), fails(func(m *sender.Message) *sender.Error {
		mu.Lock()
		defer mu.Unlock()
		if !seen[m.To] {
			seen[m.To] = true
			return &sender.Error{Class: sender.Unavailable, Scope: sender.ScopeRecipient, Code: "451 4.7.1", Detail: "Greylisted"}
		}
		return nil
	}))
	r.start()
	const storm = 200
	for i := range storm {
		r.mailTo(fmt.Sprintf("u%d@bad.example", i), messages.SignIn, i, "")
		if i%40 == 0 {
			r.atOnce("a good one", "good@example.org", messages.Register, i)
		}
	}
	r.empty()
	if dead := r.dead(); len(dead) > 0 {
		t.Errorf("%d became dead letters, the first with the reason %s", len(dead), dead[0].Reason)
	}
}

// TestAWrongTemplateHoldsUpItsOwn: the other types are sent at once. The template's
// messages wait until their codes expire, and are sent soon after it is fixed.
func TestAWrongTemplateHoldsUpItsOwn(t *testing.T) {
	t.Parallel()
	var fixed atomic.Bool
	r := newRig(t, "", func(c *config.Config) {
		c.Worker.AccountPause, c.Worker.HealthPause = 200*time.Millisecond, time.Hour
		c.Worker.Retry.MaxAttempts = 2
	}, script("direct-mail", func(_ context.Context, m *sender.Message) error {
		if m.Template == string(messages.Register) && !fixed.Load() {
			return &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL", Detail: "no such template"}
		}
		return nil
	}))
	r.start()
	register := r.mailTo("u@example.org", messages.Register, 1, "")
	if o := r.next(register); o.Status != messages.StatusRetrying || o.Class != "misconfigured" {
		t.Fatalf("the first outcome of Register has the status %s and the class %s", o.Status, o.Class)
	}
	for i := range 20 {
		r.atOnce("SignIn", "u@example.org", messages.SignIn, i)
	}
	short := r.mailTo("u@example.org", messages.Register, 2, fmt.Sprintf(`,"expiresAt":%q`, time.Now().Add(3*time.Second).Format(time.RFC3339Nano)))
	story := r.story(short)
	if last := story[len(story)-1]; last.Status != messages.StatusDead || last.Reason != messages.ReasonExpired {
		t.Errorf("the Register whose code expires: got %s, %s: %s", last.Status, last.Reason, last.Detail)
	}
	if log := r.log.String(); !strings.Contains(log, "circuit breaker of a template opened") || strings.Contains(log, "circuit breaker opened") {
		t.Error("the log does not name the template's circuit breaker, or names the connector's")
	}
	fixed.Store(true)
	story = r.story(register)
	if last := story[len(story)-1]; last.Status != messages.StatusSent {
		t.Errorf("Register after the template is fixed: got %s, want sent: %s", last.Status, last.Detail)
	}
	if n := r.templatesOpen(); n != 0 {
		t.Errorf("the metric has %v open templates", n)
	}
}

// templatesOpen returns codeferry_connector_templates_open of the mail connector.
func (r *rig) templatesOpen() float64 {
	r.t.Helper()
	families, err := r.base.Metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "codeferry_connector_templates_open" && m.GetLabel()[0].GetValue() == "direct-mail" {
				return m.GetGauge().GetValue()
			}
		}
	}
	r.t.Fatal("there is no metric for the mail connector")
	return 0
}

// TestAWrongTemplateGoesToTheNextConnector: its messages go to the next connector, as with
// any open breaker.
func TestAWrongTemplateGoesToTheNextConnector(t *testing.T) {
	t.Parallel()
	r := newRig(t, backup, route("direct-mail", "backup"), pauses(time.Hour), script("direct-mail", func(_ context.Context, m *sender.Message) error {
		if m.Template == string(messages.Register) {
			return &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL", Detail: "no such template"}
		}
		return nil
	}))
	r.start()
	for i, want := range []int{2, 1, 1} { // the first attempt opens it
		story := r.story(r.mailTo("u@example.org", messages.Register, i, ""))
		if last := story[len(story)-1]; last.Status != messages.StatusSent || last.Connector != "backup" || last.Attempt != want {
			t.Errorf("Register %d: got %s by %s at attempt %d, want attempt %d", i, last.Status, last.Connector, last.Attempt, want)
		}
	}
	story := r.story(r.mailTo("u@example.org", messages.SignIn, 1, ""))
	if last := story[len(story)-1]; last.Connector != "direct-mail" {
		t.Errorf("SignIn: got %s by %s", last.Status, last.Connector)
	}
}

// TestAMessageThatAlwaysFailsKeepsNoBreakerOpen: the server hands out failed messages
// first. Still, a fresh message tries the connector, and closes its breaker.
func TestAMessageThatAlwaysFailsKeepsNoBreakerOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", pauses(300*time.Millisecond), fails(func(*sender.Message) *sender.Error {
		return &sender.Error{Class: sender.AccountDown, Code: "E", Detail: "what only this message gets"}
	}))
	r.start()
	for i := range 5 {
		r.next(r.mailTo(fmt.Sprintf("u%d@bad.example", i), messages.Register, i, "")) // it opens
		story := r.story(r.mailTo("good@example.org", messages.SignIn, i, ""))
		if last := story[len(story)-1]; last.Status != messages.StatusSent || last.Attempt != 1 {
			t.Errorf("a good recipient: got %s at attempt %d: %s", last.Status, last.Attempt, last.Detail)
		}
	}
}

// TestAProbeThatHangs: another message tries the connector meanwhile, and closes its
// breaker.
func TestAProbeThatHangs(t *testing.T) {
	t.Parallel()
	probe := newBarrier(t)
	var n atomic.Int64
	r := newRig(t, "", pauses(100*time.Millisecond), func(c *config.Config) { c.Worker.Grace = 100 * time.Millisecond },
		script("direct-mail", func(ctx context.Context, m *sender.Message) error {
			switch n.Add(1) {
			case 1:
				return &sender.Error{Class: sender.AccountDown, Code: "E", Detail: "no money"}
			case 2:
				return probe.hold(ctx, m)
			}
			return nil
		}))
	r.start()
	r.next(r.mailTo("u@example.org", messages.Register, 1, ""))
	r.mailTo("u@example.org", messages.Register, 2, "")
	probe.wait(r, 1)
	for i := range 3 {
		r.story(r.mailTo("u@example.org", messages.SignIn, i, ""))
	}
}

// TestWhatWaitsForAnOpenBreakerGoesOutAfterAReload: the message is sent long before the
// pause is over.
func TestWhatWaitsForAnOpenBreakerGoesOutAfterAReload(t *testing.T) {
	t.Parallel()
	var right atomic.Bool
	r := newRig(t, "", pauses(time.Hour), script("direct-mail", func(_ context.Context, m *sender.Message) error {
		switch {
		case right.Load():
			return nil
		case m.Template == string(messages.Register):
			return &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL", Detail: "no such template"}
		}
		return &sender.Error{Class: sender.AccountDown, Code: "SignatureDoesNotMatch", Detail: "wrong key"}
	}))
	stop := r.start()
	for _, kind := range []messages.Type{messages.Register, messages.SignIn} {
		r.next(r.mailTo("u@example.org", kind, 1, ""))
	}
	waiting := r.mailTo("u@example.org", messages.ForgotPassword, 1, "")
	right.Store(true)
	stop()
	r.start()
	left := map[string]bool{"Register-1": true, "SignIn-1": true, waiting: true}
	limit := time.After(patience)
	for len(left) > 0 {
		select {
		case o := <-r.outcomes:
			if o.Status != messages.StatusSent {
				t.Errorf("%s: got %s, want sent: %s", o.ID, o.Status, o.Detail)
			}
			delete(left, o.ID)
		case <-limit:
			t.Fatalf("these were not sent: %v", left)
		}
	}
}
