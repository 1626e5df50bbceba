package broker

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

func TestWhatGoesOnIsSaidOnceAMinute(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	var log bytes.Buffer
	var denied []error
	clock := func() time.Time { return now }
	w := &watch{log: zerolog.New(&log), seldom: newSeldom(clock), login: newSeldom(clock), target: Target{Denied: func(err error) { denied = append(denied, err) }}}
	violation := func(subject string) error {
		return fmt.Errorf(`%w: Permissions Violation for Publish to %q`, nats.ErrPermissionViolation, subject)
	}
	for _, step := range []struct {
		name  string
		err   error
		after time.Duration
		lines string
	}{
		{"refused", nats.ErrAuthorization, 0, "refuses the credentials"},
		{"refused again", nats.ErrAuthorization, 29 * time.Second, ""},
		{"refused otherwise", nats.ErrAuthExpired, 29 * time.Second, ""},
		{"refused a minute later", nats.ErrAuthorization, 2 * time.Second, "refuses the credentials"},
		{"not permitted", violation("codeferry.send.default.sms.SignIn.user-1"), 0, `"subject":"codeferry.send.default.>"`},
		{"another user's", violation("codeferry.send.default.sms.SignIn.user-2"), 0, ""},
		{"another subject", violation("$JS.API.STREAM.INFO.CODEFERRY"), 0, `"operation":"publish","subject":"$JS.API.STREAM.INFO.CODEFERRY"`},
		{"something else", errors.New("nats: something"), 0, "NATS reports an error"},
		{"something else again", errors.New("nats: something"), 29 * time.Second, ""},
		{"something else, after it had ended", errors.New("nats: something"), 30 * time.Second, "NATS reports an error"},
		{"something else of another kind", errors.New("nats: another thing"), 0, "NATS reports an error"},
	} {
		now = now.Add(step.after)
		log.Reset()
		w.failed(step.err)
		if text := log.String(); (step.lines == "") != (text == "") || !strings.Contains(text, step.lines) || strings.Contains(text, "user-") {
			t.Errorf("%s: the log says %q, want %q", step.name, text, step.lines)
		}
	}
	if len(denied) != 3 {
		t.Errorf("Denied was called %d times, want 3", len(denied))
	}
}

// TestTheConnectionIsBack: the log says how long it was lost, and says at once if the
// credentials are refused again.
func TestTheConnectionIsBack(t *testing.T) {
	t.Parallel()
	now := time.Unix(1, 0)
	var log bytes.Buffer
	clock := func() time.Time { return now }
	w := &watch{log: zerolog.New(&log), seldom: newSeldom(clock), login: newSeldom(clock)}
	for range 2 {
		log.Reset()
		w.away(nats.ErrAuthRevoked)
		now = now.Add(time.Second)
		w.failed(nats.ErrAuthorization)
		w.failed(nats.ErrAuthorization)
		w.away(nil) // of another try
		now = now.Add(2500 * time.Millisecond)
		w.back("127.0.0.1:4222")
		if text := log.String(); strings.Count(text, "refuses the credentials") != 1 || !strings.Contains(text, `"server":"127.0.0.1:4222","lasted":"3.5s","message":"NATS is back"`) {
			t.Errorf("the log says %s", text)
		}
	}
}

func TestSeldomRemembersALittle(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	s := newSeldom(func() time.Time { return now })
	reported := 0
	for i := range 10 * maxSeldom {
		if s.now(fmt.Sprint(i)) {
			reported++
		}
	}
	if reported != maxSeldom+1 || len(s.last) != maxSeldom+1 {
		t.Errorf("%d reports, %d names remembered", reported, len(s.last))
	}
	now = now.Add(seldomEvery)
	if !s.now("0") || len(s.last) != 1 {
		t.Errorf("after a minute %d are remembered", len(s.last))
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	w := &watch{seldom: newSeldom(time.Now), login: newSeldom(time.Now), log: zerolog.Nop()}
	for _, tt := range []struct {
		refused  bool
		random   float64
		round    int
		min, max time.Duration
	}{
		{false, 0, 1, 250 * time.Millisecond, 250 * time.Millisecond},
		{false, 0.99, 1000, 250 * time.Millisecond, 500 * time.Millisecond},
		{true, 0, 1, 500 * time.Millisecond, 500 * time.Millisecond},
		{true, 0, 2, time.Second, time.Second},
		{true, 0.5, 5, 3 * time.Second, maxDelay},
		{true, 0.99, 1 << 30, 4 * time.Second, maxDelay},
	} {
		w.refused.Store(tt.refused)
		w.random = func() float64 { return tt.random }
		if d := w.delay(tt.round); d < tt.min || d > tt.max {
			t.Errorf("%+v: the delay is %v, want %v to %v", tt, d, tt.min, tt.max)
		}
	}
	w.back("a server")
	if d := w.delay(9); d >= time.Second {
		t.Errorf("once it was back the delay is %v", d)
	}
}

func TestDenial(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		`Permissions Violation for Publish to "codeferry.send.default.sms.SignIn.u"`:                              {"publish", "codeferry.send.default.>"},
		`Permissions Violation for Publish to "$JS.API.CONSUMER.MSG.NEXT.CODEFERRY.sms"`:                          {"publish", "$JS.API.CONSUMER.MSG.NEXT.CODEFERRY.sms"},
		`Permissions Violation for Publish to "$JS.API.CONSUMER.CREATE.CODEFERRY_OUTCOMES.x.codeferry.outcome.>"`: {"publish", "$JS.API.CONSUMER.CREATE.CODEFERRY_OUTCOMES.>"},
		`Permissions Violation for Publish to "$JS.API.DIRECT.GET.KV_codeferry-ledger.$KV.codeferry-ledger.a.b"`:  {"publish", "$JS.API.DIRECT.GET.KV_codeferry-ledger.>"},
		`Permissions Violation for Publish to "$JS.ACK.CODEFERRY.sms.1.5.6.1795618340.3"`:                         {"publish", "$JS.ACK.CODEFERRY.sms.>"},
		`Permissions Violation for Publish to "$KV.codeferry-ledger.x.y"`:                                         {"publish", "$KV.codeferry-ledger.>"},
		`Permissions Violation for Publish with Reply of "_INBOX.abc.d"`:                                          {"publish", "_INBOX.>"},
		`Permissions Violation for Subscription to "_INBOX_worker.abc.*"`:                                         {"subscribe", "_INBOX_worker.>"},
		`Permissions Violation for Subscription to "codeferry.reissue.default.*.*.*" using queue "q" (sid "3")`:   {"subscribe", "codeferry.reissue.default.>"},
		`something else "codeferry.send.default.sms.SignIn.u"`:                                                    {"", ""},
	} {
		op, subject := Denial(fmt.Errorf("%w: %s", nats.ErrPermissionViolation, text))
		if op != want[0] || subject != want[1] {
			t.Errorf("%s: %q %q, want %q", text, op, subject, want)
		}
	}
}

func FuzzDenial(f *testing.F) {
	f.Add(`Permissions Violation for Publish to "codeferry.send.default.sms.SignIn.u"`)
	f.Fuzz(func(t *testing.T, text string) {
		_, subject := Denial(errors.New(text))
		if strings.HasPrefix(subject, "codeferry.") && strings.Count(subject, ".") > 3 {
			t.Errorf("%q: %q", text, subject)
		}
	})
}

func TestSameServers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"nats://a", "nats://a:4222", true},
		{"nats://u:p@a,nats://b", "nats://b, nats://u:q@a", true},
		{"a:4222", "nats://a", true},
		{"nats://token@a", "nats://a", true},
		{"nats://a", "nats://b", false},
		{"nats://a", "nats://a:4223", false},
		{"nats://a", "tls://a", false},
		{"nats://a", "nats://a,nats://b", false},
		{"nats://u:p%zz@a", "nats://u:p%zz@a", false},
	} {
		if got := SameServers(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}
