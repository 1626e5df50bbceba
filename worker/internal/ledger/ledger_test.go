package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

var (
	place   = ledger.Place{Sequence: 7, StoredAt: 70}
	other   = ledger.Place{Sequence: 5, StoredAt: 50}
	errAway = errors.New("the server is away")
)

func record() *ledger.Record {
	return &ledger.Record{Key: "k", Place: place, Delivery: 2, Consumer: 20}
}

// two are the ledgers of two workers over one bucket.
func two() (b *ledgertest.Bucket, me, another *ledger.Ledger) {
	b = new(ledgertest.Bucket)
	return b, ledger.New(b, "me", time.Second), ledger.New(b, "another", time.Second)
}

// kept returns the entry that the bucket holds.
func kept(t *testing.T, b *ledgertest.Bucket) (e ledger.Entry) {
	t.Helper()
	value, revision := b.Value("k")
	if revision == 0 {
		return e
	}
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// failing fails the nth step of a kind and those after it.
func failing(step ledgertest.Step, nth int) func(ledgertest.Step, string) error {
	n := 0
	return func(s ledgertest.Step, _ string) error {
		if s == step {
			if n++; n >= nth {
				return errAway
			}
		}
		return nil
	}
}

func TestClaim(t *testing.T) {
	b, me, another := two()
	mine := record()
	b.Before = failing(ledgertest.Get, 1) // a first claim does not read
	prior, err := me.Claim(t.Context(), mine, ledger.Entry{State: ledger.Claimed, Doubts: 1})
	if err != nil || prior != nil {
		t.Fatalf("the first claim: entry %v, error %v; want neither", prior, err)
	}
	e := kept(t, b)
	check.Equal(t, "state", e.State, ledger.Claimed)
	check.Equal(t, "owner", e.Owner, "me")
	check.Equal(t, "delivery", e.Delivery, 2)
	check.Equal(t, "consumer", e.Consumer, 20)
	check.Equal(t, "place", e.Place, place)
	check.Equal(t, "doubts", e.Doubts, 1)
	check.Equal(t, "revision", mine.Revision, 1)

	b.Before = nil
	theirs := record()
	prior, err = another.Claim(t.Context(), theirs, ledger.Entry{State: ledger.Claimed})
	if err != nil || prior == nil {
		t.Fatalf("the second claim: entry %v, error %v; want the first one's", prior, err)
	}
	check.Equal(t, "the prior entry's owner", prior.Owner, "me")
	check.Equal(t, "the owner after both", kept(t, b).Owner, "me")
	check.Equal(t, "the revision that was read", theirs.Revision, 1)
}

// TestClaimWithoutAnAnswer: a claim that was stored belongs to this worker, although no
// answer came.
func TestClaimWithoutAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		// there is the entry that another worker has written meanwhile.
		there *ledger.Entry
		// taken is true if the step was carried out and only its answer was lost.
		taken bool
		mute  bool // the ledger can't be read either
		want  bool // claimed
	}{
		"stored":                   {taken: true, want: true},
		"not stored":               {},
		"stored, but not readable": {taken: true, mute: true},
		"another worker's":         {there: &ledger.Entry{State: ledger.Claimed, Owner: "another", Delivery: 2, Consumer: 20, Place: place, Try: 1}},
		"its own, a claim before":  {there: &ledger.Entry{State: ledger.Claimed, Owner: "me", Delivery: 2, Consumer: 20, Place: place, Try: 7}},
		"its own, other delivery":  {there: &ledger.Entry{State: ledger.Claimed, Owner: "me", Delivery: 1, Consumer: 20, Place: place}},
		"its own, other message":   {there: &ledger.Entry{State: ledger.Claimed, Owner: "me", Delivery: 2, Consumer: 20, Place: other}},
		"its own, of a retry":      {there: &ledger.Entry{State: ledger.Retrying, Owner: "me", Delivery: 2, Consumer: 20, Place: place}},
		"its own, another's count": {there: &ledger.Entry{State: ledger.Claimed, Owner: "me", Delivery: 2, Consumer: 10, Place: place}},
	} {
		t.Run(name, func(t *testing.T) {
			b, me, _ := two()
			lost := func(s ledgertest.Step, _ string) error {
				if s == ledgertest.Create || s == ledgertest.Get && c.mute {
					return errAway
				}
				return nil
			}
			if c.taken {
				b.After = lost
			} else {
				b.Before = lost
			}
			if c.there != nil {
				b.Set("k", c.there)
			}
			r := record()
			prior, err := me.Claim(t.Context(), r, ledger.Entry{State: ledger.Claimed})
			if prior != nil {
				t.Errorf("got the entry %+v, want none", prior)
			}
			if c.want {
				if err != nil {
					t.Errorf("got the error %v, want that it is claimed", err)
				}
				check.Equal(t, "revision", r.Revision, 1)
				return
			}
			if !errors.Is(err, errAway) {
				t.Errorf("got the error %v, want %v", err, errAway)
			}
			contains(t, err, "claim a message in the ledger: ")
		})
	}
}

// TestClaimOfADeletedEntry: the entry existed when the claim tried to create it, and does
// not exist when it is read: it was deleted, or the replica that answers does not have it
// yet. Nothing is claimed.
func TestClaimOfADeletedEntry(t *testing.T) {
	b, me, another := two()
	b.Set("k", ledger.Entry{State: ledger.Claimed, Place: place, Owner: "another"})
	b.Before = func(s ledgertest.Step, _ string) error {
		if s == ledgertest.Get {
			b.Delete("k")
		}
		return nil
	}
	prior, err := me.Claim(t.Context(), record(), ledger.Entry{State: ledger.Claimed})
	if prior != nil || !errors.Is(err, ledger.ErrLost) {
		t.Errorf("entry %v, error %v; want %v", prior, err, ledger.ErrLost)
	}
	b.Before = nil
	if prior, err = me.Claim(t.Context(), record(), ledger.Entry{State: ledger.Claimed}); prior != nil || err != nil {
		t.Errorf("the second claim: entry %v, error %v; want neither", prior, err)
	}
	check.Equal(t, "owner", kept(t, b).Owner, "me")

	b.Before = failing(ledgertest.Get, 1)
	if prior, err = another.Claim(t.Context(), record(), ledger.Entry{State: ledger.Claimed}); prior != nil || !errors.Is(err, errAway) || errors.Is(err, ledger.ErrLost) {
		t.Errorf("if it can't be read: entry %v, error %v; want %v alone", prior, err, errAway)
	}
}

// TestClaimAfterItsTimeout: Claim reads the entry even if its own time is over.
func TestClaimAfterItsTimeout(t *testing.T) {
	b, me, _ := two()
	ctx, cancel := context.WithCancel(t.Context())
	b.After = func(s ledgertest.Step, _ string) error {
		if s == ledgertest.Create {
			cancel()
			return ctx.Err()
		}
		return nil
	}
	if prior, err := me.Claim(ctx, record(), ledger.Entry{State: ledger.Claimed}); err != nil || prior != nil {
		t.Errorf("entry %v, error %v; want that it is claimed", prior, err)
	}
}

// TestOfLastDelivery: a consumer that was made again begins to count at 1, so the
// counts of two consumers can't be compared.
func TestOfLastDelivery(t *testing.T) {
	for name, c := range map[string]struct {
		delivery      uint64
		consumer      int64
		last, earlier bool
	}{
		"the delivery before":               {1, 20, true, true},
		"this one":                          {2, 20, false, false},
		"a later one":                       {3, 20, false, false},
		"an earlier one":                    {0, 20, false, true},
		"the number before, another count":  {1, 10, false, true},
		"a greater number, an older count":  {9, 10, false, true},
		"a smaller number, a newer count":   {1, 30, false, false},
		"the number before, no count named": {1, 0, false, true},
	} {
		e := &ledger.Entry{Delivery: c.delivery, Consumer: c.consumer}
		check.Equal(t, name+": of the last delivery", e.OfLastDelivery(record()), c.last)
		check.Equal(t, name+": of an earlier delivery", e.OfEarlierDelivery(record()), c.earlier)
	}
}

func TestRead(t *testing.T) {
	b, me, _ := two()
	r := record()
	r.Revision = 9
	e, err := me.Read(t.Context(), r)
	if err != nil || e != nil {
		t.Fatalf("an empty bucket: entry %v, error %v; want neither", e, err)
	}
	check.Equal(t, "revision of nothing", r.Revision, 0)
	b.Set("x", 0)
	b.Set("k", ledger.Entry{State: ledger.InDoubt, Suspects: []string{"a"}})
	e, err = me.Read(t.Context(), r)
	if err != nil || e == nil {
		t.Fatalf("entry %v, error %v; want an entry", e, err)
	}
	check.Equal(t, "state", e.State, ledger.InDoubt)
	check.Equal(t, "suspects", fmt.Sprint(e.Suspects), "[a]")
	check.Equal(t, "revision", r.Revision, 2)
	b.Before = failing(ledgertest.Get, 1)
	if _, err = me.Read(t.Context(), r); !errors.Is(err, errAway) || !strings.HasPrefix(err.Error(), "read the ledger: ") {
		t.Errorf("without a server: %v", err)
	}
}

// TestReadOfANewerWorker: a state that this worker does not know is read as LostWorker.
func TestReadOfANewerWorker(t *testing.T) {
	b, me, _ := two()
	for _, s := range []ledger.State{ledger.Claimed, ledger.Retrying, ledger.InDoubt, ledger.Released, ledger.LostWorker, ledger.Panicked, ledger.Sent} {
		b.Set("k", ledger.Entry{State: s})
		e, err := me.Read(t.Context(), record())
		if err != nil {
			t.Fatal(err)
		}
		check.Equal(t, "state", e.State, s)
	}
	b.Set("k", map[string]any{"state": "tomorrow", "doubts": 1, "new": true})
	e, err := me.Read(t.Context(), record())
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "a state of tomorrow", e.State, ledger.LostWorker)
	check.Equal(t, "doubts", e.Doubts, 1)
	b.Set("k", "no entry")
	r := record()
	if _, err := me.Read(t.Context(), r); err == nil || !strings.HasPrefix(err.Error(), "decode a ledger entry: ") {
		t.Errorf("a value that is not an entry: got the error %v", err)
	}
	check.Equal(t, "revision of what can't be read", r.Revision, 0)
}

// TestTimeout: a server that does not answer does not hold a slot.
func TestTimeout(t *testing.T) {
	for name, do := range map[string]func(l *ledger.Ledger) error{
		"claim": func(l *ledger.Ledger) error {
			_, err := l.Claim(context.Background(), record(), ledger.Entry{State: ledger.Claimed})
			return err
		},
		"read": func(l *ledger.Ledger) error {
			_, err := l.Read(context.Background(), record())
			return err
		},
		"write":      func(l *ledger.Ledger) error { return l.Write(context.Background(), record(), ledger.Entry{}) },
		"write sent": func(l *ledger.Ledger) error { return l.WriteSent(context.Background(), record(), ledger.Entry{}) },
		"read JSON": func(l *ledger.Ledger) error {
			_, err := l.ReadJSON(context.Background(), "k", new(int))
			return err
		},
		"write JSON": func(l *ledger.Ledger) error { return l.WriteJSON(context.Background(), "k", 0, 1) },
	} {
		l := ledger.New(new(ledgertest.Bucket), "me", -time.Second) // its time is over before it begins
		if err := do(l); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got the error %v, want %v", name, err, context.DeadlineExceeded)
		}
	}
}

func TestJSON(t *testing.T) {
	b, me, _ := two()
	var v int
	revision, err := me.ReadJSON(t.Context(), "k", &v)
	if err != nil || revision != 0 {
		t.Errorf("an empty bucket: revision %d, error %v; want 0 and none", revision, err)
	}
	if err := me.WriteJSON(t.Context(), "k", 0, 5); err != nil {
		t.Fatal(err)
	}
	revision, err = me.ReadJSON(t.Context(), "k", &v)
	if err != nil || revision != 1 || v != 5 {
		t.Errorf("read %d, revision %d, error %v; want 5, 1 and none", v, revision, err)
	}
	for _, stale := range []uint64{0, 7} {
		if err := me.WriteJSON(t.Context(), "k", stale, 6); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("over the revision %d: got the error %v, want %v", stale, err, ledger.ErrLost)
		}
	}
	if err := me.WriteJSON(t.Context(), "k", 1, 6); err != nil {
		t.Errorf("over its revision: %v", err)
	}
	err = me.WriteJSON(t.Context(), "k", 2, make(chan int))
	contains(t, err, "write k to the ledger: json: ")
	b.Set("k", "no number")
	revision, err = me.ReadJSON(t.Context(), "k", &v)
	check.Equal(t, "revision of what can't be read", revision, 0)
	contains(t, err, "read k in the ledger: json: ")
	b.Before = func(ledgertest.Step, string) error { return errAway }
	if _, err := me.ReadJSON(t.Context(), "k", &v); !errors.Is(err, errAway) {
		t.Errorf("read without a server: %v", err)
	}
	if err := me.WriteJSON(t.Context(), "k", 1, 6); !errors.Is(err, errAway) || errors.Is(err, ledger.ErrLost) {
		t.Errorf("write without a server: %v", err)
	}
}

// TestMaxHistory: the oldest attempts are dropped first.
func TestMaxHistory(t *testing.T) {
	for n, first := range map[int]string{1: "0", 32: "0", 33: "1", 100: "68"} {
		b, me, _ := two()
		var history []messages.Attempt
		for i := range n {
			history = append(history, messages.Attempt{Code: fmt.Sprint(i)})
		}
		if err := me.Write(t.Context(), record(), ledger.Entry{State: ledger.Retrying, History: history}); err != nil {
			t.Fatal(err)
		}
		got := kept(t, b).History
		check.Equal(t, fmt.Sprintf("of %d attempts are kept", n), len(got), min(n, 32))
		check.Equal(t, fmt.Sprintf("the first that is kept of %d", n), got[0].Code, first)
		check.Equal(t, "the worker's own history", len(history), n)
	}
}

// TestEncodeFails: nothing is written, and the error says so.
func TestEncodeFails(t *testing.T) {
	b, me, _ := two()
	at := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON has no such year
	e := ledger.Entry{State: ledger.Claimed, History: []messages.Attempt{{At: at}}}
	_, claim := me.Claim(t.Context(), record(), e)
	for what, err := range map[string]error{
		"claim": claim, "write": me.Write(t.Context(), record(), e), "write sent": me.WriteSent(t.Context(), record(), e),
	} {
		if err == nil {
			t.Errorf("%s: got no error", what)
			continue
		}
		contains(t, err, "encode a ledger entry: ")
	}
	if _, revision := b.Value("k"); revision > 0 {
		t.Errorf("revision %d was written", revision)
	}
}

// TestDeletedByHand: a key with a delete marker counts as one that does not
// exist.
func TestDeletedByHand(t *testing.T) {
	b, me, _ := two()
	for what, write := range map[string]func() error{
		"write":      func() error { return me.Write(t.Context(), record(), ledger.Entry{State: ledger.Retrying}) },
		"write JSON": func() error { return me.WriteJSON(t.Context(), "k", 0, 1) },
		"claim": func() error {
			_, err := me.Claim(t.Context(), record(), ledger.Entry{State: ledger.Claimed})
			return err
		},
	} {
		b.Set("k", 0)
		b.Mark("k")
		if e, err := me.Read(t.Context(), record()); e != nil || err != nil {
			t.Errorf("%s: read before it: entry %v, error %v; want neither", what, e, err)
		}
		if err := write(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestProbe(t *testing.T) {
	b := new(ledgertest.Bucket)
	l := ledger.New(b, "me", time.Second)
	if err := l.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	b.Before = func(ledgertest.Step, string) error { return errors.New("no room") }
	if err := l.Probe(t.Context()); err == nil || err.Error() != "try to write the ledger: no room" {
		t.Errorf("without room: %v", err)
	}
}
