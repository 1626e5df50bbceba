package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// consumerGuard makes sure that a channel's consumer exists, and knows which messages an
// earlier consumer may have handed out.
//
// A consumer counts how often it has handed out each message. A consumer that was deleted
// and made again begins to count at 1, even for messages that are in flight. So the
// workers keep in the ledger which consumer they pull from. A worker that finds another
// consumer there notes, before it pulls, that all messages in the stream are suspects. If
// the ledger names no consumer, no worker has pulled before: a backlog that waited for the
// first worker is fresh. This does not hold if the ledger itself was made again: this
// worker remembers that, or sees that the ledger is younger than the consumer or the
// stream. Then claims in the former ledger are lost.
type consumerGuard struct {
	js      jetstream.JetStream
	channel messages.Channel
	// ensure makes the streams and consumers that are missing.
	ensure func(ctx context.Context) error
	ledger *ledger.Ledger

	// claims is true if every message is claimed in the ledger before it is sent.
	claims bool
	// failed is called when the ledger could not be read or written; nil for no call.
	failed func(err error) bool

	ackWaitNanos atomic.Int64
	// known is closed once AckWait was read from the consumer.
	known     chan struct{}
	knownOnce sync.Once
	mark      atomic.Pointer[consumerMark]
	// noted is when this worker wrote or read the mark (Unix, in nanoseconds).
	noted atomic.Int64
	// ledgerMade is when the ledger that has the mark was made (Unix, in nanoseconds).
	ledgerMade atomic.Int64
	// gone is true once another consumer has replaced the marked one.
	gone atomic.Bool
}

// consumerMark is what the ledger keeps of a channel's consumer.
type consumerMark struct {
	// Stream and Consumer are when the stream and the consumer were made.
	Stream   time.Time `json:"stream"`
	Consumer time.Time `json:"consumer"`
	// Messages up to the sequence UpTo, and those stored before Before (Unix, in
	// nanoseconds), are suspects.
	UpTo   uint64 `json:"upTo,omitempty"`
	Before int64  `json:"before,omitempty"`
	// Unclaimed is when the ledger was made again (Unix, in nanoseconds): the claims of
	// older messages are lost.
	Unclaimed int64 `json:"unclaimed,omitempty"`
}

// How long the ledger keeps the mark of a channel's consumer: it deletes an entry after 24
// hours (wire.LedgerConfig), and every worker writes its mark again after markEvery. So if
// there is no mark, no worker has pulled in the last markKept.
const (
	markEvery = 6 * time.Hour
	markKept  = 18 * time.Hour
)

func newConsumerGuard(js jetstream.JetStream, c messages.Channel, ensure func(context.Context) error, l *ledger.Ledger) *consumerGuard {
	g := &consumerGuard{js: js, channel: c, ensure: ensure, ledger: l, known: make(chan struct{})}
	g.ackWaitNanos.Store(int64(wire.AckWait))
	g.mark.Store(new(consumerMark))
	return g
}

// ackWait returns how long the server waits for a worker's ack.
func (g *consumerGuard) ackWait() time.Duration { return time.Duration(g.ackWaitNanos.Load()) }

// suspect reports whether an earlier consumer may have handed a message out. held is how
// long the message may still be in flight with a worker that does not know the new
// consumer.
func (g *consumerGuard) suspect(p ledger.Place) (suspect bool, held time.Duration) {
	m := g.mark.Load()
	if p.Sequence > m.UpTo && p.StoredAt >= m.Before {
		return g.claims && g.forgotten(p), 0
	}
	return true, max(0, time.Until(time.Unix(0, g.noted.Load()).Add(g.ackWait())))
}

// forgotten reports whether a message may have been claimed in a former ledger.
func (g *consumerGuard) forgotten(p ledger.Place) bool { return p.StoredAt < g.mark.Load().Unclaimed }

// mine reports whether a message still belongs to this worker: its AckWait is not over,
// and the consumer that handed it out still exists. until is when the message's lease
// ends.
func (g *consumerGuard) mine(m *jetpull.Message) (until time.Time, ok bool) {
	until = m.OwnedUntil()
	return until, time.Now().Before(until) && !g.gone.Load() && m.Consumer.Equal(g.mark.Load().Consumer)
}

// seen takes when the channel's current consumer was made, and when the caller began to
// look it up. It ignores a lookup that began before this worker noted its consumer.
func (g *consumerGuard) seen(created, began time.Time) {
	marked := g.mark.Load().Consumer
	if marked.IsZero() || marked.Equal(created) || began.UnixNano() < g.noted.Load() {
		return
	}
	g.gone.Store(true)
}

// open makes sure that the consumer exists, notes it in the ledger, and returns the
// server's information about it.
func (g *consumerGuard) open(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	info, err := g.look(ctx)
	if err != nil {
		return nil, err
	}
	if wait := info.Config.AckWait; wait > 0 {
		g.ackWaitNanos.Store(int64(wait))
	}
	g.knownOnce.Do(func() { close(g.known) })
	made, err := g.madeLedger(ctx)
	if err != nil {
		return nil, err
	}
	if g.mark.Load().Consumer.Equal(info.Created) && !g.gone.Load() && g.ledgerMade.Load() == made.UnixNano() {
		return info, nil
	}
	return info, g.noteFor(ctx, info.Created, made)
}

// noteFor notes in the ledger the consumer that was made at that time.
func (g *consumerGuard) noteFor(ctx context.Context, consumer, ledgerMade time.Time) error {
	// The stream is read after the consumer: a message that is stored by now may have been
	// handed out by an earlier consumer; a later one was not.
	stream, err := g.askStream(ctx, wire.StreamName)
	if err != nil {
		return fmt.Errorf("get %s: %w", wire.StreamName, err)
	}
	state := stream.CachedInfo()
	err = g.note(ctx, incarnations{stream: state.Created, consumer: consumer, ledger: ledgerMade}, state.State.LastSeq)
	if err != nil && g.failed != nil {
		g.failed(err)
	}
	return err
}

// madeLedger returns when the ledger was made.
func (g *consumerGuard) madeLedger(ctx context.Context) (time.Time, error) {
	s, err := g.askStream(ctx, wire.LedgerStream)
	if err != nil {
		return time.Time{}, fmt.Errorf("get the ledger: %w", err)
	}
	return s.CachedInfo().Created, nil
}

// incarnations are when these were made, which distinguishes them from others of the same
// name.
type incarnations struct{ stream, consumer, ledger time.Time }

func (g *consumerGuard) look(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	consumer, err := g.askConsumer(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := g.ensure(ctx); err != nil {
			return nil, err
		}
		consumer, err = g.askConsumer(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("get the consumer %s: %w", g.channel, err)
	}
	return consumer.CachedInfo(), nil
}

func (g *consumerGuard) askConsumer(ctx context.Context) (jetstream.Consumer, error) {
	return insist(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return g.js.Consumer(ctx, wire.StreamName, string(g.channel))
	})
}

func (g *consumerGuard) askStream(ctx context.Context, name string) (jetstream.Stream, error) {
	return insist(ctx, func(ctx context.Context) (jetstream.Stream, error) { return g.js.Stream(ctx, name) })
}

func (g *consumerGuard) key() string { return "consumer." + string(g.channel) }

// note writes to the ledger which consumer the channel is pulled from. If another worker
// has noted the same consumer, it takes over that mark.
func (g *consumerGuard) note(ctx context.Context, made incarnations, last uint64) error {
	for range maxConflicts {
		var m consumerMark
		revision, err := g.ledger.ReadJSON(ctx, g.key(), &m)
		if err != nil {
			return err
		}
		if revision == 0 || !m.Stream.Equal(made.stream) || !m.Consumer.Equal(made.consumer) {
			known := revision > 0
			if own := g.mark.Load(); !known && !own.Consumer.IsZero() { // the ledger has lost the mark, but this worker has it
				m, known = *own, true
			}
			m = nextMark(m, known, made, last)
			if revision == 0 && g.lostLedger(made) {
				m = afterLostLedger(m, known, made)
			}
			err = g.ledger.WriteJSON(ctx, g.key(), revision, m)
		}
		switch {
		case err == nil:
			g.noted.Store(time.Now().UnixNano())
			g.mark.Store(&m)
			g.ledgerMade.Store(made.ledger.UnixNano())
			g.gone.Store(false)
			return nil
		case !errors.Is(err, ledger.ErrLost):
			return err
		}
	}
	return fmt.Errorf("note the consumer %s in the ledger: other workers keep changing it", g.channel)
}

// nextMark returns the mark of a consumer that is not noted yet; known is true if an
// earlier consumer is noted.
func nextMark(before consumerMark, known bool, made incarnations, last uint64) consumerMark {
	m := consumerMark{Stream: made.stream, Consumer: made.consumer}
	switch {
	case !known:
		m.Before = made.consumer.Add(-markKept).UnixNano()
	case !before.Stream.Equal(made.stream): // nobody has received a message of a new stream
	case before.Consumer.Equal(made.consumer):
		return before
	default:
		m.UpTo, m.Unclaimed = last, before.Unclaimed
	}
	return m
}

// ledgerLate is the longest time between the stream and the ledger if both are made
// together.
const ledgerLate = time.Minute

// lostLedger reports whether a ledger without a mark has replaced one that may have had a
// mark.
func (g *consumerGuard) lostLedger(made incarnations) bool {
	if before := g.ledgerMade.Load(); before != 0 {
		return before != made.ledger.UnixNano()
	}
	return made.ledger.After(made.consumer) || made.ledger.Sub(made.stream) > ledgerLate
}

// afterLostLedger adds to a mark that the ledger was made again: the earlier claims are
// lost. If no worker remembers an earlier consumer either, this one may not be the first.
func afterLostLedger(m consumerMark, known bool, made incarnations) consumerMark {
	m.Unclaimed = max(m.Unclaimed, made.ledger.UnixNano())
	if !known && !made.ledger.After(made.consumer) {
		m.Before = max(m.Before, made.ledger.UnixNano())
	}
	return m
}

// keep is called every few seconds with when the consumer was made. It notes the consumer
// again if the ledger was made again or has lost the mark.
func (g *consumerGuard) keep(ctx context.Context, consumer time.Time) error {
	mine := g.mark.Load()
	if mine.Consumer.IsZero() || !mine.Consumer.Equal(consumer) || g.gone.Load() {
		return nil // open notes it
	}
	made, err := g.madeLedger(ctx)
	if err != nil {
		return err
	}
	revision, err := g.ledger.ReadJSON(ctx, g.key(), new(consumerMark))
	if err != nil || revision > 0 && g.ledgerMade.Load() == made.UnixNano() {
		return err
	}
	return g.noteFor(ctx, consumer, made)
}

// run writes the mark again every markEvery, so that the ledger does not delete it.
func (g *consumerGuard) run(ctx context.Context) {
	for {
		sleep(ctx, markEvery)
		if ctx.Err() != nil {
			return
		}
		_ = g.refresh(ctx) // the next tries come before the ledger deletes it
	}
}

func (g *consumerGuard) refresh(ctx context.Context) error {
	mine := g.mark.Load()
	if mine.Consumer.IsZero() {
		return nil // no consumer was opened yet
	}
	var m consumerMark
	revision, err := g.ledger.ReadJSON(ctx, g.key(), &m)
	if err != nil || revision > 0 && !m.Consumer.Equal(mine.Consumer) {
		return err
	}
	return g.ledger.WriteJSON(ctx, g.key(), revision, mine)
}
