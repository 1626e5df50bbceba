package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// unfitness is an error of Options.Ensure that stays.
type unfitness struct{ blocks bool }

func (u unfitness) Error() string { return fmt.Sprint("it is not as it has to be: ", u.blocks) }
func (u unfitness) Blocks() bool  { return u.blocks }

var _ blocker = unfitness{}

// countingLog counts the lines of a log.
type countingLog struct{ lines int }

func (l *countingLog) Write(text []byte) (int, error) {
	l.lines++
	return len(text), nil
}

func (l *countingLog) logger() zerolog.Logger { return zerolog.New(l) }

// someKeeper is a keeper whose parts fail as the test says.
type someKeeper struct {
	*keeper
	ensure, probe error
	away          bool
	now           time.Time
	changes       int
	logged        *countingLog
}

func newSomeKeeper(claims bool) *someKeeper {
	k := &someKeeper{now: noon, logged: new(countingLog)}
	k.keeper = newKeeper(keeperOptions{
		ensure: func(context.Context) error { return k.ensure }, probe: func(context.Context) error { return k.probe }, claims: claims,
		away: func() bool { return k.away }, changed: func() { k.changes++ }, now: func() time.Time { return k.now }, log: k.logged.logger(),
	})
	return k
}

func TestKeeperOfUnfitSettings(t *testing.T) {
	k := newSomeKeeper(false)
	for _, step := range []struct {
		name          string
		ensure        error
		wrong, holds  bool
		changes, said int
		next          time.Duration
	}{
		{"all is well", nil, false, false, 0, 0, keepEvery},
		{"the server does not answer", errors.New("timeout"), false, false, 0, 0, keepSoon},
		{"it answers again", nil, false, false, 0, 0, keepEvery},
		{"it denies the question", fmt.Errorf("look at it: %w", nats.ErrPermissionViolation), false, false, 0, 0, keepEvery},
		{"what blocks", unfitness{true}, true, true, 1, 1, keepSoon},
		{"it goes on", unfitness{true}, true, true, 1, 1, keepSoon},
		{"no answer meanwhile", errors.New("timeout"), true, true, 1, 1, keepSoon},
		{"well again", nil, false, false, 2, 2, keepEvery},
		{"well", nil, false, false, 2, 2, keepEvery},
		{"what does not block, within a minute", unfitness{}, true, false, 3, 3, keepSoon},
	} {
		k.ensure = step.ensure
		k.look(t.Context())
		check.Equal(t, step.name+": the next check comes after", k.pause(), step.next)
		check.Equal(t, step.name+": wrong", k.state() != nil, step.wrong)
		check.Equal(t, step.name+": holds", k.holds() != nil, step.holds)
		check.Equal(t, step.name+": changes", k.changes, step.changes)
		check.Equal(t, step.name+": said", k.logged.lines, step.said)
	}
	k.now = k.now.Add(logEvery)
	k.look(t.Context())
	check.Equal(t, "said after a minute", k.logged.lines, 4)
	k.ensure = unfitness{blocks: true}
	k.look(t.Context())
	check.Equal(t, "another problem is said at once", k.logged.lines, 5)
}

// TestKeeperOfSettingsThatAlternate: each text is said once a minute, also if two take turns at
// each look, or if there are ever new ones.
func TestKeeperOfSettingsThatAlternate(t *testing.T) {
	k := newSomeKeeper(false)
	for second := range 70 {
		k.ensure = unfitness{blocks: second%2 == 0}
		k.look(t.Context())
		want := 2
		switch {
		case second == 0:
			want = 1
		case second == 60:
			want = 3
		case second > 60:
			want = 4
		}
		check.Equal(t, fmt.Sprintf("said after %d s", second), k.logged.lines, want)
		k.now = k.now.Add(time.Second)
	}
	k.ensure = nil
	k.look(t.Context())
	check.Equal(t, "said at the end", k.logged.lines, 5)
	for i := range 10 * maxLogged {
		k.logProblem("unfit", fmt.Sprint("text ", i), func() { k.logged.lines++ })
	}
	check.Equal(t, "said of many texts", k.logged.lines, 5+maxLogged+1)
}

func TestKeeperOfTheLedger(t *testing.T) {
	full := fmt.Errorf("claim: %w", &jetstream.APIError{ErrorCode: 10023, Description: "no room"})
	for _, claims := range []bool{true, false} {
		k := newSomeKeeper(claims)
		k.probe = full
		check.Equal(t, "nothing", k.ledgerFailed(nil), false)
		check.Equal(t, "another worker's", k.ledgerFailed(ledger.ErrLost), false)
		check.Equal(t, "told to stop", k.ledgerFailed(context.Canceled), false)
		k.away = true
		check.Equal(t, "NATS is away", k.ledgerFailed(full), false)
		k.away = false
		check.Equal(t, "well", k.state(), nil)
		for range 3 {
			check.Equal(t, "the ledger's fault", k.ledgerFailed(full), true)
		}
		check.Equal(t, "said", k.logged.lines, 1)
		check.Equal(t, "holds", k.holds() != nil, claims)
		contains(t, "state", k.state().Error(), "the ledger can't be written: claim: nats: API error: code=0 err_code=10023 description=no room")
		check.Equal(t, "changes", k.changes, 1)
		select {
		case <-k.poked:
		default:
			t.Error("the keeper does not check at once")
		}
		k.look(t.Context())
		check.Equal(t, "still", k.state() != nil, true)
		k.probe = nil
		k.look(t.Context())
		check.Equal(t, "well again", k.state(), nil)
		check.Equal(t, "changes at the end", k.changes, 2)
		check.Equal(t, "said at the end", k.logged.lines, 2)
		k.ledgerFailed(full)
		check.Equal(t, "said of the next time, within a minute", k.logged.lines, 3)
	}
}

// TestKeeperOfASilentLedger: one missing answer stops nothing if the keeper's own try is
// answered.
func TestKeeperOfASilentLedger(t *testing.T) {
	k := newSomeKeeper(true)
	check.Equal(t, "a time-out", k.ledgerFailed(context.DeadlineExceeded), false)
	check.Equal(t, "after a time-out", k.state(), nil)
	k.look(t.Context())
	check.Equal(t, "after a try that was answered", k.state(), nil)
	k.probe = context.DeadlineExceeded
	k.look(t.Context())
	check.Equal(t, "nobody has complained since", k.state(), nil)
	k.ledgerFailed(context.DeadlineExceeded)
	k.away = true
	k.look(t.Context())
	check.Equal(t, "NATS is away", k.state(), nil)
	k.away = false
	k.ledgerFailed(context.DeadlineExceeded)
	k.look(t.Context())
	check.Equal(t, "after a try without an answer", k.holds() != nil, true)
	check.Equal(t, "no stream answers", newSomeKeeper(true).ledgerFailed(jetstream.ErrNoStreamResponse), true)
}

// TestKeeperWithoutAConnection: what could not be sent because there was no connection says
// nothing about JetStream, also when the connection is back.
func TestKeeperWithoutAConnection(t *testing.T) {
	k := newSomeKeeper(true)
	unsent := fmt.Errorf("store it: %w", nats.ErrReconnectBufExceeded)
	check.Equal(t, "the ledger's fault", k.ledgerFailed(unsent), false)
	k.deadLettersFailed(unsent)
	k.away = true
	k.deadLettersFailed(errors.New("timeout"))
	k.look(t.Context())
	check.Equal(t, "state", k.state(), nil)
	check.Equal(t, "said", k.logged.lines, 0)
}

func TestKeeperOfDeadLetters(t *testing.T) {
	k := newSomeKeeper(true)
	k.deadLettersFailed(errors.New("no room"))
	k.deadLettersFailed(errors.New("no room"))
	contains(t, "state", k.state().Error(), "dead letters can't be stored: no room")
	check.Equal(t, "holds", k.holds(), nil)
	check.Equal(t, "said", k.logged.lines, 1)
	k.now = k.now.Add(deadLetterMemory + 1)
	check.Equal(t, "after a while", k.state(), nil)
	k.deadLettersFailed(errors.New("no room"))
	check.Equal(t, "said again", k.logged.lines, 2)
	k.deadLettersStored()
	check.Equal(t, "after one was stored", k.state(), nil)
	check.Equal(t, "said that they can be stored", k.logged.lines, 3)
	k.deadLettersStored()
	k.outcomesFailed("no stream takes them")
	check.Equal(t, "outcomes stop nothing", k.state(), nil)
	check.Equal(t, "said of outcomes", k.logged.lines, 4)
	check.Equal(t, "outcomes are lost", k.outcomesLost(), "no stream takes them")
	k.outcomesStored("sent")
	k.outcomesStored("sent")
	check.Equal(t, "outcomes are stored", k.outcomesLost(), "")
	check.Equal(t, "said that they are stored", k.logged.lines, 5)
	k.outcomesFailed("no stream takes them")
	check.Equal(t, "said of outcomes, within a minute", k.logged.lines, 6)
}

// TestKeeperOfOutcomes: what is not permitted is reported until an outcome of the same subject
// is stored, or for as long as the alert lasts.
func TestKeeperOfOutcomes(t *testing.T) {
	k := newSomeKeeper(true)
	for range 2 {
		k.outcomesDenied("codeferry.outcome.a.sms.sent")
		k.outcomesStored("codeferry.outcome.b.sms.sent")
		contains(t, "not permitted", k.outcomesLost(), "NATS does not permit this user to publish to codeferry.outcome.a.sms.sent; ")
		k.now = k.now.Add(outcomeMemory)
		check.Equal(t, "it lasts", k.outcomesLost() != "", true)
		k.now = k.now.Add(1)
		check.Equal(t, "it is over", k.outcomesLost(), "")
	}
	k.outcomesDenied("codeferry.outcome.a.sms.sent")
	k.outcomesStored("codeferry.outcome.a.sms.sent")
	check.Equal(t, "permitted", k.outcomesLost(), "")
	check.Equal(t, "the connection logs it", k.logged.lines, 0)
	check.Equal(t, "outcomes stop nothing", k.state(), nil)
}

// TestSettleTellsTheKeeper: settle reports to the keeper what can't be stored, and logs it
// only if the keeper does not.
func TestSettleTellsTheKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		for _, quiet := range []bool{true, false} {
			r.log.Reset()
			r.settles(t.Context(), r.arrives(t), verdict{action: actPutBack, delay: time.Second, detail: "why", quiet: quiet})
			contains(t, "log", r.log.String(), "put back for a moment")
			check.Equal(t, "a warning", strings.Contains(r.log.String(), `"warn"`), !quiet)
		}
		r.settles(t.Context(), r.arrives(t), dead(r.arrives(t), messages.ReasonRejected, "refused"))
		check.Equal(t, "stored", r.troubles.stored, 1)
		r.letters.fail = errors.New("no room")
		r.settles(t.Context(), r.arrives(t), dead(r.arrives(t), messages.ReasonRejected, "refused"))
		check.Equal(t, "not stored", len(r.troubles.letters), 1)
		if err := r.reap(t.Context(), r.arrives(t), dead(r.arrives(t), messages.ReasonDoubt, "lost")); err == nil {
			t.Error("an orphan without a dead letter was deleted")
		}
		check.Equal(t, "an orphan's not stored", len(r.troubles.letters), 2)
		d := r.arrives(t)
		d.doubts = maxDoubts
		r.afterPanic(t.Context(), d, func() {})
		check.Equal(t, "a bare one not stored", len(r.troubles.letters), 3)
	})
}
