package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// Options configure a Worker.
type Options struct {
	// Conn is the connection to NATS; it stays the caller's to close.
	Conn *nats.Conn
	// JetStream uses that connection, with its domain or API prefix. Default:
	// jetstream.New(Conn).
	JetStream jetstream.JetStream
	// Config has the apps, the connectors and the settings of the pools.
	Config *config.Config
	// Ensure makes the streams and consumers that are missing, and repairs settings that
	// would break a promise. It is called at the start, every few seconds, and when a
	// stream or consumer is gone. An error with a method Blocks() bool means that a
	// setting is wrong and could not be repaired: Ready returns it, and while Blocks
	// returns true nothing is pulled.
	Ensure func(context.Context) error
	// Metrics counts what happens. Default: metrics that are not registered.
	Metrics *Metrics
	// Tracer makes the spans of deliveries. Default: nil, nothing is traced.
	Tracer Tracer
	// Log gets one line for each attempt, and whatever an operator on call has to know.
	Log zerolog.Logger
	// Now is the clock by which codes expire. Default: time.Now.
	Now func() time.Time
	// Random returns a number in [0, 1), to spread waits. Default: rand.Float64.
	Random func() float64
}

// Worker has a pool of slots for each channel.
type Worker struct {
	opts       Options
	js         jetstream.JetStream
	connectors map[string]*connector
	// pools are the pools of the channels; nil before Run has made them.
	pools atomic.Pointer[[]*pool]
	// keeper is nil before Run has made it.
	keeper atomic.Pointer[keeper]
	// outcomes is nil before Run has made it.
	outcomes atomic.Pointer[outcomePublisher]
	// failed is why Run could not start, and failing since when it fails (Unix, in nanoseconds).
	failed  atomic.Pointer[error]
	failing atomic.Int64
	// retired is true once the worker has to stop.
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
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.JetStream == nil {
		js, err := jetstream.New(o.Conn, jetstream.WithDefaultTimeout(apiTimeout))
		if err != nil {
			return nil, fmt.Errorf("new worker: %w", err)
		}
		o.JetStream = js
	}
	w := &Worker{opts: o, js: o.JetStream, connectors: make(map[string]*connector)}
	for name, c := range o.Config.Connectors {
		s, err := c.Settings.New()
		if err != nil {
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
		w.connectors[name] = w.newConnector(name, c, s)
	}
	for _, c := range messages.Channels() {
		routed, _ := w.routed(c)
		o.Metrics.begin(c, routed)
	}
	return w, nil
}

// newConnector makes a connector, with its breaker and rate limiter.
func (w *Worker) newConnector(name string, c config.Connector, s sender.Sender) *connector {
	gauge := w.opts.Metrics.open.WithLabelValues(name)
	gauge.Set(0)
	templates := w.opts.Metrics.templatesOpen.WithLabelValues(name)
	templates.Set(0)
	limiter := newRateLimiter(c.RateLimit)
	log := w.opts.Log.With().Str("connector", name).Logger()
	return &connector{
		unfilled: newUnfilled(log),
		name:     name, sender: s, onDoubt: c.OnDoubt, askGrace: c.AskGrace, limiter: limiter, metrics: w.opts.Metrics.of(name),
		breaker: newBreaker(breakerOptions{
			pauses: w.opts.Config.Worker, limiter: limiter, log: log,
			changed: func(open bool) {
				switch {
				case w.retired.Load(): // another worker sets the connector's metrics now
				case open:
					gauge.Set(1)
				default:
					gauge.Set(0)
				}
				w.wakePools()
			},
			templates: func(notClosed int) {
				if !w.retired.Load() {
					templates.Set(float64(notClosed))
				}
			},
		}),
	}
}

// wakePools wakes the pools after a change of a breaker or of the keeper.
func (w *Worker) wakePools() {
	if pools := w.pools.Load(); pools != nil {
		for _, p := range *pools {
			p.poke()
		}
	}
}

// How long the worker waits for the server, in each step.
const (
	apiTimeout = 5 * time.Second
	// outcomesTimeout bounds the wait for the last outcomes at the end.
	outcomesTimeout = 2 * time.Second
)

// Run works until ctx ends, and then stops as worker.grace says: it stops pulling,
// finishes what it has begun, and puts back the rest. It blocks until every goroutine of
// its own has ended. Its error says why it could not start; what breaks later is tried
// again.
func (w *Worker) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { w.retired.Store(true) })()
	s, err := w.start(ctx)
	if err != nil {
		err = wire.Unsent(err)
		w.failed.Store(&err)
		w.failing.CompareAndSwap(0, time.Now().UnixNano())
		return err
	}
	defer s.acker.End()
	if since := w.failing.Swap(0); since != 0 {
		w.opts.Log.Info().Stringer("lasted", time.Since(time.Unix(0, since)).Round(time.Millisecond)).Msg("JetStream is there; the worker has begun")
	}
	pools := make([]*pool, 0, len(messages.Channels()))
	for _, c := range messages.Channels() {
		pools = append(pools, w.newPool(c, s))
	}
	w.pools.Store(&pools)
	s.sent.mayHaveForgotten() // a server may have started again before this worker did

	helping, stopHelping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopHelping()
	var working, helpers sync.WaitGroup
	helpers.Go(func() { s.cleaner.Run(helping) })
	helpers.Go(func() { s.acker.Run(helping) })
	helpers.Go(func() { s.keeper.run(helping) })
	helpers.Go(func() { s.sent.run(helping) })
	sizes := streamWatcher{size: sizeOf(w.js), metrics: w.opts.Metrics, every: streamWatchEvery}
	helpers.Go(func() { sizes.run(helping) })
	for _, p := range pools {
		working.Go(func() { p.run(ctx) })
	}
	working.Wait()
	w.closeConnectors()
	stopHelping()
	helpers.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomesTimeout)
	defer cancel()
	s.outcomes.end(last)
	return nil
}

// start makes sure that what the worker needs exists, and opens it.
func (w *Worker) start(ctx context.Context) (s shared, err error) {
	found := w.opts.Ensure(ctx)
	var b blocker
	if found != nil && (!errors.As(found, &b) || b.Blocks()) {
		return s, found
	}
	if s, err = w.open(ctx); err != nil {
		return s, err
	}
	s.keeper.found(found)
	w.keeper.Store(s.keeper)
	w.outcomes.Store(s.outcomes)
	return s, nil
}

// shared holds what the pools share.
type shared struct {
	keeper   *keeper
	ledger   *ledger.Ledger
	cleaner  *ledger.Cleaner
	acker    *jetpull.Acker
	outcomes *outcomePublisher
	stream   jetstream.Stream
	sent     *recentlySent
	// claims is true if every message is claimed in the ledger before it is sent.
	claims bool
}

// open opens what the pools share.
func (w *Worker) open(ctx context.Context) (s shared, err error) {
	bucket, err := w.js.KeyValue(ctx, wire.LedgerName)
	if err != nil {
		return s, fmt.Errorf("open the ledger: %w", err)
	}
	bucketStream, err := w.js.Stream(ctx, wire.LedgerStream)
	if err != nil {
		return s, fmt.Errorf("open the ledger: %w", err)
	}
	if s.stream, err = w.js.Stream(ctx, wire.StreamName); err != nil {
		return s, fmt.Errorf("open %s: %w", wire.StreamName, err)
	}
	s.ledger = ledger.New(bucket, nuid.Next(), apiTimeout)
	s.cleaner = ledger.NewCleaner(bucketStream, time.Now)
	s.claims = claims(w.opts.Config.Worker.Claims, s.stream.CachedInfo().Config.Replicas)
	s.keeper = newKeeper(keeperOptions{
		ensure: w.opts.Ensure, probe: s.ledger.Probe, claims: s.claims, away: func() bool { return !w.opts.Conn.IsConnected() },
		changed: w.wakePools, now: time.Now, log: w.opts.Log,
	})
	if s.outcomes, err = newOutcomePublisher(w.opts.Conn, w.opts.Metrics.outcomesLost, s.keeper.outcomesFailed, s.keeper.outcomesStored); err != nil {
		return s, err
	}
	life := serverLife{w.js}
	s.sent = newRecentlySent(sentOutcomes{w.js}.read, life.remembers, life.leader, w.opts.Log)
	s.acker, err = jetpull.NewAcker(w.opts.Conn, apiTimeout, time.Now)
	return s, err
}

// claims reports whether messages are claimed before they are sent. A single server writes
// its delivery counts at most ten times a second, however it syncs its messages: a message
// that it handed out just before a crash looks fresh afterwards. Replicas learn of a
// delivery at once.
func claims(c config.Claims, replicas int) bool {
	return c == config.ClaimsOn || c == config.ClaimsAuto && replicas < 2
}

// closeConnectors closes the connections that the connectors keep open.
func (w *Worker) closeConnectors() {
	for _, c := range w.connectors {
		if closer, ok := c.sender.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				w.opts.Log.Debug().Err(err).Str("connector", c.name).Msg("closing the connector failed")
			}
		}
	}
}

// Ready returns nil while every channel is pulled, and otherwise an error that says what
// the worker waits for. It does not block.
func (w *Worker) Ready() error {
	if !w.opts.Conn.IsConnected() {
		return errors.New("not connected to NATS")
	}
	pools := w.pools.Load()
	if pools == nil {
		if err := w.failed.Load(); err != nil {
			return *err
		}
		return errStarting
	}
	if err := w.keeper.Load().state(); err != nil {
		return err
	}
	for _, p := range *pools {
		if err := p.state(); err != nil {
			return fmt.Errorf("channel %s: %w", p.channel, err)
		}
	}
	return nil
}
