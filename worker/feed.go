package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// feed publishes outcomes without waiting for them. The stream is asked to confirm
// one at a time, and with it those before it: an outcome that is published while
// nothing is asked for asks for itself. So at a low rate each is confirmed, and at a
// high one as many as come in one round trip by one answer.
type feed struct {
	nc  *nats.Conn
	sub *nats.Subscription
	// prefix is what the subjects of the confirmations begin with; a number follows.
	prefix string
	lost   prometheus.Counter

	mu sync.Mutex
	// open counts what was published and not confirmed; asked is how many of these the
	// next confirmation is for, 0 where none is asked for.
	open, asked int
	askedAt     time.Time
	// era counts the connection's reconnects, as of the last asking.
	era uint64
	// turn numbers what is asked, so that a late answer is not taken for another's.
	turn uint64
	// answered is closed when nothing is asked for any more; nil where nobody waits
	// for that.
	answered chan struct{}
}

const (
	// maxOpen bounds what is not confirmed; beyond it outcomes are lost, and counted.
	maxOpen = 8192
	// feedTimeout is how long a confirmation may take.
	feedTimeout = 5 * time.Second
)

func newFeed(nc *nats.Conn, lost prometheus.Counter) (*feed, error) {
	f := &feed{nc: nc, prefix: nc.NewInbox() + ".", lost: lost}
	sub, err := nc.Subscribe(f.prefix+"*", f.heard)
	if err != nil {
		return nil, fmt.Errorf("listen for confirmations of outcomes: %w", err)
	}
	f.sub = sub
	return f, nil
}

// publish hands an outcome to the connection. What is lost is counted.
func (f *feed) publish(subject string, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.asked > 0 && now.Sub(f.askedAt) > feedTimeout {
		f.confirmed(false)
	}
	if f.open >= maxOpen {
		f.lost.Inc()
		return
	}
	var err error
	if f.asked > 0 {
		err = f.nc.Publish(subject, body)
	} else {
		if era := f.nc.Stats().Reconnects; era != f.era {
			// What nobody asked about over the old connection may have gone with it.
			f.lost.Add(float64(f.open))
			f.open, f.era = 0, era
		}
		f.turn++
		err = f.nc.PublishRequest(subject, f.answer(), body)
	}
	if err != nil {
		f.lost.Inc()
		return
	}
	f.open++
	if f.asked == 0 {
		f.asked, f.askedAt = f.open, now
	}
}

// answer is the subject of the next confirmation.
func (f *feed) answer() string { return f.prefix + strconv.FormatUint(f.turn, 10) }

// heard takes a confirmation, or a refusal.
func (f *feed) heard(msg *nats.Msg) {
	var ack struct {
		Stream string          `json:"stream"`
		Error  json.RawMessage `json:"error"`
	}
	ok := json.Unmarshal(msg.Data, &ack) == nil && ack.Error == nil && ack.Stream != ""
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked > 0 && msg.Subject == f.answer() {
		f.confirmed(ok)
	}
}

// confirmed takes note of an answer for those that it was asked for.
func (f *feed) confirmed(ok bool) {
	if !ok {
		f.lost.Add(float64(f.asked))
	}
	f.open -= f.asked
	f.asked = 0
	if f.answered != nil {
		close(f.answered)
		f.answered = nil
	}
}

// end waits until the stream has what was published, or ctx ends, and stops
// listening.
func (f *feed) end(ctx context.Context) {
	defer func() { _ = f.sub.Unsubscribe() }() // it fails only where the connection is closed
	_ = f.nc.FlushWithContext(ctx)             // it fails only where the connection is gone
	f.mu.Lock()
	if f.asked == 0 {
		f.mu.Unlock()
		return // the server has those that it was not asked about
	}
	answered := make(chan struct{})
	f.answered = answered
	f.mu.Unlock()
	select {
	case <-answered:
	case <-ctx.Done():
	}
}
