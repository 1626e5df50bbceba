package messages_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
)

func TestReasons(t *testing.T) {
	seen := make(map[messages.Reason]bool)
	for _, r := range messages.Reasons() {
		if seen[r] {
			t.Errorf("Reasons() has %q twice", r)
		}
		if !r.Valid() {
			t.Errorf("%q is not valid", r)
		}
		if r.Advice() == "" {
			t.Errorf("%q has no advice", r)
		}
		seen[r] = true
	}
	other := messages.Reason("other")
	if other.Valid() {
		t.Errorf("%q is valid", other)
	}
	if got := other.Advice(); got != "" {
		t.Errorf("the advice for %q is %q, want none", other, got)
	}
}

// TestAdviceNamesTheGuides: the guides of the connectors have tables of the providers' codes.
func TestAdviceNamesTheGuides(t *testing.T) {
	if got := messages.ReasonRejected.Advice(); !strings.Contains(got, "docs/connectors/README.md") {
		t.Errorf("the advice names no guide: %s", got)
	}
}

// TestAdviceWarnsOfASecondSend if the message may have been sent, and says where to look
// first. All other advice does not warn.
func TestAdviceWarnsOfASecondSend(t *testing.T) {
	for _, r := range messages.Reasons() {
		doubt := r == messages.ReasonDoubt || r == messages.ReasonPoison
		for _, words := range []string{"may have been sent", "provider's console before you send it again"} {
			if got := strings.Contains(r.Advice(), words); got != doubt {
				t.Errorf("the advice for %s holds %q: %t, want %t: %s", r, words, got, doubt, r.Advice())
			}
		}
	}
}

func TestFinalStatuses(t *testing.T) {
	for s, want := range map[messages.Status]bool{
		messages.StatusSent: true, messages.StatusDead: true, messages.StatusSuperseded: true,
		messages.StatusRetrying: false, messages.StatusUnknown: false, messages.StatusDelivered: false, messages.StatusUndelivered: false,
	} {
		if got := s.Final(); got != want {
			t.Errorf("%s.Final() = %v", s, got)
		}
	}
}
