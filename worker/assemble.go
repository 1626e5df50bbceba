package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// newPool builds a channel's pool: the stages in their order, what each of them needs, and
// settle.
func (w *Worker) newPool(c messages.Channel, s shared) *pool {
	o, m := w.opts, w.opts.Metrics
	log := o.Log.With().Str("channel", string(c)).Logger()
	slots := o.Config.Worker.Concurrency
	routed, apps := w.routed(c)
	seals := newSeals(o.Config.Sealing)

	guard := newConsumerGuard(w.js, c, o.Ensure, s.ledger)
	guard.claims, guard.failed = s.claims, s.keeper.ledgerFailed
	waiting := new(backlog)
	inFlight := newInFlight()
	latest := newest{
		timeout: apiTimeout,
		last: func(ctx context.Context, subject string) (uint64, error) {
			msg, err := s.stream.GetLastMsgForSubject(ctx, subject)
			if err != nil {
				return 0, err
			}
			return msg.Sequence, nil
		},
		reached: func(ctx context.Context) (uint64, error) {
			stream, err := w.js.Stream(ctx, wire.StreamName)
			if err != nil {
				return 0, err
			}
			return stream.CachedInfo().State.LastSeq, nil
		},
	}
	rules := policy{retry: o.Config.Worker.Retry, spread: spread{o.Random}}
	ways := routes{channel: c, connectors: w.connectors}
	report := (&reporter{
		channel: c, publisher: s.outcomes, doubts: doubtOutcomes{publish: w.publishOnce}, now: o.Now, log: log,
		messages: m.messages, seconds: m.deliverySeconds.WithLabelValues(string(c)), lost: m.outcomesLost, stored: s.keeper.outcomesStored,
	}).report
	places := newBulkhead(slots, len(routed), apps)
	open := openStage{channel: c, apps: o.Config.Apps, seals: seals}

	stages := []stage{
		open,
		doubtStage{ledger: s.ledger, claims: s.claims, suspects: guard, now: o.Now, lostWorkers: m.doubts.WithLabelValues(string(c)), failed: s.keeper.ledgerFailed, untried: newUntried()},
		repeatedStage{sentBefore: s.sent.sentBefore},
		validateStage{},
		askStage{routes: ways, policy: rules, now: o.Now, bulkhead: places, report: report},
		supersededStage{newest: latest},
		expireStage{now: o.Now},
		deferStage{now: o.Now, patience: o.Config.Worker.Patience, slots: slots, backlog: waiting, spread: rules.spread},
		routeStage{routes: ways},
		sendStage{bulkhead: places, newest: latest, mine: guard.mine, policy: rules, quota: newQuota(waiting, apps, time.Now), backlog: waiting, now: o.Now},
	}
	settler := &settler{
		acks: s.acker, ledger: s.ledger, cleaner: s.cleaner, inFlight: inFlight, report: report,
		deadLetters: deadLetters{channel: c, seals: seals, now: o.Now, publish: func(ctx context.Context, msg *nats.Msg) error {
			_, err := w.js.PublishMsg(ctx, msg)
			return err
		}},
		mine:   guard.mine,
		remove: func(ctx context.Context, sequence uint64) error { return s.stream.DeleteMsg(ctx, sequence) },
		slots:  slots, now: o.Now, log: log, deferred: m.deferred(c), troubles: s.keeper,
	}
	orphans := &reaper{channel: c, js: w.js, stream: s.stream, open: open, reap: settler.reap, now: o.Now, log: log}
	watch := watcher{
		js: w.js, stream: s.stream, channel: c, backlog: waiting, now: o.Now,
		waiting: m.waiting.WithLabelValues(string(c)), oldest: m.oldest.WithLabelValues(string(c)),
		seen: guard.seen, keep: guard.keep, every: min(watchEvery, o.Config.Worker.Patience/2),
	}
	dead := deadWatcher{counts: deadCounts(w.js), channel: c, gauges: m.dead(c), every: deadWatchEvery}
	p := &pool{
		channel: c, log: log, grace: o.Config.Worker.Grace,
		conn: o.Conn, apiPrefix: apiPrefix(w.js.Options()), stream: wire.StreamName, consumer: guard, mayHaveForgotten: s.sent.mayHaveForgotten,
		slots: slots, freeSlots: freeSlots{wake: make(chan struct{}, 1)}, work: make(chan job, 2*slots), inFlight: inFlight, beats: s.acker,
		routed: routed, holds: s.keeper.holds, tracing: tracing{o.Tracer, log}, stages: stages, settler: settler,
		releaser:   releaser{ledger: s.ledger, claims: s.claims, suspects: guard},
		background: []func(context.Context){watch.run, dead.run, orphans.run, guard.run},
		working:    m.inFlight.WithLabelValues(string(c)), queued: m.queueSeconds.WithLabelValues(string(c)), now: o.Now,
	}
	p.free.Store(int64(slots))
	p.waitFor(errStarting)
	return p
}

// publishOnce publishes a message, and waits for its confirmation. It does not try again.
func (w *Worker) publishOnce(ctx context.Context, msg *nats.Msg) error {
	_, err := w.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	return err
}

// routed returns the connectors that any app sends the channel through, and how many
// apps there are.
func (w *Worker) routed(c messages.Channel) (all []*connector, apps int) {
	seen := make(map[string]bool)
	for _, app := range w.opts.Config.Apps {
		steps := app.Route(c)
		if len(steps) > 0 {
			apps++
		}
		for _, step := range steps {
			if name := step.Connector; !seen[name] {
				seen[name] = true
				all = append(all, w.connectors[name])
			}
		}
	}
	return all, apps
}
