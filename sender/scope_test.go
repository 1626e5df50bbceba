package sender_test

import (
	"testing"

	"github.com/codeferry/codeferry/sender"
)

func TestSpeaksOf(t *testing.T) {
	byClass := map[sender.Class]sender.Scope{
		sender.Unknown:          sender.ScopeConnector,
		sender.Permanent:        sender.ScopeMessage,
		sender.RecipientLimited: sender.ScopeRecipient,
		sender.Throttled:        sender.ScopeConnector,
		sender.Unavailable:      sender.ScopeConnector,
		sender.Misconfigured:    sender.ScopeConnector,
		sender.AccountDown:      sender.ScopeAccount,
	}
	for _, c := range sender.Classes() {
		e := &sender.Error{Class: c}
		if got := e.SpeaksOf(); got != byClass[c] {
			t.Errorf("%v: an error without a scope speaks of the %v, want the %v", c, got, byClass[c])
		}
		e.Scope = sender.ScopeDomain
		if got := e.SpeaksOf(); got != sender.ScopeDomain {
			t.Errorf("%v: an error of ScopeDomain speaks of the %v", c, got)
		}
	}
}

func TestScopeNames(t *testing.T) {
	seen := make(map[string]bool)
	for s := sender.ScopeByClass; s <= sender.ScopeAccount; s++ {
		if name := s.String(); name == "" || seen[name] {
			t.Errorf("scope %d has the name %q, want one that no other scope has", int(s), name)
		} else {
			seen[name] = true
		}
	}
	if got := sender.Scope(-1).String(); got != "Scope(?)" {
		t.Errorf("an unknown scope has the name %q", got)
	}
}
