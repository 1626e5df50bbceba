package wire_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestSubjectRoundTrip(t *testing.T) {
	for _, app := range []string{"default", "a", "A_b-9", strings.Repeat("x", 128)} {
		for _, c := range messages.Channels() {
			for _, typ := range append(messages.Types(), messages.Test) {
				for _, key := range []string{"u1", "0", "~!#$%&'()+,-/:;<=?[]^_`{|}", strings.Repeat("k", 128)} {
					want := messages.Subject{App: app, Channel: c, Type: typ, Key: key}
					got, err := wire.ParseSubject(want.String())
					if err != nil || got != want {
						t.Errorf("ParseSubject(%q) = %#v, %v, want %#v", want.String(), got, err, want)
					}
				}
			}
		}
	}
}

func TestSubjects(t *testing.T) {
	s := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "user-7"}
	if got, want := s.String(), "codeferry.send.default.sms.SignIn.user-7"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := wire.OutcomeSubject("*", messages.Email, messages.StatusSent), "codeferry.outcome.*.email.sent"; got != want {
		t.Errorf("OutcomeSubject() = %q, want %q", got, want)
	}
	if got, want := wire.DeadSubject("shop", messages.SMS, messages.ReasonExpired), "codeferry.dead.shop.sms.expired"; got != want {
		t.Errorf("DeadSubject() = %q, want %q", got, want)
	}
}

func TestParseSubjectRefusesOtherSubjects(t *testing.T) {
	for _, subject := range []string{
		"", "codeferry", "codeferry.send.", "codeferry.send.default.sms.SignIn", "codeferry.send.default.sms.SignIn.u1.x",
		"codeferry.dead.default.sms.expired", "Codeferry.send.default.sms.SignIn.u1",
		"codeferry.send.default.email.SignIn.secret1@example.com", // an address has dots, too
		"x.codeferry.send.default.sms.SignIn.secret1",
	} {
		_, err := wire.ParseSubject(subject)
		wantField(t, err, "subject")
		if strings.Contains(err.Error(), "secret1") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestValidApp(t *testing.T) {
	for app, want := range map[string]bool{
		"default": true, "A-1_z": true, strings.Repeat("x", 128): true,
		"": false, "a.b": false, "a b": false, "é": false, "*": false, strings.Repeat("x", 129): false,
	} {
		if got := wire.ValidApp(app); got != want {
			t.Errorf("ValidApp(%q) = %v, want %v", app, got, want)
		}
	}
}
