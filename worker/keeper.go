package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// keeper makes sure that the streams and consumers that the worker needs exist and are set
// up correctly, and knows what is wrong with them. While messages can't be received or
// claimed, nothing is pulled: they wait in the stream, where they can't become messages in
// doubt.
type keeper struct {
	keeperOptions

	poked chan struct{}
	// unfit is what is wrong in JetStream, and ledger why the ledger can't be written.
	// They hold nil if all is well.
	unfit, ledger atomic.Pointer[error]
	// silent is true if a request to the ledger was not answered, unanswered if the last check
	// was not.
	silent, unanswered atomic.Bool
	// deadLetters is why the last dead letter could not be stored.
	deadLetters atomic.Pointer[deadLetterTrouble]
	// outcomes is why the last outcomes could not be stored.
	outcomes atomic.Pointer[outcomeTrouble]

	mu sync.Mutex
	// logged are the problems that last, by their name.
	logged map[string]problem
}

// problem is when a problem began, and when each of its texts was last logged.
type problem struct {
	began  time.Time
	logged map[string]time.Time
}

// keeperOptions configure a keeper.
type keeperOptions struct {
	// ensure makes what is missing and repairs what differs.
	ensure func(ctx context.Context) error
	// probe fails if the ledger can't be written.
	probe func(ctx context.Context) error
	// claims is true if every message is claimed in the ledger before it is sent.
	claims bool
	// away reports whether the connection to NATS is lost: then an error is not the
	// ledger's fault.
	away func() bool
	// changed is called when pulling may go on, or has to end.
	changed func()
	now     func() time.Time
	log     zerolog.Logger
}

// deadLetterTrouble is why and when a dead letter could not be stored.
type deadLetterTrouble struct {
	err error
	at  time.Time
}

// outcomeTrouble is why and when outcomes could not be stored.
type outcomeTrouble struct {
	why string
	at  time.Time
	// denied is their subject if the server does not permit it. The connection logs that.
	denied string
}

const (
	// keepEvery is the interval between two checks, and keepSoon the interval while
	// something is wrong.
	keepEvery = 5 * time.Second
	keepSoon  = time.Second
	// logEvery is the interval at which a lasting problem is logged again.
	logEvery = time.Minute
	// deadLetterMemory is how long a dead letter that could not be stored counts as a
	// problem. Its message comes again after putBackDelay.
	deadLetterMemory = 30 * time.Second
	// outcomeMemory is how long a lost outcome is reported, unless outcomes are stored
	// meanwhile: as long as the alert about it lasts.
	outcomeMemory = 15 * time.Minute
)

// blocker is an error of Options.Ensure that stays until an operator fixes the cause.
type blocker interface {
	error
	// Blocks reports whether no messages can be pulled meanwhile.
	Blocks() bool
}

func newKeeper(o keeperOptions) *keeper {
	k := &keeper{keeperOptions: o, poked: make(chan struct{}, 1), logged: make(map[string]problem)}
	k.unfit.Store(new(error))
	k.ledger.Store(new(error))
	k.deadLetters.Store(new(deadLetterTrouble))
	k.outcomes.Store(new(outcomeTrouble))
	return k
}

// run checks until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for {
		k.wait(ctx, k.pause())
		if ctx.Err() != nil {
			return
		}
		k.look(ctx)
		sleep(ctx, leastPause)
	}
}

// pause returns how long to wait for the next check.
func (k *keeper) pause() time.Duration {
	if k.state() != nil || k.unanswered.Load() {
		return keepSoon
	}
	return keepEvery
}

func (k *keeper) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-k.poked:
	case <-timer.C:
	}
}

// poke makes run check at once.
func (k *keeper) poke() {
	select {
	case k.poked <- struct{}{}:
	default: // it will check soon
	}
}

// look checks everything once.
func (k *keeper) look(ctx context.Context) {
	k.found(k.ensure(ctx))
	silent, failed := k.silent.Swap(false), *k.ledger.Load() != nil
	if !silent && !failed || ctx.Err() != nil {
		return
	}
	switch err := k.probe(ctx); {
	case err != nil && ctx.Err() == nil && !k.away():
		k.ledgerIsDown(err)
	case err == nil && failed:
		k.ledger.Store(new(error))
		k.logEnd("ledger", "the ledger can be written again")
		k.changed()
	}
}

// found handles the result of Options.Ensure. An error that the server did not answer
// changes nothing, but the next check comes soon. One that is not permitted changes nothing
// either, and costs a line in the server's log each time.
func (k *keeper) found(err error) {
	before := *k.unfit.Load()
	var b blocker
	k.unanswered.Store(err != nil && !errors.As(err, &b) && !errors.Is(err, nats.ErrPermissionViolation))
	switch {
	case err == nil && before != nil:
		k.unfit.Store(new(error))
		k.logEnd("unfit", "JetStream is set up as needed again")
		k.changed()
	case errors.As(err, &b):
		k.unfit.Store(&err)
		k.logProblem("unfit", err.Error(), func() { k.log.Error().Err(err).Msg("JetStream is not set up as needed") })
		if before == nil {
			k.changed()
		}
	}
}

// ledgerFailed is called when the ledger could not be written or read. It returns true if
// the server has refused the request. If only the answer is missing, the server may just
// be busy: then the keeper tries the ledger itself.
func (k *keeper) ledgerFailed(err error) bool {
	if err == nil || errors.Is(err, ledger.ErrLost) || errors.Is(err, context.Canceled) || k.away() || wire.IsUnsent(err) {
		return false
	}
	if refused := (*jetstream.APIError)(nil); !errors.As(err, &refused) && !gone(err) {
		k.silent.Store(true)
		k.poke()
		return false
	}
	k.ledgerIsDown(err)
	return true
}

// ledgerIsDown notes that the ledger can't be written.
func (k *keeper) ledgerIsDown(err error) {
	err = fmt.Errorf("the ledger can't be written: %w", err)
	before := *k.ledger.Load()
	k.ledger.Store(&err)
	k.logProblem("ledger", "", func() {
		text := "messages that come again are in doubt"
		if k.claims {
			text = "no message is sent until the ledger can be written"
		}
		k.log.Error().Err(err).Msg(text)
	})
	if before == nil {
		k.poke()
		k.changed()
	}
}

// deadLettersFailed is called when a dead letter could not be stored.
func (k *keeper) deadLettersFailed(err error) {
	if k.away() || wire.IsUnsent(err) {
		return // the message comes again
	}
	if last := k.deadLetters.Load(); last.err != nil && k.now().Sub(last.at) > deadLetterMemory {
		k.forget("letters") // /readyz does not show it any more, so this is another one
	}
	k.deadLetters.Store(&deadLetterTrouble{fmt.Errorf("dead letters can't be stored: %w", err), k.now()})
	k.logProblem("letters", "", func() {
		k.log.Error().Err(err).Msg("dead letters can't be stored; their messages are kept until they can be")
	})
	if gone(err) {
		k.poke()
	}
}

// deadLettersStored is called when a dead letter was stored.
func (k *keeper) deadLettersStored() {
	if k.deadLetters.Load().err != nil {
		k.deadLetters.Store(new(deadLetterTrouble))
		k.logEnd("letters", "dead letters can be stored again")
	}
}

// outcomesFailed is called when the stream has not stored outcomes, with the reason.
func (k *keeper) outcomesFailed(why string) {
	if k.away() {
		return
	}
	k.logProblem("outcomes", "", func() {
		k.log.Warn().Str("why", why).Msg("outcomes can't be stored; codes are still sent")
	})
	k.outcomes.Store(&outcomeTrouble{why: why, at: k.now()})
	k.poke()
}

// outcomesDenied is called when the server does not permit the subject of an outcome.
func (k *keeper) outcomesDenied(subject string) {
	k.outcomes.Store(&outcomeTrouble{
		why: "NATS does not permit this user to publish to " + subject + "; docs/roles.md lists what a worker needs", at: k.now(), denied: subject,
	})
}

// outcomesStored is called when the stream has stored outcomes, with the subject of the last
// one. Those of other subjects may still not be permitted.
func (k *keeper) outcomesStored(subject string) {
	last := k.outcomes.Load()
	if last.why == "" || last.denied != "" && last.denied != subject {
		return
	}
	if k.outcomes.CompareAndSwap(last, new(outcomeTrouble)) && last.denied == "" {
		k.logEnd("outcomes", "outcomes can be stored again")
	}
}

// outcomesLost returns why outcomes could not be stored; "" if they can.
func (k *keeper) outcomesLost() string {
	if last := k.outcomes.Load(); last.why != "" && k.now().Sub(last.at) <= outcomeMemory {
		return last.why
	}
	return ""
}

// gone reports whether no stream answers for a subject.
func gone(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// logProblem logs each text of a problem at once, and then again once in logEvery while the
// problem lasts. After maxLogged texts, all others count as one.
func (k *keeper) logProblem(what, text string, write func()) {
	if k.due(what, text) {
		write()
	}
}

// due reports whether to log a text of a problem now, and notes that it is logged.
func (k *keeper) due(what, text string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	p, lasts := k.logged[what]
	if !lasts {
		p = problem{now, make(map[string]time.Time)}
		k.logged[what] = p
	}
	maps.DeleteFunc(p.logged, func(_ string, at time.Time) bool { return now.Sub(at) >= logEvery })
	if _, logged := p.logged[text]; !logged && len(p.logged) >= maxLogged {
		text = ""
	}
	if _, logged := p.logged[text]; logged {
		return false
	}
	p.logged[text] = now
	return true
}

// forget makes logProblem log the next problem at once.
func (k *keeper) forget(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.logged, what)
}

// logEnd logs that a problem has ended, and how long it lasted, if it was logged.
func (k *keeper) logEnd(what, text string) {
	k.mu.Lock()
	last, logged := k.logged[what]
	delete(k.logged, what)
	k.mu.Unlock()
	if logged {
		k.log.Info().Stringer("lasted", k.now().Sub(last.began).Round(time.Millisecond)).Msg(text)
	}
}

// holds returns why nothing may be pulled; nil if pulling is allowed.
func (k *keeper) holds() error {
	if err := *k.unfit.Load(); err != nil {
		var b blocker
		if errors.As(err, &b) && b.Blocks() {
			return err
		}
	}
	if k.claims {
		return *k.ledger.Load()
	}
	return nil
}

// state returns what is wrong; nil if nothing is.
func (k *keeper) state() error {
	last := k.deadLetters.Load()
	err := last.err
	if err != nil && k.now().Sub(last.at) > deadLetterMemory {
		err = nil
	}
	return errors.Join(*k.unfit.Load(), *k.ledger.Load(), err)
}
