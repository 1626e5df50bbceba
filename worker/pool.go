package worker

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// pool is one channel's slots. Each channel has its own, so that trouble in one never
// delays the other. A pool pulls messages, takes each through the stages, and settles it.
type pool struct {
	channel messages.Channel
	log     zerolog.Logger
	grace   time.Duration

	conn      *nats.Conn
	apiPrefix string
	stream    string
	consumer  *consumerGuard
	// broken is true if the last pull failed; only the pulling goroutine uses it. A server
	// may have restarted then, so mayHaveForgotten is called before the next pull.
	broken bool
	// opened is when the last pull had found the consumer; zero if it has not. Only the pulling
	// goroutine uses it.
	opened           time.Time
	troubles         pullTroubles
	mayHaveForgotten func()

	slots int
	freeSlots
	// work hands messages to the slots.
	work     chan job
	inFlight *inFlight
	beats    beater
	// Only the pulling goroutine uses turnover and counted.
	turnover turnover
	counted  int64
	// routed are the channel's connectors.
	routed []*connector

	// holds returns why nothing may be pulled; nil if pulling is allowed.
	holds func() error

	tracing  tracing
	stages   []stage
	settler  *settler
	releaser releaser
	// background functions run beside the slots, until their context ends.
	background []func(context.Context)

	working prometheus.Gauge
	// queued is for how long messages waited until a slot took them for the first time.
	queued prometheus.Observer
	now    func() time.Time
	// ready holds what the pool waits for; it holds nil while the pool pulls.
	ready atomic.Pointer[error]
}

func (p *pool) waitFor(err error) { p.ready.Store(&err) }

// run pulls and works until ctx ends. Then it stops within the grace: it finishes the
// messages that it has begun, and puts back the rest.
func (p *pool) run(ctx context.Context) {
	// A message that has begun may go on for the grace after ctx has ended.
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	var slots, helpers sync.WaitGroup
	for range p.slots {
		slots.Go(func() { p.serve(ctx, working) })
	}
	helpers.Go(func() { p.inFlight.heartbeat(working, p.beats, p.consumer.known, p.consumer.ackWait) })
	for _, f := range p.background {
		helpers.Go(func() { f(ctx) })
	}
	helpers.Go(func() {
		<-ctx.Done()
		sleep(working, p.grace)
		cancel()
	})

	p.keepPulling(ctx)
	close(p.work)

	slots.Wait()
	p.settler.settling.Wait()
	cancel()
	helpers.Wait()
}

// serve is a slot: it works on one message at a time until the pool stops. After that it
// puts back the messages that still wait.
func (p *pool) serve(pulling, working context.Context) {
	for j := range p.work {
		if pulling.Err() != nil && j.waited {
			p.inFlight.remove(j.msg)
			p.release(context.WithoutCancel(working), j.msg)
			p.freed()
			continue
		}
		p.handle(working, j.msg)
	}
}

// handle takes a message through the stages and settles it.
func (p *pool) handle(ctx context.Context, m *jetpull.Message) {
	at := p.now()
	d := &delivery{msg: m, traced: p.tracing.begin(m, at)}
	p.working.Inc()
	if m.Delivered == 1 {
		d.traced.observe(p.queued, at.Sub(m.StoredAt))
	}
	var left atomic.Bool
	v := p.process(ctx, d)
	p.settler.settle(ctx, d, v, func() {
		if left.Swap(true) {
			return
		}
		p.inFlight.remove(m)
		p.working.Dec()
		p.freed()
	})
	d.endTrace(v, p.now())
}

// process takes a message through the stages, up to the one that decides. A panic in a
// stage costs this message an attempt, and nothing else.
func (p *pool) process(ctx context.Context, d *delivery) (v verdict) {
	defer func() {
		if r := recover(); r != nil {
			if d.code == nil { // it could not be opened
				d.opened = minimal(d.msg, p.channel)
			}
			p.log.Error().EmbedObject(d).Bytes("stack", debug.Stack()).Msg("a stage panicked; the message is in doubt")
			v = verdict{action: actPanicked}
		}
	}()
	for _, s := range p.stages {
		if v, decided := s.handle(ctx, d); decided {
			return v
		}
	}
	panic("no stage decided")
}

// release puts back a message that no slot has begun with.
func (p *pool) release(ctx context.Context, m *jetpull.Message) {
	d := &delivery{msg: m, opened: minimal(m, p.channel)}
	p.settler.settle(ctx, d, p.releaser.verdict(ctx, d), func() {})
}

// state returns nil while the pool pulls. Otherwise it returns what the pool waits for.
func (p *pool) state() error { return *p.ready.Load() }

var errStarting = errors.New("starting")
