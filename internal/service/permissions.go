package service

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages/wire"
)

// deniedFor is how long a denial counts. A worker repeats an essential operation much sooner,
// so a denial that still holds is renewed.
const deniedFor = 30 * time.Second

// permissions reports to /readyz operations that every code needs and the server does not
// permit.
type permissions struct {
	conditions *Conditions
	log        zerolog.Logger
	// until is when the last denial ends (Unix, in nanoseconds).
	until atomic.Int64
}

// denied is called for each denial.
func (p *permissions) denied(err error) {
	operation, subject := broker.Denial(err)
	if !essential(operation, subject) {
		return // it is logged already
	}
	p.until.Store(time.Now().Add(deniedFor).UnixNano())
	remedy := "docs/roles.md lists what a worker needs"
	if operation == "subscribe" {
		remedy = "set nats.inboxPrefix, such as _INBOX_worker; " + remedy
	}
	p.conditions.Block(conditionPermissions, fmt.Sprintf("NATS does not permit this user to %s to %s; %s", operation, subject, remedy))
}

// outcomeDenied tells the worker of an outcome that the server does not permit.
func (s *running) outcomeDenied(err error) {
	operation, _ := broker.Denial(err)
	subject := broker.DeniedSubject(err)
	if c := s.current.Load(); c != nil && operation == "publish" && strings.HasPrefix(subject, wire.OutcomePrefix) {
		c.worker.OutcomeDenied(subject)
	}
}

// look ends the condition if no denial came again.
func (p *permissions) look(now time.Time) {
	if until := p.until.Load(); until != 0 && now.UnixNano() > until && p.until.CompareAndSwap(until, 0) {
		if lasted, held := p.conditions.Clear(conditionPermissions); held {
			p.log.Info().Stringer("lasted", lasted.Round(time.Second)).
				Msg("NATS has refused no operation that every code needs for " + deniedFor.String() + ": the permissions are there")
		}
	}
}

// essential reports whether every code needs an operation: receiving answers, pulling,
// settling, and the ledger. Making streams is not essential, because others can do it.
func essential(operation, subject string) bool {
	return operation == "subscribe" || strings.HasPrefix(subject, "$JS.ACK.") || strings.HasPrefix(subject, "$KV.") ||
		strings.Contains(subject, ".CONSUMER.MSG.NEXT."+wire.StreamName+".") || strings.Contains(subject, ".CONSUMER.INFO."+wire.StreamName+".") ||
		strings.HasSuffix(subject, ".STREAM.INFO."+wire.StreamName) || strings.Contains(subject, ".DIRECT.GET.KV_"+wire.LedgerName)
}
