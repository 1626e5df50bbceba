package worker

import (
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// TestDeadOfWhatMayHaveBeenSent: the reason becomes doubt, since only its advice is safe.
func TestDeadOfWhatMayHaveBeenSent(t *testing.T) {
	for _, reason := range messages.Reasons() {
		for name, c := range map[string]struct {
			inDoubt  bool
			suspects []string
			detail   string
		}{
			"not in doubt": {detail: "why"},
			"in doubt":     {inDoubt: true, detail: "an earlier worker may have sent it; since then: why"},
			"a suspect":    {suspects: []string{"a"}, detail: "connector a may have sent it; since then: why"},
			"suspects":     {inDoubt: true, suspects: []string{"a", "b"}, detail: "one of the connectors [a b] may have sent it; since then: why"},
		} {
			d := fresh(t)
			d.inDoubt, d.suspects = c.inDoubt, c.suspects
			want, detail := messages.ReasonDoubt, c.detail
			switch {
			case name == "not in doubt":
				want = reason
			case reason == messages.ReasonDoubt, reason == messages.ReasonPoison:
				want, detail = reason, "why"
			}
			v := dead(d, reason, "why")
			check.Equal(t, string(reason)+", "+name+": action", v.action, actDead)
			check.Equal(t, string(reason)+", "+name+": reason", v.reason, want)
			check.Equal(t, string(reason)+", "+name+": detail", v.detail, detail)
		}
	}
}

// TestVerdictStatus: only these verdicts have an outcome.
func TestVerdictStatus(t *testing.T) {
	want := map[action]messages.Status{
		actSent: messages.StatusSent, actDead: messages.StatusDead, actRetry: messages.StatusRetrying, actDoubt: messages.StatusUnknown,
		actSuperseded: messages.StatusSuperseded,
	}
	for a := action(0); a <= actPanicked+1; a++ {
		s, told := verdict{action: a}.status()
		if s != want[a] || told != (want[a] != "") {
			t.Errorf("action %d: published is %v and the status %q, want %q", a, told, s, want[a])
		}
	}
}

func TestVerdictBecause(t *testing.T) {
	e := &sender.Error{Code: "E"}
	v := verdict{action: actDead, detail: "why"}.because(e)
	check.Equal(t, "error", v.err, e)
	check.Equal(t, "detail", v.detail, "why")
}

// TestVerdictAdvice: an error's own advice follows that of the reason, which says what to
// do with the message.
func TestVerdictAdvice(t *testing.T) {
	for _, r := range messages.Reasons() {
		v := verdict{action: actDead, reason: r}
		check.Equal(t, "no error", v.advice(), r.Advice())
		v.err = &sender.Error{Class: sender.Misconfigured}
		check.Equal(t, "an error without advice", v.advice(), r.Advice())
		v.err.Advice = "Set secure: true."
		check.Equal(t, "an error with advice", v.advice(), r.Advice()+" Set secure: true.")
	}
}
