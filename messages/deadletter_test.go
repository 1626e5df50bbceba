package messages_test

import (
	"testing"

	"github.com/codeferry/codeferry/messages"
)

func TestReasons(t *testing.T) {
	seen := make(map[messages.Reason]bool)
	for _, r := range messages.Reasons() {
		if seen[r] || !r.Valid() || r.Advice() == "" {
			t.Errorf("%q: Valid() = %v, Advice() = %q", r, r.Valid(), r.Advice())
		}
		seen[r] = true
	}
	if other := messages.Reason("other"); other.Valid() || other.Advice() != "" {
		t.Error("other is a reason")
	}
}

func TestDeadLetterMsgID(t *testing.T) {
	if got, want := (&messages.DeadLetter{ID: "01JD", Epoch: 2}).MsgID(), "dead.01JD.2"; got != want {
		t.Errorf("MsgID() = %q, want %q", got, want)
	}
}

func TestFinalStatuses(t *testing.T) {
	for s, want := range map[messages.Status]bool{
		messages.StatusSent: true, messages.StatusDead: true,
		messages.StatusRetrying: false, messages.StatusUnknown: false, messages.StatusDelivered: false, messages.StatusUndelivered: false,
	} {
		if got := s.Final(); got != want {
			t.Errorf("%s.Final() = %v", s, got)
		}
	}
}
