// Package ledgertest holds a ledger's bucket in memory, for tests without a server.
package ledgertest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Step is one call of a bucket.
type Step string

// The steps.
const (
	Create Step = "create"
	Update Step = "update"
	Put    Step = "put"
	Get    Step = "get"
)

// Bucket is a key-value bucket in memory. As on the server, its revisions count over all
// keys. The zero value is empty.
type Bucket struct {
	// Before is called before each step. If it returns an error, the step is not carried
	// out and returns that error. It may write to the bucket, as another worker does.
	// Default: no call.
	Before func(s Step, key string) error
	// After is called after each step that was carried out. If it returns an error, the
	// step returns that error, as if its answer was lost. Default: no call.
	After func(s Step, key string) error

	mu       sync.Mutex
	revision uint64
	values   map[string]entry
}

// entry is one key's value.
type entry struct {
	key      string
	value    []byte
	revision uint64
	// deleted is true for a delete marker.
	deleted bool
}

// take carries out a step.
func (b *Bucket) take(ctx context.Context, s Step, key string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.Before != nil {
		if err := b.Before(s, key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	err := do()
	b.mu.Unlock()
	if err == nil && b.After != nil {
		err = b.After(s, key)
	}
	return err
}

// store stores a value, with b.mu held.
func (b *Bucket) store(key string, value []byte) uint64 {
	if b.values == nil {
		b.values = make(map[string]entry)
	}
	b.revision++
	b.values[key] = entry{key: key, value: slices.Clone(value), revision: b.revision}
	return b.revision
}

// Create implements ledger.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, value []byte, _ ...jetstream.KVCreateOpt) (revision uint64, err error) {
	err = b.take(ctx, Create, key, func() error {
		if e, ok := b.values[key]; ok && !e.deleted {
			return jetstream.ErrKeyExists
		}
		revision = b.store(key, value)
		return nil
	})
	return revision, err
}

// Update implements ledger.Bucket.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, known uint64) (revision uint64, err error) {
	err = b.take(ctx, Update, key, func() error {
		if b.values[key].revision != known {
			return jetstream.ErrKeyRevisionMismatch
		}
		revision = b.store(key, value)
		return nil
	})
	return revision, err
}

// Put implements ledger.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	err = b.take(ctx, Put, key, func() error {
		revision = b.store(key, value)
		return nil
	})
	return revision, err
}

// Get implements ledger.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) (found jetstream.KeyValueEntry, err error) {
	err = b.take(ctx, Get, key, func() error {
		e, ok := b.values[key]
		if !ok || e.deleted {
			return jetstream.ErrKeyNotFound
		}
		found = e
		return nil
	})
	return found, err
}

// Set writes a value as another worker would, as JSON. It returns the revision.
func (b *Bucket) Set(key string, v any) uint64 {
	value, err := json.Marshal(v)
	if err != nil {
		panic(err) // the test passes a bad value
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.store(key, value)
}

// Delete deletes a key, as the bucket's TTL does.
func (b *Bucket) Delete(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.values, key)
}

// Mark deletes a key and leaves a delete marker, as a deletion by hand does.
func (b *Bucket) Mark(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store(key, nil)
	e := b.values[key]
	e.deleted = true
	b.values[key] = e
}

// Value returns a key's value and its revision; 0 if the key does not exist.
func (b *Bucket) Value(key string) (value []byte, revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.values[key]
	return e.value, e.revision
}

func (entry) Bucket() string                  { return "memory" }
func (e entry) Key() string                   { return e.key }
func (e entry) Value() []byte                 { return e.value }
func (e entry) Revision() uint64              { return e.revision }
func (entry) Created() time.Time              { return time.Time{} }
func (entry) Delta() uint64                   { return 0 }
func (entry) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }
