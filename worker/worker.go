// Package worker is the pool that takes codes from JetStream and has them sent.
//
// A message's way is a stage a file, in one fixed order: receive (pull, decode,
// validate), doubt (was it on its way already?), expire, route (which
// connectors), render, limit (the connector's rate), send, settle. Settle is
// the only one that acks, naks or dead-letters; it decides by the error's class.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// Options make a Worker.
type Options struct {
	// Conn is the connection to NATS; it stays the caller's to close.
	Conn *nats.Conn
	// Config names the apps, the connectors and how the pool works.
	Config *config.Config
	// Ensure makes the streams and consumers that are missing. It is called at
	// the start, and when one has gone.
	Ensure func(context.Context) error
	// Metrics counts what happens. Default: metrics that nobody reads.
	Metrics *Metrics
	// Log hears one line an attempt, and what a person on call has to know.
	Log zerolog.Logger
	// Now is the clock by which codes expire. Default: time.Now.
	Now func() time.Time
}

// Worker is a pool with slots of its own for each channel.
type Worker struct {
	opts       Options
	js         jetstream.JetStream
	confirm    *confirmer
	feed       *feed
	ledger     *ledger
	stream     jetstream.Stream
	connectors map[string]*connector
	lanes      []*lane
	forget     *forgetter
	seals      seals
	// claims says that the ledger alone tells what is fresh.
	claims bool
	// retired is set once the worker has been told to stop.
	retired atomic.Bool
}

// New makes a worker and its connectors. It does no I/O.
func New(o Options) (*Worker, error) {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Worker{opts: o, connectors: make(map[string]*connector), seals: newSeals(o.Config.Sealing)}
	for name, c := range o.Config.Connectors {
		s, err := c.Settings.New()
		if err != nil {
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
		gauge := o.Metrics.open.WithLabelValues(name)
		gauge.Set(0)
		conn := newConnector(name, c, s, o.Config.Worker, w.connectorChanged, o.Log, func(open bool) {
			switch {
			case w.retired.Load(): // another worker speaks for the connector now
			case open:
				gauge.Set(1)
			default:
				gauge.Set(0)
			}
		})
		conn.metrics = o.Metrics.of(name)
		w.connectors[name] = conn
	}
	js, err := jetstream.New(o.Conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		return nil, fmt.Errorf("new worker: %w", err)
	}
	w.js = js
	for _, c := range messages.Channels() {
		w.lanes = append(w.lanes, newLane(w, c))
	}
	return w, nil
}

// How long the worker waits for the server, in each step.
const (
	apiTimeout = 5 * time.Second
	// outcomesTimeout bounds the wait for the last outcomes at the end.
	outcomesTimeout = 2 * time.Second
)

// Run works until ctx ends, and then stops as Worker.Grace says: it stops
// pulling, finishes what it has begun, and hands back the rest. It blocks until
// every goroutine of its own has ended. Its error says why it could not start;
// what breaks later is mended by trying again.
func (w *Worker) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { w.retired.Store(true) })()
	if err := w.opts.Ensure(ctx); err != nil {
		return err
	}
	bucket, err := w.js.KeyValue(ctx, messages.LedgerName)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	w.ledger = &ledger{bucket}
	if w.stream, err = w.js.Stream(ctx, messages.StreamName); err != nil {
		return fmt.Errorf("open %s: %w", messages.StreamName, err)
	}
	switch w.opts.Config.Worker.Claims {
	case config.ClaimsOn:
		w.claims = true
	case config.ClaimsAuto:
		// A single server writes down what it has handed out ten times a second at
		// most, however it syncs its messages: what it handed out just before a crash
		// looks fresh afterwards. Replicas know of it at once.
		w.claims = w.stream.CachedInfo().Config.Replicas < 2
	case config.ClaimsOff:
	}
	bucketStream, err := w.js.Stream(ctx, "KV_"+messages.LedgerName)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	w.forget = &forgetter{stream: bucketStream}
	if w.confirm, err = newConfirmer(w.opts.Conn); err != nil {
		return err
	}
	defer w.confirm.end()
	if w.feed, err = newFeed(w.opts.Conn, w.opts.Metrics.outcomesLost); err != nil {
		return err
	}
	helping, stopHelping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHelping()
	var wg, helpers sync.WaitGroup
	helpers.Go(func() { w.forget.run(helping) })
	helpers.Go(func() { w.confirm.run(helping) })
	for _, l := range w.lanes {
		wg.Go(func() { l.run(ctx) })
	}
	wg.Wait()
	w.closeConnectors()
	stopHelping()
	helpers.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomesTimeout)
	defer cancel()
	w.feed.end(last)
	return nil
}

// closeConnectors lets go of the connections that connectors keep.
func (w *Worker) closeConnectors() {
	for _, c := range w.connectors {
		if closer, ok := c.sender.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				w.opts.Log.Debug().Err(err).Str("connector", c.name).Msg("not closed cleanly")
			}
		}
	}
}

// connectorChanged wakes the lanes: a connector has opened or closed.
func (w *Worker) connectorChanged() {
	for _, l := range w.lanes {
		select {
		case l.changed <- struct{}{}:
		default: // it knows already that something has
		}
	}
}

// Ready returns nil when every channel is being pulled, and otherwise what it
// waits for.
func (w *Worker) Ready() error {
	if !w.opts.Conn.IsConnected() {
		return errors.New("not connected to NATS")
	}
	for _, l := range w.lanes {
		if err := l.ready.Load(); *err != nil {
			return fmt.Errorf("channel %s: %w", l.channel, *err)
		}
	}
	return nil
}
