package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// recentlySent knows which messages were sent in the last minutes, while the stream may
// have forgotten.
//
// The stream recognizes a repeated publish by its Nats-Msg-Id, and keeps these ids in
// memory. A server that starts reads the ids from the messages that it still has; the ids
// of sent messages are gone. So whenever a server may have started, a worker reads from
// the outcomes what was sent within the stream's window and before the server started. It
// compares each message with that list for as long as the window. At any other time
// recentlySent holds nothing, and costs nothing.
type recentlySent struct {
	// read calls sent for each message that was sent in a span of time, and then upToDate.
	// After that it calls sent for each message that is sent from then on, until the span
	// or ctx ends. It fails if the outcomes can't be read.
	read func(ctx context.Context, of span, sent func(publish, time.Time), upToDate func()) error
	// remembers returns since when the stream's server has surely run: it knows every id
	// that was published since then. It is zero if that is not known.
	remembers func(ctx context.Context) (time.Time, error)
	// leader returns the server that leads the stream, and since when; empty if there is
	// one server.
	leader func(ctx context.Context) (string, error)
	log    zerolog.Logger

	// until is when the stream surely knows all ids again (Unix, in nanoseconds); 0 while
	// it does.
	until  atomic.Int64
	reread chan struct{}

	mu sync.Mutex
	// known maps each sent publish to the time at which the stream stored it.
	known map[publish]time.Time
	// complete is closed once all earlier outcomes are read, or can't be read.
	complete chan struct{}
	// began is when the reading began.
	began time.Time
}

// How recentlySent reads.
const (
	// readBack is how far back it reads: the stream's window, plus how far clocks may
	// differ.
	readBack = duplicateWindow + time.Minute
	// readOnAfterRestart is how long it goes on reading after a server has restarted:
	// other workers publish their earlier outcomes once they are connected again. When
	// this worker starts, it does not read on, because it would read its own outcomes.
	readOnAfterRestart = 30 * time.Second
	// readPause is the pause before the outcomes are read again after an error.
	readPause = 5 * time.Second
	// heldAtMost is how long messages wait while the outcomes are read.
	heldAtMost = 2 * time.Second
	// lookEvery is how often a cluster is asked who leads the stream.
	lookEvery = 2 * time.Second
)

// span is a span of time; it has no end if to is zero.
type span struct{ from, to time.Time }

func newRecentlySent(
	read func(ctx context.Context, of span, sent func(publish, time.Time), upToDate func()) error,
	remembers func(ctx context.Context) (time.Time, error), leader func(ctx context.Context) (string, error), log zerolog.Logger,
) *recentlySent {
	return &recentlySent{read: read, remembers: remembers, leader: leader, log: log, reread: make(chan struct{}, 1)}
}

// mayHaveForgotten notes that the stream may have forgotten what was sent before. It does
// not block. Messages that come after it wait until the outcomes are read.
func (r *recentlySent) mayHaveForgotten() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.complete != nil && !isClosed(r.complete) && now.Sub(r.began) < heldAtMost {
		return // it is about to be read
	}
	r.known, r.complete, r.began = make(map[publish]time.Time), make(chan struct{}), now
	r.until.Store(now.Add(duplicateWindow).UnixNano())
	select {
	case r.reread <- struct{}{}:
	default:
	}
}

// sentBefore reports whether a message was sent already, as far as is known. It waits
// while the outcomes are read, for heldAtMost from the beginning of the reading: a code
// that surely comes late is worse than one that may come twice.
func (r *recentlySent) sentBefore(ctx context.Context, m *jetpull.Message) bool {
	if r.until.Load() == 0 {
		return false
	}
	name := publishOf(m)
	for {
		r.mu.Lock()
		complete, held := r.complete, heldAtMost-time.Since(r.began)
		r.mu.Unlock()
		if held > 0 && !isClosed(complete) {
			timer := time.NewTimer(held)
			select {
			case <-complete:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		r.mu.Lock()
		first, ok := r.known[name]
		restarted := r.complete != complete && ctx.Err() == nil
		r.mu.Unlock()
		if !restarted {
			return ok && m.StoredAt.Sub(first) < duplicateWindow
		}
	}
}

// run reads whenever the stream may have forgotten, until ctx ends.
func (r *recentlySent) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var reading sync.WaitGroup
	defer reading.Wait()
	stop := func() {}
	defer func() { stop() }() //nolint:gocritic // the value of stop at that time
	led, asked, on := "", false, time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.reread:
			stop()
			reading.Wait()
			reads, end := context.WithTimeout(ctx, duplicateWindow)
			stop = end
			readOn := on
			reading.Go(func() { r.learn(reads, readOn) })
			on = readOnAfterRestart
		case <-tick.C:
			r.forget()
			if asked && led == "" {
				continue // a single server closes the connection when it restarts
			}
			now, err := r.leader(ctx)
			if err != nil {
				continue
			}
			if asked && now != led {
				r.mayHaveForgotten()
			}
			led, asked = now, true
		}
	}
}

// learn reads what was sent, and then reads on for readOn, or until ctx ends. It reads
// nothing if the server has run for longer than its window of ids, plus some time for late
// outcomes.
func (r *recentlySent) learn(ctx context.Context, readOn time.Duration) {
	r.mu.Lock()
	known, complete, of := r.known, r.complete, span{from: r.began.Add(-readBack)}
	r.mu.Unlock()
	upToDate := sync.OnceFunc(func() { close(complete) })
	defer upToDate()
	if started, err := r.remembers(ctx); err == nil && !started.IsZero() {
		of.to = started.Add(readOnAfterRestart)
		if of.to.Before(of.from) {
			r.drop(complete)
			return
		}
	}
	for logged := false; ctx.Err() == nil; sleep(ctx, readPause) {
		reads, stop := context.WithCancel(ctx)
		err := r.read(reads, of, func(name publish, storedAt time.Time) {
			r.mu.Lock()
			defer r.mu.Unlock()
			known[name] = storedAt
		}, func() {
			upToDate()
			time.AfterFunc(readOn, stop)
		})
		stop()
		if err == nil {
			return
		}
		if !logged && !isClosed(complete) && ctx.Err() == nil {
			logged = true
			r.log.Warn().Err(err).Msg("can't read from CODEFERRY_OUTCOMES which messages were sent in the last minutes: a message that was published again across a restart of NATS may be sent twice")
		}
		upToDate() // messages do not wait any longer
	}
}

// drop ends the reading that began with complete: the stream knows all ids.
func (r *recentlySent) drop(complete chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.complete == complete {
		r.known = nil
		r.until.Store(0)
	}
}

// forget drops the list once the stream knows all ids again.
func (r *recentlySent) forget() {
	until := r.until.Load()
	if until == 0 || time.Now().UnixNano() < until {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until.CompareAndSwap(until, 0) {
		r.known = nil
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
