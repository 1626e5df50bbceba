package sendertest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

// Want checks that err is a *sender.Error of a class, in one line, and returns it.
func Want(t testing.TB, err error, class sender.Class) *sender.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("it succeeded; want an error of class %s", class)
	}
	e, ok := err.(*sender.Error) //nolint:errorlint // it must be one, not wrap one
	switch {
	case !ok:
		t.Fatalf("the error is a %T, want a *sender.Error of class %s: %v", err, class, err)
	case e == nil:
		t.Fatalf("the error is a nil *sender.Error, want one of class %s, or a plain nil for a success", class)
	}
	if e.Class != class {
		t.Errorf("got class %s, want %s: %v", e.Class, class, err)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("the error has more than one line: %q", err)
	}
	return e
}

// Hides checks that an error holds none of the values: unchanged, in upper or lower case,
// URL-encoded, in hex or in base64.
func Hides(t testing.TB, err error, values ...string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v", err, *sender.AsError(err))
	text := strings.ToLower(said)
	for _, v := range values {
		if b := base64.RawStdEncoding.EncodeToString([]byte(v)); strings.Contains(said, b) {
			t.Errorf("the error holds %s, which is %q in base64; redact what the provider says (sender/redact): %s", b, v, said)
		}
		once := url.QueryEscape(v)
		for _, form := range []string{v, once, strings.ReplaceAll(once, "+", "%20"), url.QueryEscape(once), hex.EncodeToString([]byte(v))} {
			if strings.Contains(text, strings.ToLower(form)) {
				t.Errorf("the error holds %q; redact what the provider says (sender/redact): %s", form, text)
			}
		}
	}
}

// Check calls a connector's Check.
func Check(t testing.TB, s sender.Sender) error {
	t.Helper()
	c, ok := s.(sender.Checker)
	if !ok {
		t.Fatalf("%T is not a sender.Checker", s)
	}
	return c.Check(t.Context())
}

// WantCode checks an error's class, like Want, and its code.
func WantCode(t testing.TB, err error, class sender.Class, code string) *sender.Error {
	t.Helper()
	e := Want(t, err, class)
	Equal(t, "the code of \""+e.Error()+"\"", e.Code, code)
	return e
}

// Equal checks that a value, which what names, is the wanted one.
func Equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %#v, want %#v", what, got, want)
	}
}

// Holds checks that a text, which what names, holds each of the parts.
func Holds(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s is %q, want it to hold %q", what, text, part)
		}
	}
}
