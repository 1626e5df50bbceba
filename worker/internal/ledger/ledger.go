package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is the part of jetstream.KeyValue that the ledger uses.
type Bucket interface {
	Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error)
}

// Ledger reads and writes entries. Many goroutines can use it at once.
type Ledger struct {
	bucket  Bucket
	owner   string
	timeout time.Duration
	tries   atomic.Uint64
}

// New returns a ledger over a bucket. owner names this worker and no other. Each request
// to the server takes at most the timeout.
func New(b Bucket, owner string, timeout time.Duration) *Ledger {
	return &Ledger{bucket: b, owner: owner, timeout: timeout}
}

// ErrLost means that another worker has written the message's entry since this worker read
// or wrote it. This worker must do nothing more with the message.
var ErrLost = errors.New("another worker has taken the message over")

// Record is what this worker knows of one message's entry. One goroutine uses it at a
// time.
type Record struct {
	Key string
	// Place is where the message is stored. Delivery is how often the consumer has handed
	// it out. Consumer is when that consumer was made (Unix, in nanoseconds).
	Place    Place
	Delivery uint64
	Consumer int64
	// Revision is the entry's revision that this worker has read or written; 0 before
	// that.
	Revision uint64
}

func (l *Ledger) stamp(r *Record, e Entry) Entry {
	e.Owner, e.Try, e.Delivery, e.Consumer = l.owner, l.tries.Add(1), r.Delivery, r.Consumer
	if e.Place == (Place{}) {
		e.Place = r.Place
	}
	return e
}

// Claim writes e if the message has no entry. Otherwise it returns the existing entry. It
// fails with ErrLost if that entry was deleted meanwhile. It blocks until the server has
// answered.
func (l *Ledger) Claim(ctx context.Context, r *Record, e Entry) (prior *Entry, err error) {
	e = l.stamp(r, e)
	b, err := encode(e)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	revision, err := l.bucket.Create(ctx, r.Key, b)
	if err == nil {
		r.Revision = revision
		return nil, nil //nolint:nilnil // no prior entry is an answer
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		err = fmt.Errorf("claim a message in the ledger: %w", err)
		// The server may have written the entry although no answer came. Then the entry
		// has this claim's owner and try.
		if prior, _ := l.Read(context.WithoutCancel(ctx), r); prior != nil && prior.Owner == e.Owner && prior.Try == e.Try {
			return nil, nil //nolint:nilnil // likewise
		}
		return nil, err
	}
	prior, err = l.Read(ctx, r)
	if prior == nil && err == nil {
		// The entry was deleted, or the replica that answered does not have it yet.
		err = fmt.Errorf("claim a message in the ledger: %w", ErrLost)
	}
	return prior, err
}

// Read returns the message's entry; nil if there is none. It blocks until the server has
// answered.
func (l *Ledger) Read(ctx context.Context, r *Record) (*Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	v, err := l.bucket.Get(ctx, r.Key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		r.Revision = 0
		return nil, nil //nolint:nilnil // no entry is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	e, err := decode(v.Value())
	if err != nil {
		return nil, err
	}
	r.Revision = v.Revision()
	return e, nil
}

// Write writes e if the entry still has the revision that this worker knows. It fails with
// ErrLost if another worker has written the entry meanwhile. It blocks until the server
// has stored e.
func (l *Ledger) Write(ctx context.Context, r *Record, e Entry) error {
	e = l.stamp(r, e)
	b, err := encode(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	known := r.Revision
	var revision uint64
	if known > 0 {
		revision, err = l.bucket.Update(ctx, r.Key, b, known)
	} else {
		revision, err = l.bucket.Create(ctx, r.Key, b) // this also works if somebody has deleted the entry by hand
	}
	if err == nil {
		r.Revision = revision
		return nil
	}
	if !changed(err) {
		return fmt.Errorf("write %s to the ledger: %w", e.State, err)
	}
	// The entry may belong to an earlier publish of the same message. This message
	// supersedes that one.
	left, err := l.Read(ctx, r)
	switch {
	case err != nil:
		return err
	case left == nil, left.Place == e.Place, left.StoredAt > e.StoredAt: // the entry is this message's, or that of a newer publish
		r.Revision = known
		return fmt.Errorf("write %s to the ledger: %w", e.State, ErrLost)
	}
	if revision, err = l.bucket.Update(ctx, r.Key, b, r.Revision); changed(err) {
		err = ErrLost
	}
	if err != nil {
		return fmt.Errorf("write %s to the ledger: %w", e.State, err)
	}
	r.Revision = revision
	return nil
}

// WriteSent writes that the message was sent, whatever the entry says: no other worker can
// know better. It blocks until the server has stored it.
func (l *Ledger) WriteSent(ctx context.Context, r *Record, e Entry) error {
	e = l.stamp(r, e)
	e.State = Sent
	b, err := encode(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	revision, err := l.bucket.Put(ctx, r.Key, b)
	if err != nil {
		return fmt.Errorf("write %s to the ledger: %w", Sent, err)
	}
	r.Revision = revision
	return nil
}

// changed reports whether a write failed because another worker has written the entry.
func changed(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

// ReadJSON reads the value of a key into v. The key is not one of a message. ReadJSON
// returns the revision; 0 if there is no such key.
func (l *Ledger) ReadJSON(ctx context.Context, key string, v any) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	e, err := l.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err == nil {
		err = json.Unmarshal(e.Value(), v)
	}
	if err != nil {
		return 0, fmt.Errorf("read %s in the ledger: %w", key, err)
	}
	return e.Revision(), nil
}

// Probe writes a value that nobody reads. It fails if the ledger can't be written.
func (l *Ledger) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	if _, err := l.bucket.Put(ctx, probeKey, []byte(`{}`)); err != nil {
		return fmt.Errorf("try to write the ledger: %w", err)
	}
	return nil
}

// probeKey can't be the key of a message.
const probeKey = "probe"

// WriteJSON writes the value of a key that is not one of a message, if the key still has
// that revision; 0 means that the key must not exist. Otherwise it fails with ErrLost.
func (l *Ledger) WriteJSON(ctx context.Context, key string, revision uint64, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s to the ledger: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	if revision > 0 {
		_, err = l.bucket.Update(ctx, key, b, revision)
	} else {
		_, err = l.bucket.Create(ctx, key, b)
	}
	if changed(err) {
		err = ErrLost
	}
	if err != nil {
		return fmt.Errorf("write %s to the ledger: %w", key, err)
	}
	return nil
}
