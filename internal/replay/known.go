package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
)

// known is what the outcomes and the other dead letters tell of messages and of
// the subjects that they were for.
type known struct {
	seed maphash.Seed
	// live are the outcomes from now on, heard how many of them were.
	live *nats.Subscription
	nc   *nats.Conn
	// reconnects is how often the connection had broken at the beginning.
	reconnects uint64
	heard      atomic.Int64

	mu sync.Mutex
	// lives are the messages', by their ids.
	lives map[uint64]life
	// newest are the newest messages of the subjects.
	newest map[uint64]newest
	// complete is from when on the outcomes are all there: the oldest go after a while.
	complete time.Time
}

// life is how far a message came.
type life struct {
	epoch int
	sent  bool
}

// newest is a subject's newest message.
type newest struct {
	storedAt time.Time
	id       uint64
}

func newKnown() *known {
	return &known{seed: maphash.MakeSeed(), lives: make(map[uint64]life), newest: make(map[uint64]newest)}
}

// learn reads the dead letters, since one of another reason may be the newest of
// its subject, and what happened since the oldest that is wanted. It returns how
// many are wanted.
func (k *known) learn(ctx context.Context, js jetstream.JetStream, want archive.Filter) (n int, err error) {
	var oldest time.Time
	if err := archive.Heads(ctx, js, archive.Filter{}, func(l archive.Letter) error {
		if s, err := messages.ParseSubject(l.Subject); err == nil {
			k.note(s, l.ID, l.Epoch, l.StoredAt, false)
		}
		if want.Takes(&l.DeadLetter) {
			n++
			if n == 1 || l.StoredAt.Before(oldest) {
				oldest = l.StoredAt
			}
		}
		return nil
	}); err != nil || n == 0 {
		return n, err
	}
	if k.complete, err = archive.OutcomesFrom(ctx, js); err != nil {
		return n, err
	}
	return n, archive.OutcomesSince(ctx, js, oldest, func(o messages.Outcome) error {
		k.outcome(o)
		return nil
	})
}

// follow hears what happens from now on, until leave.
func (k *known) follow(nc *nats.Conn) (err error) {
	k.nc, k.reconnects = nc, nc.Stats().Reconnects
	if k.live, err = nc.Subscribe(messages.OutcomeSubject("*", "*", "*"), func(m *nats.Msg) {
		var o messages.Outcome
		if json.Unmarshal(m.Data, &o) == nil {
			k.outcome(o)
		}
		k.heard.Add(1)
	}); err == nil {
		err = nc.Flush()
	}
	if err != nil {
		return fmt.Errorf("follow the outcomes: %w", err)
	}
	return nil
}

func (k *known) leave() { _ = k.live.Unsubscribe() }

// catchUp waits until every outcome is known that is on the connection already. Its
// error says that some may never be: the connection broke meanwhile.
func (k *known) catchUp() error {
	if dropped, err := k.live.Dropped(); err != nil || dropped > 0 || k.nc.Stats().Reconnects != k.reconnects {
		return errors.New("the connection to NATS broke, and what was sent meanwhile is not known; start again")
	}
	before := k.heard.Load()
	first, _, err := k.live.Pending() // the one in hand may be among them
	for waiting := first; err == nil && waiting > 0 && k.heard.Load() < before+int64(first); {
		runtime.Gosched()
		waiting, _, err = k.live.Pending()
	}
	return nil
}

func (k *known) outcome(o messages.Outcome) {
	sent := o.Status == messages.StatusSent || o.Status == messages.StatusDelivered
	k.note(messages.Subject{App: o.App, Channel: o.Channel, Type: o.Type, Key: o.Key}, o.ID, o.Epoch, o.StoredAt, sent)
}

func (k *known) note(s messages.Subject, id string, epoch int, storedAt time.Time, sent bool) {
	if s.Key == "" {
		return // no letter of its subject can be replayed
	}
	hashed, mine := maphash.String(k.seed, id), k.life(s, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lives[mine]
	k.lives[mine] = life{max(l.epoch, epoch), l.sent || sent}
	if subject := k.subject(s); storedAt.After(k.newest[subject].storedAt) {
		k.newest[subject] = newest{storedAt, hashed}
	}
}

// life names a message: an id used again for another subject is another message.
func (k *known) life(s messages.Subject, id string) uint64 {
	s.Type = s.Type.Canonical()
	return maphash.String(k.seed, s.String()+"\x00"+id)
}

func (k *known) subject(s messages.Subject) uint64 {
	s.Type = s.Type.Canonical()
	return maphash.String(k.seed, s.String())
}

// fate is what is known of a dead letter's message.
type fate int

const (
	// fateOpen: nothing stands against a replay.
	fateOpen fate = iota
	fateReplayed
	fateDelivered
	fateReplaced
	// fateUnknown: it happened before the oldest outcome that is still kept.
	fateUnknown
)

func (k *known) fate(l archive.Letter) fate {
	s, err := messages.ParseSubject(l.Subject)
	if err != nil {
		return fateOpen
	}
	id := maphash.String(k.seed, l.ID)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch mine := k.lives[k.life(s, l.ID)]; {
	case mine.epoch > l.Epoch:
		return fateReplayed
	case mine.sent:
		return fateDelivered
	}
	if n := k.newest[k.subject(s)]; n.id != id && n.storedAt.After(l.StoredAt) {
		return fateReplaced
	}
	if l.StoredAt.Before(k.complete) {
		return fateUnknown
	}
	return fateOpen
}
