package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// TestWrite: an entry is written only over the one that this worker knows.
func TestWrite(t *testing.T) {
	for name, c := range map[string]struct {
		// there is the entry before the write. read is true if this worker has read it,
		// later if another worker has written since.
		there       *ledger.Entry
		read, later bool
		// moved is true if the other worker has written about an equal publish.
		moved bool
		want  error
	}{
		"the first":                          {},
		"over what it has read":              {there: &ledger.Entry{State: ledger.Claimed, Place: place}, read: true},
		"another has written since":          {there: &ledger.Entry{State: ledger.Claimed, Place: place}, read: true, later: true, want: ledger.ErrLost},
		"an equal publish was stored since":  {there: &ledger.Entry{State: ledger.Claimed, Place: place}, read: true, later: true, moved: true, want: ledger.ErrLost},
		"it was not read":                    {there: &ledger.Entry{State: ledger.Claimed, Place: place}, want: ledger.ErrLost},
		"left from an earlier equal publish": {there: &ledger.Entry{State: ledger.Sent, Place: other}},
		"an equal publish was stored later":  {there: &ledger.Entry{State: ledger.Sent, Place: ledger.Place{Sequence: 9, StoredAt: 90}}, want: ledger.ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			b, me, _ := two()
			r := record()
			if c.there != nil {
				c.there.Owner = "another"
				revision := b.Set("k", c.there)
				if c.read {
					r.Revision = revision
				}
			}
			if c.later {
				if c.moved {
					c.there.Place = ledger.Place{Sequence: 9, StoredAt: 90}
				}
				b.Set("k", c.there)
			}
			known := r.Revision
			err := me.Write(t.Context(), r, ledger.Entry{State: ledger.Retrying, Doubts: 1})
			e := kept(t, b)
			if !errors.Is(err, c.want) {
				t.Fatalf("got the error %v, want %v", err, c.want)
			}
			if c.want != nil {
				contains(t, err, "write retrying to the ledger: another worker has taken the message over")
				check.Equal(t, "owner", e.Owner, "another")
				check.Equal(t, "the revision that this worker knows", r.Revision, known)
				return
			}
			check.Equal(t, "state", e.State, ledger.Retrying)
			check.Equal(t, "owner", e.Owner, "me")
			check.Equal(t, "place", e.Place, place)
			check.Equal(t, "delivery", e.Delivery, 2)
			check.Equal(t, "doubts", e.Doubts, 1)
			if _, revision := b.Value("k"); r.Revision != revision {
				t.Errorf("the record has revision %d, the entry has %d", r.Revision, revision)
			}
			if err := me.Write(t.Context(), r, ledger.Entry{State: ledger.InDoubt}); err != nil {
				t.Errorf("a second write: got the error %v", err)
			}
		})
	}
}

func contains(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("the error %v does not say %q", err, part)
	}
}

// TestWriteKeepsThePlaceOfTheFirst: an entry that names a place keeps it.
func TestWriteKeepsThePlaceOfTheFirst(t *testing.T) {
	b, me, _ := two()
	b.Set("k", ledger.Entry{State: ledger.Claimed, Place: other})
	r := record()
	if err := me.Write(t.Context(), r, ledger.Entry{State: ledger.Retrying, Place: other}); !errors.Is(err, ledger.ErrLost) {
		t.Errorf("over an entry of that place that was not read: %v, want %v", err, ledger.ErrLost)
	}
	r.Revision = 1
	if err := me.Write(t.Context(), r, ledger.Entry{State: ledger.Retrying, Place: other}); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "place", kept(t, b).Place, other)
}

// TestWriteWithoutTheServer: an error does not count as another worker's entry.
func TestWriteWithoutTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		step  ledgertest.Step
		nth   int
		there bool
		say   string
	}{
		"writing":                    {ledgertest.Create, 1, false, "write retrying to the ledger: the server is away"},
		"reading what is there":      {ledgertest.Get, 1, true, "read the ledger: the server is away"},
		"writing over what was left": {ledgertest.Update, 1, true, "write retrying to the ledger: the server is away"},
	} {
		b, me, _ := two()
		if c.there {
			b.Set("k", ledger.Entry{State: ledger.Sent, Place: other, Owner: "another"})
		}
		b.Before = failing(c.step, c.nth)
		err := me.Write(t.Context(), record(), ledger.Entry{State: ledger.Retrying})
		if !errors.Is(err, errAway) || errors.Is(err, ledger.ErrLost) {
			t.Errorf("%s: got the error %v, want %v alone", name, err, errAway)
		}
		contains(t, err, c.say)
	}
}

// TestWriteRaces: another worker that writes between two steps wins.
func TestWriteRaces(t *testing.T) {
	b, me, _ := two()
	b.Set("k", ledger.Entry{State: ledger.Sent, Place: other})
	updates := 0
	b.Before = func(s ledgertest.Step, _ string) error {
		if s == ledgertest.Update {
			if updates++; updates == 1 {
				b.Set("k", ledger.Entry{State: ledger.Claimed, Place: place, Owner: "another"})
			}
		}
		return nil
	}
	err := me.Write(t.Context(), record(), ledger.Entry{State: ledger.Retrying})
	if !errors.Is(err, ledger.ErrLost) {
		t.Errorf("got the error %v, want %v", err, ledger.ErrLost)
	}
	check.Equal(t, "owner", kept(t, b).Owner, "another")
}

// TestWriteOfADeletedEntry: if an entry does not exist any more, another worker has deleted
// it.
func TestWriteOfADeletedEntry(t *testing.T) {
	for _, known := range []uint64{0, 1} {
		b, me, _ := two()
		b.Set("k", ledger.Entry{State: ledger.Claimed, Place: place})
		b.Before = func(s ledgertest.Step, _ string) error {
			if s == ledgertest.Get {
				b.Delete("k")
			}
			return nil
		}
		r := record()
		if r.Revision = known; known > 0 {
			b.Delete("k")
		}
		if err := me.Write(t.Context(), r, ledger.Entry{State: ledger.Retrying}); !errors.Is(err, ledger.ErrLost) {
			t.Errorf("revision %d: got the error %v, want %v", known, err, ledger.ErrLost)
		}
		check.Equal(t, "the revision that this worker knows", r.Revision, known)
	}
}

// TestWriteSent: it overwrites any entry.
func TestWriteSent(t *testing.T) {
	b, me, _ := two()
	b.Set("k", ledger.Entry{State: ledger.Claimed, Place: place, Owner: "another", Delivery: 9})
	r := record()
	if err := me.WriteSent(t.Context(), r, ledger.Entry{Doubts: 1}); err != nil {
		t.Fatal(err)
	}
	e := kept(t, b)
	check.Equal(t, "state", e.State, ledger.Sent)
	check.Equal(t, "owner", e.Owner, "me")
	check.Equal(t, "delivery", e.Delivery, 2)
	check.Equal(t, "place", e.Place, place)
	check.Equal(t, "doubts", e.Doubts, 1)
	check.Equal(t, "revision", r.Revision, 2)
	b.Before = failing(ledgertest.Put, 1)
	err := me.WriteSent(t.Context(), r, ledger.Entry{})
	if !errors.Is(err, errAway) {
		t.Errorf("without a server: %v", err)
	}
	contains(t, err, "write sent to the ledger: ")
	check.Equal(t, "the revision that is there still", r.Revision, 2)
}

// TestWriteOverAnotherPublish: the entry is that of another publish with the same key. A
// newer publish supersedes an older one, and the older one writes nothing there.
func TestWriteOverAnotherPublish(t *testing.T) {
	for name, c := range map[string]struct {
		left ledger.Place
		want string
	}{
		"a newer one":               {ledger.Place{Sequence: 9, StoredAt: 101}, "other"},
		"an older one":              {ledger.Place{Sequence: 5, StoredAt: 99}, "me"},
		"one of the same time":      {ledger.Place{Sequence: 5, StoredAt: 100}, "me"},
		"the message of the worker": {ledger.Place{Sequence: 7, StoredAt: 100}, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			l := ledger.New(b, "me", time.Second)
			b.Set("key", ledger.Entry{State: ledger.Claimed, Owner: "other", Place: c.left})
			r := &ledger.Record{Key: "key", Place: ledger.Place{Sequence: 7, StoredAt: 100}, Delivery: 1}
			err := l.Write(t.Context(), r, ledger.Entry{State: ledger.Retrying})
			if lost := errors.Is(err, ledger.ErrLost); lost != (c.want == "other") || err != nil && !lost {
				t.Errorf("the write: got the error %v", err)
			}
			e, err := l.Read(t.Context(), r)
			if err != nil || e.Owner != c.want {
				t.Errorf("the entry is %+v, %v; want one of %s", e, err, c.want)
			}
		})
	}
}
