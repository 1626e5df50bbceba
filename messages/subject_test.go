package messages_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
)

func TestSubjectRoundTrip(t *testing.T) {
	for _, app := range []string{"default", "a", "A_b-9", strings.Repeat("x", 128)} {
		for _, c := range messages.Channels() {
			for _, typ := range append(messages.Types(), messages.Test) {
				for _, key := range []string{"u1", "0", "~!#$%&'()+,-/:;<=?[]^_`{|}", strings.Repeat("k", 128)} {
					want := messages.Subject{App: app, Channel: c, Type: typ, Key: key}
					got, err := messages.ParseSubject(want.String())
					if err != nil || got != want {
						t.Errorf("ParseSubject(%q) = %v, %v", want.String(), got, err)
					}
				}
			}
		}
	}
}

func TestSubjectIsTheWires(t *testing.T) {
	s := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "user-7"}
	if got, want := s.String(), "codeferry.send.default.sms.SignIn.user-7"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := messages.OutcomeSubject("*", messages.Email, messages.StatusSent), "codeferry.outcome.*.email.sent"; got != want {
		t.Errorf("OutcomeSubject() = %q, want %q", got, want)
	}
	if got, want := messages.DeadSubject("shop", messages.SMS, messages.ReasonExpired), "codeferry.dead.shop.sms.expired"; got != want {
		t.Errorf("DeadSubject() = %q, want %q", got, want)
	}
}

func TestSubjectRefusesBadTokens(t *testing.T) {
	bad := map[string]string{
		"empty":     "",
		"too long":  strings.Repeat("secret1", 19), // 133 bytes
		"@":         "secret1@localhost",
		"space":     "secret1 secret1",
		"line":      "secret1\r\nPUB x 0",
		"dot":       "secret1.x",
		"star":      "secret1*",
		"greater":   "secret1>",
		"non-ASCII": "secret1é",
		"no UTF-8":  "secret1\xff",
		"DEL":       "secret1\x7f",
	}
	good := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u1"}
	set := map[string]func(*messages.Subject, string){
		"app":     func(s *messages.Subject, v string) { s.App = v },
		"channel": func(s *messages.Subject, v string) { s.Channel = messages.Channel(v) },
		"type":    func(s *messages.Subject, v string) { s.Type = messages.Type(v) },
		"key":     func(s *messages.Subject, v string) { s.Key = v },
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, set := range set {
		for name, v := range bad {
			t.Run(field+"/"+name, func(t *testing.T) {
				s := good
				set(&s, v)
				err := s.Validate()
				wantField(t, err, field)
				if strings.Contains(err.Error(), "secret1") {
					t.Errorf("the error shows the token: %v", err)
				}
				if name != "dot" {
					_, err = messages.ParseSubject(s.String())
					wantField(t, err, field)
				}
			})
		}
	}
}

func TestParseSubjectRefusesOtherSubjects(t *testing.T) {
	for _, subject := range []string{
		"", "codeferry", "codeferry.send.", "codeferry.send.default.sms.SignIn", "codeferry.send.default.sms.SignIn.u1.x",
		"codeferry.dead.default.sms.expired", "Codeferry.send.default.sms.SignIn.u1",
		"codeferry.send.default.email.SignIn.secret1@example.com", // an address has dots, too
		"x.codeferry.send.default.sms.SignIn.secret1",
	} {
		_, err := messages.ParseSubject(subject)
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
		if got := messages.ValidApp(app); got != want {
			t.Errorf("ValidApp(%q) = %v", app, got)
		}
	}
}

func TestTypes(t *testing.T) {
	if got := messages.Test.Canonical(); got != messages.Generic {
		t.Errorf("Test.Canonical() = %s, want Generic", got)
	}
	for _, typ := range messages.Types() {
		if !typ.Valid() || typ.Canonical() != typ {
			t.Errorf("%s: Valid() = %v, Canonical() = %s", typ, typ.Valid(), typ.Canonical())
		}
	}
	if !messages.Test.Valid() {
		t.Error("Test is no usage type")
	}
	for _, typ := range []messages.Type{"", "signin", "Other"} {
		if typ.Valid() {
			t.Errorf("%q is a usage type", typ)
		}
	}
	required := []messages.Type{messages.Register, messages.SignIn, messages.ForgotPassword, messages.Generic}
	for i, typ := range messages.RequiredTypes() {
		if typ != required[i] {
			t.Errorf("RequiredTypes()[%d] = %s, want %s", i, typ, required[i])
		}
	}
}

func TestTypeSuggestion(t *testing.T) {
	s := messages.Subject{App: "default", Channel: messages.SMS, Type: "signin", Key: "u1"}
	if got, want := s.Validate().Error(), "type is no usage type; did you mean SignIn?"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}
