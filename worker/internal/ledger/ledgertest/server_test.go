package ledgertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

// bucket is a bucket for tests, with what the ledger itself does not do to it.
type bucket struct {
	ledger.Bucket
	// mark deletes a key by hand. stream is the bucket's stream; nil in memory.
	mark   func(t *testing.T, key string)
	stream jetstream.Stream
}

// on runs a test on a bucket in memory, on one of a single server and on one of three:
// each reports a wrong revision in a different way.
func on(t *testing.T, f func(t *testing.T, b bucket)) {
	t.Run("memory", func(t *testing.T) {
		b := new(ledgertest.Bucket)
		f(t, bucket{Bucket: b, mark: func(_ *testing.T, key string) { b.Mark(key) }})
	})
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", replicas), func(t *testing.T) { f(t, onServers(t, replicas)) })
	}
}

func onServers(t *testing.T, replicas int) bucket {
	t.Helper()
	js := natstest.JetStream(t, natstest.StartCluster(t, replicas).Connect("n0"))
	var kv jetstream.KeyValue
	var stream jetstream.Stream
	natstest.Eventually(t, "there is a bucket", func(ctx context.Context) (err error) {
		for _, cfg := range wire.StreamConfigs(wire.StreamOptions{Replicas: replicas}) {
			if cfg.Name != wire.LedgerStream {
				continue
			}
			if stream, err = js.CreateOrUpdateStream(ctx, cfg); err != nil {
				return err
			}
		}
		kv, err = js.KeyValue(ctx, wire.LedgerName)
		return err
	})
	return bucket{Bucket: kv, stream: stream, mark: func(t *testing.T, key string) {
		t.Helper()
		if err := kv.Delete(natstest.Context(t), key); err != nil {
			t.Fatal(err)
		}
	}}
}

// seen waits until each replica has a revision: any of them can answer.
func (b bucket) seen(t *testing.T, key string, revision uint64) {
	t.Helper()
	inARow := 0
	natstest.Eventually(t, "every replica has the change", func(ctx context.Context) error {
		e, err := b.Get(ctx, key)
		if err != nil || e.Revision() != revision {
			inARow = 0
			return fmt.Errorf("a replica has the entry %v and the error %w, want revision %d", e, err, revision)
		}
		if inARow++; inARow < 20 {
			return errors.New("some replicas may not have it yet")
		}
		return nil
	})
}

var place = ledger.Place{Sequence: 7, StoredAt: 70}

func record() *ledger.Record { return &ledger.Record{Key: "k", Place: place, Delivery: 1} }

// TestTwoWorkers: two workers use one entry. If the other worker has written first, a
// write fails.
func TestTwoWorkers(t *testing.T) {
	on(t, func(t *testing.T, b bucket) {
		ctx := natstest.Context(t)
		me, another := ledger.New(b, "me", 10*time.Second), ledger.New(b, "another", 10*time.Second)
		mine, theirs := record(), record()
		if prior, err := me.Claim(ctx, mine, ledger.Entry{State: ledger.Claimed}); prior != nil || err != nil {
			t.Fatalf("the first claim: entry %v, error %v; want neither", prior, err)
		}
		b.seen(t, "k", mine.Revision)
		prior, err := another.Claim(ctx, theirs, ledger.Entry{State: ledger.Claimed})
		if err != nil || prior == nil || prior.Owner != "me" || theirs.Revision != mine.Revision {
			t.Fatalf("the second claim: entry %+v, error %v; want the first one's", prior, err)
		}
		if err := another.Write(ctx, theirs, ledger.Entry{State: ledger.LostWorker}); err != nil {
			t.Fatalf("the second worker takes it over: got the error %v", err)
		}
		b.seen(t, "k", theirs.Revision)
		for what, r := range map[string]*ledger.Record{"as it knows the entry": mine, "without knowing it": record()} {
			if err := me.Write(ctx, r, ledger.Entry{State: ledger.Retrying}); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("the first worker writes %s: got the error %v, want %v", what, err, ledger.ErrLost)
			}
		}
		if err := me.WriteSent(ctx, mine, ledger.Entry{}); err != nil {
			t.Errorf("the first worker has sent it: got the error %v", err)
		}
		b.seen(t, "k", mine.Revision)
		if err := another.Write(ctx, theirs, ledger.Entry{State: ledger.Retrying}); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("the second worker writes after that: got the error %v, want %v", err, ledger.ErrLost)
		}
		if e, err := another.Read(ctx, theirs); err != nil || e.State != ledger.Sent || e.Owner != "me" {
			t.Errorf("at the end: entry %+v, error %v; want sent by the first worker", e, err)
		}
	})
}

// TestManyWorkers: many workers claim one message at once, and one of them gets it.
func TestManyWorkers(t *testing.T) {
	on(t, func(t *testing.T, b bucket) {
		ctx := natstest.Context(t)
		const n = 20
		var mu sync.Mutex
		var claimed []string
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				name := fmt.Sprintf("worker %d", i)
				l := ledger.New(b, name, 10*time.Second)
				r := record()
				prior, err := l.Claim(ctx, r, ledger.Entry{State: ledger.Claimed})
				if err != nil && !errors.Is(err, ledger.ErrLost) {
					t.Errorf("%s: %v", name, err)
				}
				if prior == nil && err == nil {
					mu.Lock()
					claimed = append(claimed, name)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(claimed) != 1 {
			t.Errorf("claimed by %v, want one worker", claimed)
		}
	})
}

// TestDeletedByHand: a deletion by hand leaves a marker, and the key counts as one
// that does not exist.
func TestDeletedByHand(t *testing.T) {
	on(t, func(t *testing.T, b bucket) {
		ctx := natstest.Context(t)
		l := ledger.New(b, "me", 10*time.Second)
		r := record()
		if err := l.Write(ctx, r, ledger.Entry{State: ledger.Retrying}); err != nil {
			t.Fatal(err)
		}
		known := *r
		for what, write := range map[string]func() error{
			"write":      func() error { return l.Write(ctx, record(), ledger.Entry{State: ledger.Retrying}) },
			"write JSON": func() error { return l.WriteJSON(ctx, "k", 0, ledger.Entry{State: ledger.Claimed, Place: place}) },
			"claim": func() error {
				_, err := l.Claim(ctx, record(), ledger.Entry{State: ledger.Claimed})
				return err
			},
		} {
			b.mark(t, "k")
			natstest.Eventually(t, "every replica has the change", func(ctx context.Context) error {
				for range 20 {
					if e, err := l.Read(ctx, record()); e != nil || err != nil {
						return fmt.Errorf("a replica still has the entry %+v, with the error %w", e, err)
					}
				}
				return nil
			})
			if err := write(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if err := l.Write(ctx, &known, ledger.Entry{State: ledger.Retrying}); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("%s, and then a write over the deleted entry: got the error %v, want %v", what, err, ledger.ErrLost)
			}
		}
	})
}

// TestJSON: a write to a key that is not one of a message fails with ErrLost if the
// revision is another one.
func TestJSON(t *testing.T) {
	on(t, func(t *testing.T, b bucket) {
		ctx := natstest.Context(t)
		l := ledger.New(b, "me", 10*time.Second)
		if err := l.WriteJSON(ctx, "consumer.sms", 0, 5); err != nil {
			t.Fatal(err)
		}
		var v int
		var revision uint64
		natstest.Eventually(t, "it can be read", func(ctx context.Context) (err error) {
			if revision, err = l.ReadJSON(ctx, "consumer.sms", &v); err == nil && v != 5 {
				err = fmt.Errorf("read %d", v)
			}
			return err
		})
		for _, stale := range []uint64{0, revision + 1} {
			if err := l.WriteJSON(ctx, "consumer.sms", stale, 6); !errors.Is(err, ledger.ErrLost) {
				t.Errorf("over the revision %d: got the error %v, want %v", stale, err, ledger.ErrLost)
			}
		}
		if err := l.WriteJSON(ctx, "consumer.sms", revision, 6); err != nil {
			t.Error(err)
		}
	})
}

// TestKeys: a bucket takes every key.
func TestKeys(t *testing.T) {
	b := onServers(t, 1)
	l := ledger.New(b, "me", 10*time.Second)
	for _, key := range []string{
		ledger.Key("", "s", nil, ledger.Place{}), ledger.Key("", "s", nil, ledger.Place{Sequence: 1<<64 - 1, StoredAt: -1 << 63}),
		ledger.Key("a b.*>\n", "..", []byte{0}, place), ledger.Key("ä", "", nil, place),
	} {
		if err := l.Write(natstest.Context(t), &ledger.Record{Key: key, Place: place}, ledger.Entry{State: ledger.Claimed}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestCleaner: it deletes entries that were settled long enough ago, and none that was
// written again.
func TestCleaner(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", replicas), func(t *testing.T) {
			b := onServers(t, replicas)
			ctx := natstest.Context(t)
			l := ledger.New(b, "me", 10*time.Second)
			var mu sync.Mutex
			now := time.Now()
			c := ledger.NewCleaner(b.stream, func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return now
			})
			records := make([]*ledger.Record, 4)
			for i := range records {
				r := record()
				r.Key = fmt.Sprintf("k%d", i)
				if err := l.Write(ctx, r, ledger.Entry{State: ledger.Claimed}); err != nil {
					t.Fatal(err)
				}
				records[i] = r
				c.Settled(r)
			}
			if err := l.Write(ctx, records[1], ledger.Entry{State: ledger.Retrying}); err != nil { // again
				t.Fatal(err)
			}
			left := func() (keys []string) {
				t.Helper()
				natstest.Eventually(t, "the keys can be listed", func(ctx context.Context) error {
					info, err := b.stream.Info(ctx, jetstream.WithSubjectFilter(">"))
					if err != nil {
						return err
					}
					keys = keys[:0]
					for subject := range info.State.Subjects {
						keys = append(keys, subject[len("$KV."+wire.LedgerName+"."):])
					}
					slices.Sort(keys)
					return nil
				})
				return keys
			}
			if got := left(); len(got) != 4 {
				t.Fatalf("the keys are %v, want 4", got)
			}
			running, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.Run(running)
			}()
			mu.Lock()
			now = now.Add(time.Minute)
			mu.Unlock()
			natstest.Eventually(t, "the settled entries are deleted", func(context.Context) error {
				if got := left(); !slices.Equal(got, []string{"k1"}) {
					return fmt.Errorf("the keys %v are left, want k1", got)
				}
				return nil
			})
			cancel()
			<-ended
			if _, err := b.Create(ctx, "k0", nil); err != nil {
				t.Errorf("a key that the cleaner deleted can't be made again: %v", err)
			}
		})
	}
}
