package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// deletions is a stream that notes what is deleted.
type deletions struct {
	mu  sync.Mutex
	all []uint64
	// fail returns the error of a deletion.
	fail func(sequence uint64) error
}

func (d *deletions) Purge(_ context.Context, opts ...jetstream.StreamPurgeOpt) error {
	var r jetstream.StreamPurgeRequest
	for _, o := range opts {
		if err := o(&r); err != nil {
			return err
		}
	}
	if r.Subject != "$KV.codeferry-ledger.k" || r.Keep > 0 {
		return fmt.Errorf("the purge %+v deletes other entries too", r)
	}
	sequence := r.Sequence - 1 // up to, but not including it
	d.mu.Lock()
	d.all = append(d.all, sequence)
	d.mu.Unlock()
	if d.fail != nil {
		return d.fail(sequence)
	}
	return nil
}

// deleted returns what was deleted so far.
func (d *deletions) deleted() []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all)
}

// cleaning runs a cleaner in a synctest bubble.
func cleaning(t *testing.T, s *deletions) (c *ledger.Cleaner, stop func()) {
	t.Helper()
	c = ledger.NewCleaner(s, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		c.Run(ctx)
		close(ended)
	}()
	return c, func() {
		cancel()
		<-ended
	}
}

// TestCleanerWaits: an entry outlives its message, since the message can come back after a
// crash.
func TestCleanerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(deletions)
		c, stop := cleaning(t, s)
		defer stop()
		c.Settled(&ledger.Record{Key: "k"}) // nothing was written about it
		c.Settled(&ledger.Record{Key: "k", Revision: 4})
		<-time.After(3 * time.Second)
		c.Settled(&ledger.Record{Key: "k", Revision: 6})
		<-time.After(12 * time.Second)
		synctest.Wait()
		check.Equal(t, "deleted after 15 s", fmt.Sprint(s.deleted()), "[]")
		<-time.After(time.Second)
		synctest.Wait()
		check.Equal(t, "deleted after 16 s", fmt.Sprint(s.deleted()), "[4]")
		<-time.After(3 * time.Second)
		synctest.Wait()
		check.Equal(t, "deleted after 19 s", fmt.Sprint(s.deleted()), "[4 6]")
		<-time.After(time.Minute)
		synctest.Wait()
		check.Equal(t, "deleted in the end", fmt.Sprint(s.deleted()), "[4 6]")
	})
}

// TestCleanerErrors: an entry that the server refuses to delete is skipped. If the server
// can't be reached, the cleaner goes on when it is back.
func TestCleanerErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"the server refuses":          {fmt.Errorf("purge: %w", &jetstream.APIError{Code: 500}), "[1 2 3]"},
		"the server can't be reached": {errAway, "[1 2 2 2 3]"},
		"it timed out":                {context.DeadlineExceeded, "[1 2 2 2 3]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			failures := 0
			s := &deletions{fail: func(sequence uint64) error {
				if sequence == 2 && failures < 2 {
					failures++
					return c.err
				}
				return nil
			}}
			cl, stop := cleaning(t, s)
			defer stop()
			for revision := range uint64(3) {
				cl.Settled(&ledger.Record{Key: "k", Revision: revision + 1})
			}
			<-time.After(time.Minute)
			synctest.Wait()
			check.Equal(t, name+": tried to delete", fmt.Sprint(s.deleted()), c.want)
		})
	}
}

// TestCleanerStops: once ctx has ended nothing more is deleted, and a round that has begun
// stops.
func TestCleanerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(deletions)
		ctx, cancel := context.WithCancel(t.Context())
		s.fail = func(uint64) error {
			cancel()
			return nil
		}
		c := ledger.NewCleaner(s, time.Now)
		ended := make(chan struct{})
		go func() {
			c.Run(ctx)
			close(ended)
		}()
		c.Settled(&ledger.Record{Key: "k", Revision: 1})
		c.Settled(&ledger.Record{Key: "k", Revision: 2})
		<-ended
		check.Equal(t, "deleted", fmt.Sprint(s.deleted()), "[1]")
	})
}

// TestCleanerIsBounded: an entry that does not fit is left to the bucket's TTL.
func TestCleanerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(deletions)
		c, stop := cleaning(t, s)
		defer stop()
		const most = 50_000
		for range most + 5 {
			c.Settled(&ledger.Record{Key: "k", Revision: 1})
		}
		<-time.After(time.Minute)
		synctest.Wait()
		check.Equal(t, "deleted", len(s.deleted()), most)
	})
}
