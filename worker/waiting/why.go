package waiting

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// Why says in a word why a message waits.
type Why string

// The reasons.
const (
	// WhyNotTaken: no worker has taken it yet.
	WhyNotTaken Why = "not-taken"
	// WhyInFlight: a worker has taken it.
	WhyInFlight Why = "in-flight"
	// WhyRetry: an attempt has failed, and it waits for the next one.
	WhyRetry Why = "retry"
	// WhyBreaker: a circuit breaker is open, or an attempt has opened it.
	WhyBreaker Why = "breaker"
	// WhySlots: its connectors had no free slot for it.
	WhySlots Why = "slots"
	// WhyNewerFirst: it was deferred, since newer codes go first.
	WhyNewerFirst Why = "newer-first"
	// WhyDoubt: it may have been sent.
	WhyDoubt Why = "doubt"
	// WhyPutBack: it was put back without an attempt.
	WhyPutBack Why = "put-back"
	// WhySettled: it is done, and leaves the stream when it is handed out next.
	WhySettled Why = "settled"
	// WhyUnknown: it can't be known; the detail says why not.
	WhyUnknown Why = "unknown"
)

// Whys lists every reason, in the order in which they are shown.
func Whys() []Why {
	return []Why{WhyNotTaken, WhyInFlight, WhyRetry, WhyBreaker, WhySlots, WhyNewerFirst, WhyDoubt, WhyPutBack, WhySettled, WhyUnknown}
}

// duplicateWindow is how long the stream knows a publish by its Nats-Msg-Id
// (wire.StreamConfigs).
const duplicateWindow = 5 * time.Minute

// because sets why the message waits.
func (m *Message) because(why Why, detail string, connectors ...string) {
	m.Why, m.Detail, m.Connectors = why, detail, connectors
}

// explain says why the message waits. e is its entry in the ledger, and c the channel's
// consumer; nil if there is none.
func (m *Message) explain(c *Consumer, e *ledger.Entry, place ledger.Place, hasLedger bool) {
	// An entry may be that of another message with the same Nats-Msg-Id.
	if e != nil && e.Place != place && (e.StoredAt > place.StoredAt || place.StoredAt-e.StoredAt > int64(duplicateWindow)) {
		e = nil
	}
	if e == nil {
		m.withoutEntry(c, hasLedger)
		return
	}
	attempts := len(e.History)
	m.Attempts = &attempts
	switch e.State {
	case ledger.Claimed:
		m.because(WhyInFlight, "a worker has taken it")
	case ledger.Retrying:
		if e.Unfilled {
			m.unfilled()
			return
		}
		m.retries(e.History)
	case ledger.Released:
		m.putBack(e)
	case ledger.InDoubt:
		m.because(WhyDoubt, suspected(e.Suspects)+" may have sent it; "+inDoubtFor(e), e.Suspects...)
	case ledger.LostWorker:
		m.because(WhyDoubt, fmt.Sprintf("its worker was never heard of again (%s), and another one has taken it up", times(e.Doubts)), e.Suspects...)
	case ledger.Panicked:
		m.because(WhyDoubt, "codeferry failed while it worked on it ("+times(e.Doubts)+"); the workers' logs have the stack", e.Suspects...)
	case ledger.Sent:
		m.because(WhySettled, "a worker is done with it, and the server has not confirmed that; it leaves the stream at its next delivery")
	}
}

func (m *Message) withoutEntry(c *Consumer, hasLedger bool) {
	none := 0
	switch {
	case c == nil:
		m.because(WhyUnknown, fmt.Sprintf("the consumer %s does not exist; a worker or codeferry provision makes it", m.Channel))
	case m.Sequence > c.delivered && c.made.After(m.StoredAt): // one before may have handed it out
		m.because(WhyNotTaken, "not since the consumer was made at "+c.made.UTC().Format(time.RFC3339)+": "+c.notTaken())
	case m.Sequence > c.delivered:
		m.Attempts = &none
		m.because(WhyNotTaken, c.notTaken())
	case !hasLedger:
		m.because(WhyUnknown, "a worker took it, and there is no ledger that says what happened then")
	default:
		m.because(WhyInFlight, "a worker took it, and the ledger says nothing yet")
		m.silent = true
	}
}

// notTaken says why no worker has taken a message.
func (c *Consumer) notTaken() string {
	switch {
	case c.Paused:
		return "the consumer is paused"
	case c.Asked:
		return "workers ask for messages; its turn will come"
	}
	return "no worker asks for messages: none runs, all slots are in use, or the circuit breakers of all connectors are open"
}

func (m *Message) retries(history []messages.Attempt) {
	if len(history) == 0 {
		m.because(WhyRetry, "it waits for its next attempt")
		return
	}
	last := history[len(history)-1]
	m.failed(last.Connector, last.Class, last.Code, last.Detail)
}

// failed says that an attempt has failed.
func (m *Message) failed(connector, class, code, detail string) {
	said := strings.Join(slices.DeleteFunc([]string{class, code, detail}, func(s string) bool { return s == "" }), ": ")
	if class == sender.Misconfigured.String() || class == sender.AccountDown.String() {
		m.because(WhyBreaker, fmt.Sprintf("%s opens its circuit breaker, or the template's, after such an error, unless it is only about this recipient: %s", connector, said), connector)
		return
	}
	m.because(WhyRetry, fmt.Sprintf("%s did not accept it: %s", connector, said), connector)
}

// putBack says why the message was put back without an attempt.
func (m *Message) putBack(e *ledger.Entry) {
	m.putBackLast = true
	switch e.Why {
	case ledger.WhyBreaker:
		m.because(WhyBreaker, "the circuit breaker of "+strings.Join(e.Open, ", ")+", or the template's, is open", e.Open...)
	case ledger.WhySlots:
		m.because(WhySlots, "its connectors had no free slot")
	case ledger.WhyNewerFirst:
		m.because(WhyNewerFirst, "deferred, because newer codes go first")
	case ledger.WhyStream:
		m.because(WhyPutBack, "the stream did not say whether a newer code was stored")
	case ledger.WhyTemplate:
		m.unfilled()
	case ledger.WhyNotBegun:
		m.because(WhyPutBack, "its worker stopped pulling before it had begun: it ended, or the circuit breakers of all connectors opened")
	default:
		m.because(WhyPutBack, "a worker put it back without an attempt, and did not say why")
	}
}

// unfilled says that the message waits for a configuration.
func (m *Message) unfilled() {
	m.because(WhyRetry, "no connector can fill in its template for it; codeferry status says what is missing, and it is sent once a new configuration has it")
}

func suspected(connectors []string) string {
	if len(connectors) == 0 {
		return "a connector"
	}
	return strings.Join(connectors, ", ")
}

func inDoubtFor(e *ledger.Entry) string {
	if e.DoubtGrace > e.DoubtFor {
		return "the provider is asked"
	}
	return "when it is taken up again, the provider is asked once more, or onDoubt decides"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// Heard adds what an outcome tells of the message: when it is taken up again, unless it was put
// back since, and if the
// ledger says nothing, why it waits. It takes the outcomes of the same stored message
// alone.
func (m *Message) Heard(o *messages.Outcome) {
	if o.Sequence != m.Sequence || !o.StoredAt.Equal(m.StoredAt) || o.RetryAt == nil {
		return
	}
	if !m.putBackLast && (m.RetryAt == nil || m.RetryAt.Before(*o.RetryAt)) {
		m.RetryAt = o.RetryAt
	}
	if m.Attempts == nil || *m.Attempts < o.Attempt {
		attempts := o.Attempt // a copy: the outcome is the caller's
		m.Attempts = &attempts
	}
	if m.Why != WhyUnknown && (m.Why != WhyInFlight || !m.silent) {
		return
	}
	switch o.Status {
	case messages.StatusRetrying:
		m.failed(o.Connector, o.Class, o.Code, o.Detail)
	case messages.StatusUnknown:
		m.because(WhyDoubt, o.Connector+" may have sent it", o.Connector)
	case messages.StatusSent, messages.StatusDead, messages.StatusSuperseded, messages.StatusDelivered, messages.StatusUndelivered:
	}
}
