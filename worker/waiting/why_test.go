package waiting

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 7, time.UTC)

// stored is a message in the stream, and its place.
func stored() (Message, ledger.Place) {
	m := Message{ID: "x", Channel: messages.SMS, Sequence: 17, StoredAt: noon}
	return m, ledger.Place{Sequence: m.Sequence, StoredAt: noon.UnixNano()}
}

// known is how many attempts a message had, as far as that is known.
func known(attempts *int) string {
	if attempts == nil {
		return "unknown"
	}
	return fmt.Sprint(*attempts)
}

func TestWhy(t *testing.T) {
	failed := func(class, code string) []messages.Attempt {
		return []messages.Attempt{{Connector: "b", Class: "unavailable"}, {Connector: "a", Class: class, Code: code, Detail: "no luck"}}
	}
	taken := &Consumer{delivered: 17, made: noon.Add(-time.Hour)}
	_, place := stored()
	other := ledger.Place{Sequence: 3, StoredAt: place.StoredAt}
	for name, c := range map[string]struct {
		consumer *Consumer
		entry    *ledger.Entry
		noLedger bool
		// place is the entry's; the message's by default.
		place      ledger.Place
		why        Why
		detail     string
		attempts   string
		connectors string
	}{
		"no consumer":          {why: WhyUnknown, detail: "the consumer sms does not exist", attempts: "unknown"},
		"not taken, asked for": {consumer: &Consumer{delivered: 16, Asked: true}, why: WhyNotTaken, detail: "workers ask for messages; its turn will come", attempts: "0"},
		"not taken, not asked": {consumer: &Consumer{delivered: 16}, why: WhyNotTaken, detail: "no worker asks for messages: none runs", attempts: "0"},
		"not taken, paused":    {consumer: &Consumer{delivered: 16, Paused: true}, why: WhyNotTaken, detail: "the consumer is paused", attempts: "0"},
		"not taken by a consumer that is younger": {
			consumer: &Consumer{delivered: 0, made: noon.Add(time.Hour)}, why: WhyNotTaken, detail: "not since the consumer was made at 2026-11-21T13:00:00Z: no worker asks", attempts: "unknown",
		},
		"taken, and no entry":        {consumer: taken, why: WhyInFlight, detail: "the ledger says nothing yet", attempts: "unknown"},
		"taken, and no ledger":       {consumer: taken, noLedger: true, why: WhyUnknown, detail: "there is no ledger", attempts: "unknown"},
		"claimed":                    {consumer: taken, entry: &ledger.Entry{State: ledger.Claimed}, why: WhyInFlight, detail: "a worker has taken it", attempts: "0"},
		"claimed again":              {consumer: taken, entry: &ledger.Entry{State: ledger.Claimed, History: failed("throttled", "")}, why: WhyInFlight, detail: "a worker has taken it", attempts: "2"},
		"retrying":                   {consumer: taken, entry: &ledger.Entry{State: ledger.Retrying, History: failed("throttled", "E-1")}, why: WhyRetry, detail: "a did not accept it: throttled: E-1: no luck", attempts: "2", connectors: "a"},
		"retrying, no history":       {consumer: taken, entry: &ledger.Entry{State: ledger.Retrying}, why: WhyRetry, detail: "it waits for its next attempt", attempts: "0"},
		"retrying, account down":     {consumer: taken, entry: &ledger.Entry{State: ledger.Retrying, History: failed("account-down", "E-1")}, why: WhyBreaker, detail: "a opens its circuit breaker, or the template's, after such an error, unless it is only about this recipient: account-down: E-1: no luck", attempts: "2", connectors: "a"},
		"retrying, misconfigured":    {consumer: taken, entry: &ledger.Entry{State: ledger.Retrying, History: failed("misconfigured", "")}, why: WhyBreaker, detail: "a opens", attempts: "2", connectors: "a"},
		"breaker":                    {consumer: taken, entry: &ledger.Entry{State: ledger.Released, Why: ledger.WhyBreaker, Open: []string{"a", "b"}}, why: WhyBreaker, detail: "the circuit breaker of a, b, or the template's, is open", attempts: "0", connectors: "a b"},
		"slots":                      {consumer: taken, entry: &ledger.Entry{State: ledger.Released, Why: ledger.WhySlots}, why: WhySlots, detail: "no free slot", attempts: "0"},
		"newer codes first":          {consumer: taken, entry: &ledger.Entry{State: ledger.Released, Why: ledger.WhyNewerFirst}, why: WhyNewerFirst, detail: "newer codes go first", attempts: "0"},
		"the stream was silent":      {consumer: taken, entry: &ledger.Entry{State: ledger.Released, Why: ledger.WhyStream}, why: WhyPutBack, detail: "the stream did not say", attempts: "0"},
		"no template fits":           {consumer: taken, entry: &ledger.Entry{State: ledger.Retrying, Unfilled: true}, why: WhyRetry, detail: "no connector can fill in its template", attempts: "0"},
		"no template fits, again":    {consumer: taken, entry: &ledger.Entry{State: ledger.Released, Why: ledger.WhyTemplate, Unfilled: true}, why: WhyRetry, detail: "no connector can fill in its template", attempts: "0"},
		"its worker stopped pulling": {consumer: taken, entry: &ledger.Entry{State: ledger.Released, Why: ledger.WhyNotBegun}, why: WhyPutBack, detail: "its worker stopped pulling", attempts: "0"},
		"an older worker":            {consumer: taken, entry: &ledger.Entry{State: ledger.Released}, why: WhyPutBack, detail: "did not say why", attempts: "0"},
		"in doubt, asked":            {consumer: taken, entry: &ledger.Entry{State: ledger.InDoubt, Suspects: []string{"a"}, DoubtGrace: time.Minute, History: failed("unknown", "")}, why: WhyDoubt, detail: "a may have sent it; the provider is asked", attempts: "2", connectors: "a"},
		"in doubt, not asked":        {consumer: taken, entry: &ledger.Entry{State: ledger.InDoubt}, why: WhyDoubt, detail: "a connector may have sent it; when it is taken up again, the provider is asked once more, or onDoubt decides", attempts: "0"},
		"its worker is lost":         {consumer: taken, entry: &ledger.Entry{State: ledger.LostWorker, Doubts: 1}, why: WhyDoubt, detail: "its worker was never heard of again (once)", attempts: "0"},
		"it panicked":                {consumer: taken, entry: &ledger.Entry{State: ledger.Panicked, Doubts: 2}, why: WhyDoubt, detail: "codeferry failed while it worked on it (2 times)", attempts: "0"},
		"sent":                       {consumer: taken, entry: &ledger.Entry{State: ledger.Sent}, why: WhySettled, detail: "a worker is done with it", attempts: "0"},
		"the entry is of the same publish before":  {consumer: taken, entry: &ledger.Entry{State: ledger.Sent}, place: ledger.Place{Sequence: 3, StoredAt: place.StoredAt - int64(time.Minute)}, why: WhySettled, detail: "a worker is done with it", attempts: "0"},
		"the entry is of another one long before":  {consumer: taken, entry: &ledger.Entry{State: ledger.Sent}, place: ledger.Place{Sequence: 3, StoredAt: place.StoredAt - int64(time.Hour)}, why: WhyInFlight, detail: "says nothing yet", attempts: "unknown"},
		"the entry is of a later one":              {consumer: taken, entry: &ledger.Entry{State: ledger.Sent}, place: ledger.Place{Sequence: 30, StoredAt: place.StoredAt + 1}, why: WhyInFlight, detail: "says nothing yet", attempts: "unknown"},
		"the entry is of one at the same time":     {consumer: taken, entry: &ledger.Entry{State: ledger.Claimed}, place: other, why: WhyInFlight, detail: "a worker has taken it", attempts: "0"},
		"an entry, although the consumer is gone":  {entry: &ledger.Entry{State: ledger.Retrying}, why: WhyRetry, detail: "next attempt", attempts: "0"},
		"an entry, although the consumer is young": {consumer: &Consumer{}, entry: &ledger.Entry{State: ledger.Retrying}, why: WhyRetry, detail: "next attempt", attempts: "0"},
	} {
		m, place := stored()
		if c.entry != nil {
			if c.entry.Place = c.place; c.place == (ledger.Place{}) {
				c.entry.Place = place
			}
		}
		m.explain(c.consumer, c.entry, place, !c.noLedger)
		if m.Why != c.why || !strings.Contains(m.Detail, c.detail) || known(m.Attempts) != c.attempts || strings.Join(m.Connectors, " ") != c.connectors {
			t.Errorf("%s: %s (%s), %s attempts, connectors %v; want %s (%s), %s, %s", name, m.Why, m.Detail, known(m.Attempts), m.Connectors, c.why, c.detail, c.attempts, c.connectors)
		}
	}
}

// TestHeard: an outcome says when a message is taken up again, and why it waits only where
// the ledger does not.
func TestHeard(t *testing.T) {
	at := noon.Add(time.Minute)
	retrying := messages.Outcome{Status: messages.StatusRetrying, Connector: "a", Class: "throttled", Code: "E-1", Attempt: 2, RetryAt: &at, Sequence: 17, StoredAt: noon}
	edit := func(f func(o *messages.Outcome)) messages.Outcome {
		o := retrying
		f(&o)
		return o
	}
	consumer := &Consumer{delivered: 17, made: noon.Add(-time.Hour)}
	silent, noLedger := func(m *Message, p ledger.Place) { m.explain(consumer, nil, p, true) }, func(m *Message, p ledger.Place) { m.explain(consumer, nil, p, false) }
	claimed := func(m *Message, p ledger.Place) {
		m.explain(consumer, &ledger.Entry{State: ledger.Claimed, Place: p}, p, true)
	}
	deferred := func(m *Message, p ledger.Place) {
		m.explain(consumer, &ledger.Entry{State: ledger.Released, Why: ledger.WhySlots, Place: p}, p, true)
	}
	for name, c := range map[string]struct {
		before  func(*Message, ledger.Place)
		outcome messages.Outcome
		want    string
	}{
		"put back since":             {deferred, retrying, "slots  2 -"},
		"the ledger says nothing":    {silent, retrying, "retry a 2 12:01"},
		"there is no ledger":         {noLedger, retrying, "retry a 2 12:01"},
		"the ledger knows better":    {claimed, retrying, "in-flight  2 12:01"},
		"a doubt":                    {silent, edit(func(o *messages.Outcome) { o.Status = messages.StatusUnknown }), "doubt a 2 12:01"},
		"an account that is out":     {silent, edit(func(o *messages.Outcome) { o.Class = "account-down" }), "breaker a 2 12:01"},
		"of another message":         {silent, edit(func(o *messages.Outcome) { o.Sequence = 18 }), "in-flight  unknown -"},
		"of another stream":          {silent, edit(func(o *messages.Outcome) { o.StoredAt = noon.Add(1) }), "in-flight  unknown -"},
		"that says nothing of later": {silent, edit(func(o *messages.Outcome) { o.Status, o.RetryAt = messages.StatusSent, nil }), "in-flight  unknown -"},
	} {
		m, place := stored()
		c.before(&m, place)
		m.Heard(&c.outcome)
		again := "-"
		if m.RetryAt != nil {
			again = m.RetryAt.Format("15:04")
		}
		if got := fmt.Sprint(m.Why, " ", strings.Join(m.Connectors, " "), " ", known(m.Attempts), " ", again); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestHeardChangesNoOutcome: the outcomes are shown, too, and stay as they were stored.
func TestHeardChangesNoOutcome(t *testing.T) {
	m, _ := stored()
	at := noon.Add(time.Minute)
	outcomes := []messages.Outcome{
		{Sequence: m.Sequence, StoredAt: m.StoredAt, Status: messages.StatusRetrying, Attempt: 1, RetryAt: &at},
		{Sequence: m.Sequence, StoredAt: m.StoredAt, Status: messages.StatusRetrying, Attempt: 2, RetryAt: &at},
	}
	for i := range outcomes {
		m.Heard(&outcomes[i])
	}
	if got := known(m.Attempts); got != "2" {
		t.Errorf("the message had %s attempts, want 2", got)
	}
	for i, o := range outcomes {
		if o.Attempt != i+1 {
			t.Errorf("outcome %d has attempt %d, want %d", i, o.Attempt, i+1)
		}
	}
}
