package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// TestClassNames: metrics, outcomes and dashboards know these and no others.
func TestClassNames(t *testing.T) {
	want := []string{"unknown", "permanent", "recipient-limited", "throttled", "unavailable", "misconfigured", "account-down"}
	var got []string
	for _, c := range sender.Classes() {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for c, want := range map[sender.Class]string{
		sender.Unknown: "unknown", sender.Permanent: "permanent", sender.RecipientLimited: "recipient-limited", sender.Throttled: "throttled",
		sender.Unavailable: "unavailable", sender.Misconfigured: "misconfigured", sender.AccountDown: "account-down",
		-1: "Class(-1)", sender.AccountDown + 1: "Class(7)",
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if (sender.Error{}).Class != sender.Unknown {
		t.Error("the zero class is not Unknown")
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*sender.Error{
		"throttled: Throttling.User: too fast": {Class: sender.Throttled, Code: "Throttling.User", Detail: "too fast", RequestID: "R-1", RetryAfter: time.Minute},
		"throttled: Throttling.User":           {Class: sender.Throttled, Code: "Throttling.User"},
		"unknown: no answer":                   {Detail: "no answer"},
		"permanent: invalid: to is too short":  sender.Invalid("to is %s", "too short"),
	} {
		if got := e.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if e := sender.Invalid("x"); e.Class != sender.Permanent || e.Code != sender.CodeInvalid {
		t.Errorf("Invalid has class %s and code %q, want permanent and %q", e.Class, e.Code, sender.CodeInvalid)
	}
}

func TestAsError(t *testing.T) {
	e := &sender.Error{Class: sender.Throttled, Code: "Throttling"}
	for name, err := range map[string]error{
		"itself":  e,
		"wrapped": fmt.Errorf("send: %w", e),
		"joined":  errors.Join(errors.New("x"), e),
	} {
		if got := sender.AsError(err); got != e {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got, want := *sender.AsError(context.DeadlineExceeded), (sender.Error{Class: sender.Unknown, Detail: "context deadline exceeded"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestAdviceByScope: an error about a template has advice about the template.
func TestAdviceByScope(t *testing.T) {
	for _, c := range sender.Classes() {
		for s := sender.ScopeByClass; s <= sender.ScopeAccount; s++ {
			e := &sender.Error{Class: c, Scope: s}
			of := c == sender.Misconfigured && s == sender.ScopeTemplate
			got := e.WhatToDo()
			if strings.HasPrefix(got, "Fix the template or signature") != of {
				t.Errorf("%v of the %v: %q, want advice about the template: %t", c, s, got, of)
			}
			if !of && got != c.Advice() {
				t.Errorf("%v of the %v: got %q, want the class's advice %q", c, s, got, c.Advice())
			}
		}
	}
}

func TestEveryClassHasAdvice(t *testing.T) {
	for _, c := range sender.Classes() {
		if c.Advice() == "" {
			t.Errorf("class %s has no advice", c)
		}
	}
	if got := sender.Unavailable.Advice(); !strings.Contains(got, "endpoint, or its host and port") {
		t.Errorf("unavailable: %q does not name the settings", got)
	}
	e := sender.Error{Class: sender.Throttled}
	if got := e.WhatToDo(); got != sender.Throttled.Advice() {
		t.Errorf("without its own: %q", got)
	}
	e.Advice = "Set secure: true."
	if got := e.WhatToDo(); got != e.Advice {
		t.Errorf("with its own: %q", got)
	}
	if a := sender.Class(99).Advice(); a != "" {
		t.Errorf("an unknown class has the advice %q", a)
	}
}
