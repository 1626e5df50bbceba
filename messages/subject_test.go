package messages_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

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
		"not UTF-8": "secret1\xff",
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
					_, err = wire.ParseSubject(s.String())
					wantField(t, err, field)
				}
			})
		}
	}
}

func TestTypes(t *testing.T) {
	if got := messages.Test.Canonical(); got != messages.Generic {
		t.Errorf("Test.Canonical() = %s, want Generic", got)
	}
	for _, typ := range messages.Types() {
		if !typ.Valid() {
			t.Errorf("%s is not valid", typ)
		}
		if got := typ.Canonical(); got != typ {
			t.Errorf("%s.Canonical() = %s, want %s", typ, got, typ)
		}
	}
	if !messages.Test.Valid() {
		t.Error("Test is not valid")
	}
	for _, typ := range []messages.Type{"", "signin", "Other"} {
		if typ.Valid() {
			t.Errorf("%q is valid", typ)
		}
	}
}

func TestTypeSuggestion(t *testing.T) {
	s := messages.Subject{App: "default", Channel: messages.SMS, Type: "signin", Key: "u1"}
	if got, want := s.Validate().Error(), "type is not a usage type; did you mean SignIn?"; got != want {
		t.Errorf("error is %q, want %q", got, want)
	}
}
