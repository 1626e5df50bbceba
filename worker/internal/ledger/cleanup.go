package ledger

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
)

// Stream is the part of jetstream.Stream that deletes entries. It has no DeleteMsg,
// because the stream of a bucket refuses to delete single messages.
type Stream interface {
	Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error
}

// Cleaner deletes the entries of messages that are done, so the ledger holds little more
// than the messages in flight. It waits before it deletes: a server that crashes can hand
// out again a message that was acked just before, and can store again a message that was
// published just before.
type Cleaner struct {
	stream Stream
	now    func() time.Time
	began  time.Time

	mu    sync.Mutex
	queue []settled
}

type settled struct {
	key      string
	revision uint64
	// after is when the message was done, as the time since the cleaner began. It takes
	// half the memory of a time.Time.
	after time.Duration
}

const (
	// keepSettled is how long an entry outlives its message.
	keepSettled = 15 * time.Second
	// cleanEvery is the interval between two rounds.
	cleanEvery = time.Second
	// maxSettled bounds the queue; a full queue takes 4 MB. The server deletes some 3000
	// entries a second while it is busy. The bucket's TTL deletes the entries that do not
	// fit into the queue.
	maxSettled = 50_000
)

// NewCleaner returns a cleaner of the ledger's stream. The caller has to call Run.
func NewCleaner(s Stream, now func() time.Time) *Cleaner {
	return &Cleaner{stream: s, now: now, began: now()}
}

// Settled notes that the message of a record is done.
func (c *Cleaner) Settled(r *Record) {
	if r.Revision == 0 {
		return // nothing was written
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) < maxSettled {
		c.queue = append(c.queue, settled{r.Key, r.Revision, c.now().Sub(c.began)})
	}
}

// due returns the entries that are old enough. They stay in the queue.
func (c *Cleaner) due() []settled {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.now().Sub(c.began) - keepSettled
	n := 0
	for n < len(c.queue) && c.queue[n].after < old {
		n++
	}
	return c.queue[:n]
}

// forget removes the first n entries from the queue.
func (c *Cleaner) forget(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = c.queue[n:]
}

// Run deletes entries until ctx ends. While it can't reach the server, it waits. The
// bucket's TTL deletes the entries that are left at the end.
func (c *Cleaner) Run(ctx context.Context) {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.clean(ctx)
		}
	}
}

func (c *Cleaner) clean(ctx context.Context) {
	done := 0
	defer func() { c.forget(done) }()
	for _, s := range c.due() {
		if ctx.Err() != nil {
			return
		}
		// The purge ends at this revision: an entry that was written again stays.
		err := c.stream.Purge(ctx, jetstream.WithPurgeSubject(subjects+s.key), jetstream.WithPurgeSequence(s.revision+1))
		var refused *jetstream.APIError
		if err != nil && !errors.As(err, &refused) {
			return // the server can't be reached
		}
		done++
	}
}

// subjects is what the subjects of the bucket's keys begin with.
const subjects = "$KV." + wire.LedgerName + "."
