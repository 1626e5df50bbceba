package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// known is what the outcomes and the other dead letters say about messages and their subjects.
type known struct {
	seed maphash.Seed
	// live receives the outcomes from now on; heard counts them.
	live *nats.Subscription
	nc   *nats.Conn
	// reconnects is how often the connection had been lost when the replay began.
	reconnects uint64
	heard      atomic.Int64

	mu sync.Mutex
	// lives are the stored messages of each subject, oldest first.
	lives map[uint64][]life
	// complete is the time since which every outcome is kept; the oldest are deleted.
	complete time.Time
}

func newKnown() *known {
	return &known{seed: maphash.MakeSeed(), lives: make(map[uint64][]life)}
}

// learn reads all dead letters, because one with another reason may be the newest of its
// subject, and the outcomes since the oldest wanted dead letter. It returns the number of
// wanted ones.
func (k *known) learn(ctx context.Context, js jetstream.JetStream, want archive.Filter) (n int, err error) {
	var oldest time.Time
	if err := archive.Heads(ctx, js, archive.Filter{}, func(l archive.Letter) error {
		if s, err := wire.ParseSubject(l.Subject); err == nil {
			k.letter(s, l)
		}
		if want.Takes(&l) {
			from := l.StoredAt
			if l.Epoch > 0 {
				from = time.Time{} // its earlier lives are older
			}
			n++
			if n == 1 || from.Before(oldest) {
				oldest = from
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

// follow receives the outcomes from now on, until leave.
func (k *known) follow(nc *nats.Conn) (err error) {
	k.nc, k.reconnects = nc, nc.Stats().Reconnects
	if k.live, err = nc.Subscribe(wire.OutcomeSubject("*", "*", "*"), func(m *nats.Msg) {
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

// catchUp waits until it has read every outcome that has already arrived on the connection.
// It fails if some may be missing because the connection broke meanwhile.
func (k *known) catchUp() error {
	if dropped, err := k.live.Dropped(); err != nil || dropped > 0 || k.nc.Stats().Reconnects != k.reconnects {
		return errors.New("the connection to NATS broke, and it is not known which messages were sent meanwhile; start again")
	}
	before := k.heard.Load()
	first, _, err := k.live.Pending() // this may include the current one
	for waiting := first; err == nil && waiting > 0 && k.heard.Load() < before+int64(first); {
		runtime.Gosched()
		waiting, _, err = k.live.Pending()
	}
	return nil
}

func (k *known) outcome(o messages.Outcome) {
	sent := o.Status == messages.StatusSent || o.Status == messages.StatusDelivered
	k.note(messages.Subject{App: o.App, Channel: o.Channel, Type: o.Type, Key: o.Key}, life{
		Stored: archive.Stored{At: o.StoredAt, Sequence: o.Sequence}, id: k.hash(o.ID), epoch: o.Epoch, sent: sent,
	})
}

// letter records a dead letter's message.
func (k *known) letter(s messages.Subject, l archive.Letter) {
	k.note(s, life{Stored: storedOf(l), id: k.hash(l.ID), epoch: l.Epoch})
}

// storedOf returns the stored message of a dead letter.
func storedOf(l archive.Letter) archive.Stored {
	return archive.Stored{At: l.StoredAt, Sequence: l.Sequence}
}

func (k *known) note(s messages.Subject, l life) {
	if s.Key == "" {
		return // no dead letter of its subject can be replayed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	subject := k.subject(s)
	lives := k.lives[subject]
	i, found := place(lives, l.Stored)
	if !found {
		k.lives[subject] = slices.Insert(lives, i, l)
		return
	}
	have := &lives[i]
	have.Sequence, have.sent = max(have.Sequence, l.Sequence), have.sent || l.sent
}

func (k *known) subject(s messages.Subject) uint64 {
	s.Type = s.Type.Canonical()
	return k.hash(s.String())
}

func (k *known) hash(text string) uint64 { return maphash.String(k.seed, text) }

// fate returns what is known about a dead letter's message.
func (k *known) fate(l archive.Letter) fate {
	s, err := wire.ParseSubject(l.Subject)
	if err != nil {
		return fateOpen
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f := fateAmong(k.lives[k.subject(s)], life{Stored: storedOf(l), id: k.hash(l.ID), epoch: l.Epoch})
	if f == fateOpen && l.StoredAt.Before(k.complete) {
		return fateUnknown
	}
	return f
}
