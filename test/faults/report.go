package faults

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Report is the result of a plan: a comparison of the provider's accepted messages with those
// that the stream acknowledged. Each text describes a message, when it was sent, and the faults
// meanwhile.
type Report struct {
	Plan Plan
	// Faults counts the faults that were carried out.
	Faults string
	// Published, Settled and Ended are the times from the beginning until all messages were
	// published and all faults over, until all were settled, and until the workers had
	// ended.
	Published, Settled, Ended time.Duration
	// Acked is the number of acknowledged messages, Borrowed the number of those with an
	// earlier message's id. Delivered, Dead, Superseded, Gone and GivenUp count their ends:
	// Gone if their stream was deleted, GivenUp if they wait in it until they expire,
	// because an operator limited how often they are handed out.
	Acked, Borrowed, Delivered, Dead, Superseded, Gone, GivenUp int
	// Lost are messages without any trace.
	Lost []string
	// Stuck are messages that were not settled when the plan's Settle was over, or are
	// lost: Unsettled says how many were not settled. Without it nothing is stuck.
	Stuck     []string
	Unsettled error
	// Late are messages that were accepted or tried after they had expired; Skewed counts
	// those that were late by no more than the worker's clock was behind.
	Late   []string
	Skewed int
	// TwiceSMS and TwiceMail were accepted more than once.
	TwiceSMS, TwiceMail []string
	// Unreported are mails that were accepted twice and never reported as in doubt.
	Unreported []string
	// AfterNewer were tried after a newer code for the same subject was accepted.
	AfterNewer []string
	// Strange are accepted messages that nobody published: another code, or the code of
	// another recipient.
	Strange []string
	// Kept are good codes that waited because of somebody else's trouble.
	Kept []string
	// Waits is how long good codes took without faults, and during each kind of fault.
	Waits []Wait
	// Refused are publishes that were not acknowledged; that breaks no promise.
	Refused []error
	// Broken are the ids of the messages for which a promise was broken.
	Broken []string
	// Injected counts the provider's faults.
	Injected map[string]int
}

// Wait is how long good codes took, from the stream to the provider.
type Wait struct {
	// During is the kind of fault that went on, or "" for none.
	During            Kind
	Codes             int
	P50, P99, Longest time.Duration
	// Quiet is the P99 without faults, or 0 if it is not known.
	Quiet time.Duration
}

func newWait(k Kind, waits []wait) Wait {
	w := Wait{During: k, Codes: len(waits)}
	if len(waits) == 0 {
		return w
	}
	took := make([]time.Duration, len(waits))
	for i := range waits {
		took[i] = waits[i].took
	}
	slices.Sort(took)
	w.P50, w.P99, w.Longest = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return w
}

// String returns it as one line.
func (w Wait) String() string {
	during, ratio := string(w.During), ""
	if during == "" {
		during = "nothing"
	}
	if w.Quiet > 0 && w.Codes > 0 {
		ratio = fmt.Sprintf(" (%.1f x)", float64(w.P99)/float64(w.Quiet))
	}
	return fmt.Sprintf("%-24s p50 %v, p99 %v%s, longest %v of %d codes", during,
		w.P50.Round(time.Millisecond), w.P99.Round(time.Millisecond), ratio, w.Longest.Round(time.Millisecond), w.Codes)
}

// Err says which promise was broken, or nothing.
func (r *Report) Err() error {
	var broken []error
	check := func(what string, messages []string) {
		if n := len(messages); n > 0 {
			broken = append(broken, fmt.Errorf("%d %s:\n  %s", n, what, strings.Join(messages[:min(5, n)], "\n  ")))
		}
	}
	check("lost", r.Lost)
	check("still on their way, or lost", r.Stuck)
	if r.Unsettled != nil {
		broken = append(broken, r.Unsettled)
	}
	check("sent after they had expired", r.Late)
	check("SMS sent twice", r.TwiceSMS)
	check("mails sent twice that nothing tells of", r.Unreported)
	check("sent that nobody published", r.Strange)
	check("codes waited for somebody else's trouble", r.Kept)
	if r.Plan.Times[NATSKill] == 0 {
		// A killed server may forget that a code was superseded just before, and hand the
		// older one out again as if it were fresh.
		check("sent after a newer code was", r.AfterNewer)
	}
	if most := r.mostMails(); len(r.TwiceMail) > most {
		broken = append(broken, fmt.Errorf("%d mails sent twice, more than faults × slots plus lost answers (%d)", len(r.TwiceMail), most))
	}
	return errors.Join(broken...)
}

// mostMails is how many mails may have been sent twice: those in the slots of workers that a
// fault put in doubt, and those that the provider accepted without an answer.
func (r *Report) mostMails() int {
	most := 0
	for _, f := range faults {
		most += r.Plan.Times[f.kind] * min(f.doubts, r.Plan.Workers) * r.Plan.Slots
	}
	for _, m := range mischief {
		if m.accept {
			most += r.Injected[m.name]
		}
	}
	return most
}

// String returns the report as text.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Plan)
	fmt.Fprintf(&b, "carried out: %s\n", r.Faults)
	fmt.Fprintf(&b, "published after %v, settled after %v, the workers ended after %v\n",
		r.Published.Round(time.Millisecond), r.Settled.Round(time.Millisecond), r.Ended.Round(time.Millisecond))
	fmt.Fprintf(&b, "acknowledged %d (%d with an earlier one's id): delivered %d, dead %d, superseded %d, gone with their stream %d, given up %d, lost %d\n",
		r.Acked, r.Borrowed, r.Delivered, r.Dead, r.Superseded, r.Gone, r.GivenUp, len(r.Lost))
	fmt.Fprintf(&b, "late %d (and %d by a clock that is behind), SMS twice %d, mail twice %d (unreported %d), after a newer one %d, strange %d\n",
		len(r.Late), r.Skewed, len(r.TwiceSMS), len(r.TwiceMail), len(r.Unreported), len(r.AfterNewer), len(r.Strange))
	if len(r.Waits) > 0 {
		b.WriteString("what codes took that nothing should trouble, while there went on:\n")
	}
	for _, w := range r.Waits {
		fmt.Fprintf(&b, "  %v\n", w)
	}
	if n := len(r.Refused); n > 0 {
		fmt.Fprintf(&b, "not acknowledged %d, such as %v\n", n, r.Refused[0])
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.Injected)) {
		total += r.Injected[name]
		fmt.Fprintf(&b, "  %-20s %d\n", name, r.Injected[name])
	}
	fmt.Fprintf(&b, "  %-20s %d", "provider faults", total)
	return b.String()
}
