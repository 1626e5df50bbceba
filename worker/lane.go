package worker

import (
	"context"
	"errors"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// lane is a channel's share of the pool: its own slots, so that one channel's
// trouble never holds the other.
type lane struct {
	*Worker
	channel messages.Channel
	log     zerolog.Logger
	slots   []slot
	// work hands messages to the slots.
	work chan *message
	// free is how many slots have nothing to do; the pulling goroutine's own.
	free     int
	turnover turnover
	// freed tells of a slot that is done.
	freed chan struct{}
	// routed are the channel's connectors.
	routed []*connector
	// inFlight counts what the lane works on.
	inFlight prometheus.Gauge
	// deliverySeconds is how long its codes take.
	deliverySeconds prometheus.Observer
	// settling counts the messages that are done with, and whose end the server has
	// not confirmed.
	settling sync.WaitGroup
	// unconfirmed is how many these are.
	unconfirmed atomic.Int64
	// kept are the messages that the heartbeat speaks for beside those of the slots.
	kept keptInHand
	// aside is how many of the channel's messages are with workers or wait for
	// their retry, as of a moment ago.
	aside atomic.Int64
	// newest is when the newest message of the channel was stored, of those that wait
	// or are in hand, as of a moment ago (Unix, in nanoseconds).
	newest atomic.Int64
	// ackWait is how long the server waits for a worker, in nanoseconds.
	ackWait atomic.Int64
	// changed tells that a connector has opened or closed.
	changed chan struct{}
	// ready holds what the lane waits for; nil inside when it is pulling.
	ready atomic.Pointer[error]
}

func newLane(w *Worker, c messages.Channel) *lane {
	l := &lane{
		Worker:  w,
		channel: c,
		log:     w.opts.Log.With().Str("channel", string(c)).Logger(),
		slots:   make([]slot, w.opts.Config.Worker.Concurrency),
		changed: make(chan struct{}, 1),
	}
	l.ackWait.Store(int64(messages.AckWait))
	l.routed = l.members()
	l.free = len(l.slots)
	l.work = make(chan *message, 2*len(l.slots))
	l.freed = make(chan struct{}, 4*len(l.slots))
	l.deliverySeconds = w.opts.Metrics.deliverySeconds.WithLabelValues(string(c))
	l.inFlight = w.opts.Metrics.inFlight.WithLabelValues(string(c))
	l.waitFor(errors.New("starting"))
	return l
}

func (l *lane) waitFor(err error) { l.ready.Store(&err) }

// run pulls and works until ctx ends, and then stops within the grace.
func (l *lane) run(ctx context.Context) {
	// What has begun may go on for the grace after ctx has ended.
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	var slots, helpers sync.WaitGroup
	for i := range l.slots {
		slots.Go(func() { l.serve(ctx, working, &l.slots[i]) })
	}
	helpers.Go(func() { l.heartbeat(working) })
	helpers.Go(func() { l.watch(working) })
	helpers.Go(func() { l.clear(ctx) })
	helpers.Go(func() {
		<-ctx.Done()
		sleep(working, l.opts.Config.Worker.Grace)
		cancel()
	})

	l.pull(ctx)
	close(l.work)

	slots.Wait()
	l.settling.Wait()
	cancel()
	helpers.Wait()
}

// pull keeps the messages coming until ctx ends. A consumer or stream that goes
// is made again; while every connector is open, nothing is pulled.
func (l *lane) pull(ctx context.Context) {
	again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	told := false
	for ctx.Err() == nil {
		if l.paused() {
			l.waitForConnector(ctx)
			continue
		}
		began := time.Now()
		err := l.consume(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // paused
		}
		l.waitFor(err)
		if time.Since(began) > 10*time.Second {
			again.Reset()
			told = false
		}
		if !told {
			told = true
			l.log.Warn().Err(err).Msg("pulling stopped; trying again until it goes on")
		}
		sleep(ctx, again.NextBackOff())
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// slot is one of the lane's places for a message, and what it does with it.
type slot struct {
	// message is what it has in hand, for the heartbeat.
	message atomic.Pointer[message]
}

// serve works on one message at a time until the lane stops. What it finds
// waiting after that is handed back.
func (l *lane) serve(pulling, working context.Context, s *slot) {
	for msg := range l.work {
		if pulling.Err() != nil && msg.waited {
			l.kept.remove(msg)
			l.release(context.WithoutCancel(working), msg)
			l.freed <- struct{}{}
		} else {
			l.handle(working, s, msg)
		}
	}
}

// handle takes a message through the stages and settles it.
func (l *lane) handle(ctx context.Context, s *slot, msg *message) {
	s.message.Store(msg)
	if msg.waited {
		l.kept.remove(msg)
	}
	d := l.open(msg)
	l.inFlight.Inc()
	l.settle(ctx, d, l.process(ctx, d), func() {
		l.inFlight.Dec()
		l.freed <- struct{}{}
	})
	s.message.Store(nil)
}

// process takes a message through the stages, up to the one that decides.
func (l *lane) process(ctx context.Context, d *delivery) (v verdict) {
	defer func() {
		if r := recover(); r != nil {
			l.log.Error().Str("id", d.id).Bytes("stack", debug.Stack()).Msg("a stage panicked; the message is taken for in doubt")
			v = l.decide(d, &sender.Error{Class: sender.Unknown, Code: "panic", Detail: "codeferry failed while it worked on the message"})
		}
	}()
	for _, stage := range []func(context.Context, *delivery) (verdict, bool){
		l.receive, l.doubt, l.overtaken, l.expire, l.fresh, l.deliver,
	} {
		if v, decided := stage(ctx, d); decided {
			return v
		}
	}
	panic("no stage decided")
}

// heartbeat tells the server of what takes long, so that it is not handed to
// another worker meanwhile.
func (l *lane) heartbeat(ctx context.Context) {
	for {
		every := time.Duration(l.ackWait.Load()) / 3
		sleep(ctx, every)
		if ctx.Err() != nil {
			return
		}
		inHand := l.kept.all()
		for i := range l.slots {
			if msg := l.slots[i].message.Load(); msg != nil {
				inHand = append(inHand, msg)
			}
		}
		for _, msg := range inHand {
			if time.Since(msg.arrived) > every/2 {
				if err := msg.inProgress(); err != nil {
					l.log.Debug().Err(err).Msg("heartbeat")
				}
			}
		}
	}
}

// keptInHand are messages that no slot has in hand, and that are still not to be handed
// to another worker: they wait for a slot, or for the server to know that they are
// settled.
type keptInHand struct {
	mu       sync.Mutex
	messages map[*message]struct{}
}

func (k *keptInHand) add(msg *message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.messages == nil {
		k.messages = make(map[*message]struct{})
	}
	k.messages[msg] = struct{}{}
}

func (k *keptInHand) remove(msg *message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.messages, msg)
}

func (k *keptInHand) all() []*message {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(k.messages))
}
