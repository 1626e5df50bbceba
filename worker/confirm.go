package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// confirmer has the server confirm what it is told about messages. Many wait at
// once, and no goroutine does: at full speed a slot that slept until its own
// confirmation came would cost more than all else that is done with a message.
type confirmer struct {
	nc  *nats.Conn
	sub *nats.Subscription
	// prefix is what the subjects of the confirmations begin with; a number follows.
	prefix string

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]awaited
}

// awaited is a confirmation that has not come.
type awaited struct {
	since time.Time
	done  func(error)
}

func newConfirmer(nc *nats.Conn) (*confirmer, error) {
	c := &confirmer{nc: nc, prefix: nc.NewInbox() + ".", waiting: make(map[uint64]awaited)}
	sub, err := nc.Subscribe(c.prefix+"*", c.heard)
	if err != nil {
		return nil, fmt.Errorf("listen for confirmations: %w", err)
	}
	// As many may come at once as there are slots, which can be more than the client
	// holds of a subscription by default.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("listen for confirmations: %w", err)
	}
	c.sub = sub
	return c, nil
}

// ask says a word about a message, and has done called once, with nil when the
// server has confirmed it; done must not block. It does not wait.
func (c *confirmer) ask(msg *message, word string, done func(error)) {
	if msg.Reply == "" {
		done(errNoConsumer)
		return
	}
	c.mu.Lock()
	c.next++
	n := c.next
	c.waiting[n] = awaited{time.Now(), done}
	c.mu.Unlock()
	if err := c.nc.PublishRequest(msg.Reply, c.prefix+strconv.FormatUint(n, 10), []byte(word)); err != nil {
		c.settle(n, fmt.Errorf("settle the message: %w", err))
	}
}

// heard takes a confirmation.
func (c *confirmer) heard(msg *nats.Msg) {
	n, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, c.prefix), 10, 64)
	if err != nil {
		return // nobody asked for it
	}
	if isStatus(msg) {
		err = fmt.Errorf("settle the message: %w", nats.ErrNoResponders)
	}
	c.settle(n, err)
}

func (c *confirmer) settle(n uint64, err error) {
	c.mu.Lock()
	w, ok := c.waiting[n]
	delete(c.waiting, n)
	c.mu.Unlock()
	if ok {
		w.done(err)
	}
}

// run gives up what is not confirmed in time, until ctx ends.
func (c *confirmer) run(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, apiTimeout/10)
		c.giveUp(time.Now().Add(-apiTimeout))
	}
}

// giveUp gives up what was asked for before a time.
func (c *confirmer) giveUp(before time.Time) {
	var late []uint64
	c.mu.Lock()
	for n, w := range c.waiting {
		if w.since.Before(before) {
			late = append(late, n)
		}
	}
	c.mu.Unlock()
	for _, n := range late {
		c.settle(n, fmt.Errorf("settle the message: %w", nats.ErrTimeout))
	}
}

// askAndWait is ask, and blocks until it is confirmed, or is not in time.
func (c *confirmer) askAndWait(msg *message, word string) error {
	came := make(chan error, 1)
	c.ask(msg, word, func(err error) { came <- err })
	return <-came
}

// end stops listening.
func (c *confirmer) end() { _ = c.sub.Unsubscribe() } // it fails only where the connection is closed
