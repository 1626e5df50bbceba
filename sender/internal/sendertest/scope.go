package sendertest

import (
	"slices"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

// Rows walks a connector's table of codes. It calls row with the name, class and scope of
// each row.
type Rows func(row func(name string, class sender.Class, scope sender.Scope))

// allowed holds the scopes that an error of a class can have. A refused message never
// speaks of the connector, and an account that can't send never of a template.
var allowed = map[sender.Class][]sender.Scope{
	sender.Unknown:          {sender.ScopeConnector},
	sender.Permanent:        {sender.ScopeMessage, sender.ScopeRecipient},
	sender.RecipientLimited: {sender.ScopeRecipient},
	sender.Throttled:        {sender.ScopeDomain, sender.ScopeConnector},
	sender.Unavailable:      {sender.ScopeMessage, sender.ScopeRecipient, sender.ScopeDomain, sender.ScopeConnector},
	sender.Misconfigured:    {sender.ScopeDomain, sender.ScopeTemplate, sender.ScopeConnector},
	sender.AccountDown:      {sender.ScopeConnector, sender.ScopeAccount},
}

// Scopes checks that each row of a connector's table has a scope that its class allows.
func Scopes(t *testing.T, rows Rows) {
	t.Helper()
	n := 0
	rows(func(name string, class sender.Class, scope sender.Scope) {
		n++
		if slices.Contains(allowed[class], scope) {
			return
		}
		t.Errorf("%s: an error of class %v speaks of the %v; use one of %v", name, class, scope, allowed[class])
	})
	if n == 0 {
		t.Error("the table is empty")
	}
}
