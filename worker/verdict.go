package worker

import (
	"fmt"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// action is what settle does with a message.
type action int

const (
	// actSent: a connector has accepted the message. Outcome, ack.
	actSent action = iota + 1
	// actDone: nothing is left to do, because it was sent before and only its ack was
	// missing, or because the stream has dropped it. Ack.
	actDone
	// actSuperseded: a newer code has superseded it. Outcome if it was surely not sent, ack.
	actSuperseded
	// actDead: it will not be sent. Dead letter, outcome, term.
	actDead
	// actRetry: no connector accepted it. Outcome, ledger, nak.
	actRetry
	// actDoubt: a connector may have accepted it just now. Outcome, ledger, nak.
	actDoubt
	// actAskAgain: it is in doubt, and the provider does not know yet. Ledger, nak.
	actAskAgain
	// actDefer: it has to wait, and was not tried. Ledger, nak.
	actDefer
	// actRelease: no slot has begun with it. Ledger, nak.
	actRelease
	// actPutBack: its state could not be found out. Nak, without a write to the ledger.
	actPutBack
	// actDrop: another worker has it. Nothing.
	actDrop
	// actPanicked: codeferry panicked while it worked on it. Ledger, nak; the third time
	// it is dead.
	actPanicked
)

// verdict is what the stages decided about a message.
type verdict struct {
	action action
	// delay is how long it waits if it is put back.
	delay time.Duration

	// connector is the connector that has sent it, and receipt the provider's receipt.
	connector string
	receipt   sender.Receipt

	// err is why the last attempt failed.
	err *sender.Error
	// suspects are the connectors that may have accepted it by now, and doubtGrace is how
	// long they are asked. decide sets both, for actDoubt.
	suspects   []string
	doubtGrace time.Duration
	// state is the state to write to the ledger, for actRelease and actDrop; empty for no
	// write.
	state ledger.State
	// why says why it is put back, and open names the connectors whose circuit breakers are
	// open. They are for actDefer and actRelease.
	why  ledger.Why
	open []string
	// reason is the dead letter's reason. detail says what happened, for an operator.
	reason messages.Reason
	detail string
	// unfilled is true if no request was made, because no connector can fill in its template.
	// It is for actRetry.
	unfilled bool
	// quiet is true if the cause is logged elsewhere.
	quiet bool
}

// dead is the verdict that d will not be sent. If a connector may have accepted the
// message, the reason becomes doubt, unless it is poison: the advice of any other reason
// would lead to a second send.
func dead(d *delivery, reason messages.Reason, detail string) verdict {
	if d.mayHaveBeenSent() && reason != messages.ReasonDoubt && reason != messages.ReasonPoison {
		return verdict{action: actDead, reason: messages.ReasonDoubt, detail: fmt.Sprintf("%s may have sent it; since then: %s", connectorList(d.suspects), detail)}
	}
	return verdict{action: actDead, reason: reason, detail: detail}
}

// connectorList names connectors in a sentence.
func connectorList(connectors []string) string {
	switch len(connectors) {
	case 0:
		return "an earlier worker"
	case 1:
		return "connector " + connectors[0]
	}
	return fmt.Sprintf("one of the connectors %v", connectors)
}

func (v verdict) because(err *sender.Error) verdict {
	v.err = err
	return v
}

// advice returns the dead letter's advice: that of the reason, and that of the last error
// if it has one.
func (v verdict) advice() string {
	if v.err == nil || v.err.Advice == "" {
		return v.reason.Advice()
	}
	return v.reason.Advice() + " " + v.err.Advice
}

// status returns the status of the verdict's outcome; published is false if the verdict
// has no outcome.
func (v verdict) status() (s messages.Status, published bool) {
	switch v.action {
	case actSent:
		return messages.StatusSent, true
	case actDead:
		return messages.StatusDead, true
	case actRetry:
		return messages.StatusRetrying, true
	case actDoubt:
		return messages.StatusUnknown, true
	case actSuperseded:
		return messages.StatusSuperseded, true
	case actDone, actAskAgain, actDefer, actRelease, actPutBack, actDrop, actPanicked:
	}
	return "", false
}
