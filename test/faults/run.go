package faults

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
)

// ackWait is the consumers' AckWait; the default is longer than a short plan.
const ackWait = 2 * time.Second

// workerGrace is longer than a request to the provider takes.
const workerGrace = 2 * time.Second

// run is a plan in progress.
type run struct {
	plan     Plan
	dir      string
	log      io.Writer
	provider *provider
	// ways are the workers' relays to NATS; none if no worker is cut off.
	ways    []way
	nats    *cluster
	workers []*process
	nc      *nats.Conn
	js      jetstream.JetStream
	streams incarnations
	diary   diary
	heard   storyLog
	stalls  stalls
	losses  losses
	// watch returns the watcher of a worker. Default: nobody watches.
	watch func(worker int) watcher
	// tune changes the workers' configuration.
	tune *strings.Replacer
	// began is when the publishing began, calmed when the last fault was over, settled
	// when the last message was.
	began, calmed, settled time.Time
	published              []*published
	// unsettled says which messages were not settled in time.
	unsettled error
}

// Run carries out a plan in an empty directory, and returns its report. The processes' output
// goes to log, which has to be safe for concurrent use. It blocks until the last message is
// settled and every process has ended.
func Run(ctx context.Context, p Plan, dir string, log io.Writer) (*Report, error) {
	r := newRun(p, dir, log)
	defer r.end()
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	if err := r.work(ctx); err != nil {
		return nil, err
	}
	return r.report(ctx)
}

func newRun(p Plan, dir string, log io.Writer) *run {
	r := &run{plan: p.fit(), dir: dir, log: log}
	r.provider = newProvider(r.plan)
	return r
}

// end ends everything that still runs.
func (r *run) end() {
	r.stopWorkers()
	if r.nc != nil {
		r.nc.Close()
	}
	for _, w := range r.ways {
		w.end()
	}
	if r.nats != nil {
		r.nats.kill()
	}
	r.provider.end()
	http.DefaultClient.CloseIdleConnections()
}

// stopWorkers stops the workers as an orchestrator would, with a grace in which they can send
// their messages in flight.
func (r *run) stopWorkers() {
	var stopping sync.WaitGroup
	for _, w := range r.workers {
		stopping.Go(func() { w.stop(workerGrace + r.plan.Latency) })
	}
	stopping.Wait()
}

func (r *run) start(ctx context.Context) (err error) {
	if err := r.provider.serveAll(ctx, r.plan.Workers); err != nil {
		return err
	}
	if r.nats, err = newCluster(r.plan, r.dir, r.log); err != nil {
		return err
	}
	if r.plan.Broker == Embedded {
		if err := r.startWorkers(); err != nil {
			return err
		}
	}
	if err := within(ctx, time.Minute, "reach NATS", func(context.Context) (err error) {
		r.nc, err = messages.Connect(r.nats.url, nats.ReconnectWait(50*time.Millisecond), nats.CustomReconnectDelay(func(int) time.Duration { return 50 * time.Millisecond }))
		return err
	}); err != nil {
		return err
	}
	if r.js, err = broker.JetStream(r.nc, broker.Target{URL: r.nats.url}); err != nil {
		return err
	}
	if err := r.heard.listen(r.nc); err != nil {
		return err
	}
	if err := r.provision(ctx); err != nil {
		return err
	}
	if r.plan.Broker == Embedded {
		return nil
	}
	return r.startWorkers()
}

func (r *run) replicas() int {
	if r.plan.Broker == R3 {
		return 3
	}
	return 1
}

func (r *run) startWorkers() error {
	skews := r.plan.skews()
	for i := range r.plan.Workers {
		if r.plan.Times[WorkerCut] > 0 {
			w, err := newWay(r.nats.addrs)
			if err != nil {
				return err
			}
			r.ways = append(r.ways, w)
		}
		file, err := r.writeConfig(i)
		if err != nil {
			return err
		}
		w := &process{role: "worker", args: []string{file, skews[i].String()}, log: r.log, seen: r.losses.add}
		if r.watch != nil {
			w.watcher = r.watch(i)
		}
		if err := w.start(); err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	return nil
}

// work publishes during the faults, and waits until everything is settled.
func (r *run) work(ctx context.Context) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	r.began = time.Now()
	watching, unwatch := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.stalls.watch(watching) })
	defer watch.Wait()
	defer unwatch()
	disturbing, stop := context.WithCancel(ctx)
	defer stop()
	disturbed := make(chan error, 1)
	go func() { disturbed <- r.disturb(disturbing) }()
	err := r.publishAll(ctx)
	if err != nil {
		stop()
	}
	if err := errors.Join(err, <-disturbed); err != nil {
		return err
	}
	r.provider.calm()
	r.calmed = time.Now()
	r.unsettled = r.settle(ctx, r.plan.Settle)
	r.settled = time.Now()
	return ctx.Err()
}
