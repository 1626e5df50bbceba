package worker

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// TestEntryAndRecall: the next worker knows what this one knew.
func TestEntryAndRecall(t *testing.T) {
	d := fresh(t)
	d.past = past{
		suspects: []string{"a", "b"}, doubtFor: 3 * time.Second, doubtGrace: time.Minute, doubts: 2,
		history: attempts(2, sender.Unknown), first: ledger.Place{Sequence: 3, StoredAt: 4},
	}
	b, err := json.Marshal(d.entry(ledger.InDoubt))
	if err != nil {
		t.Fatal(err)
	}
	var e ledger.Entry
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "state", e.State, ledger.InDoubt)
	var got past
	got.recall(&e)
	if want := d.past; !reflect.DeepEqual(got, want) {
		t.Errorf("recall: got\n%+v, want\n%+v", got, want)
	}
	got.suspects[0] = "changed"
	same(t, "the entry's suspects", e.Suspects, []string{"a", "b"})
}

func TestLastAttempt(t *testing.T) {
	if got := new(past).lastAttempt(); got != nil {
		t.Errorf("without an attempt: got %+v, want nil", got)
	}
	p := past{history: []messages.Attempt{{Connector: "a"}, {Connector: "b"}}}
	check.Equal(t, "the last one", p.lastAttempt().Connector, "b")
}

func TestMayHaveBeenSent(t *testing.T) {
	for _, c := range []struct {
		past past
		want bool
	}{
		{past{}, false}, {past{inDoubt: true}, true}, {past{suspects: []string{"a"}}, true}, {past{history: attempts(3, sender.Unavailable), doubts: 2}, false},
	} {
		if got := c.past.mayHaveBeenSent(); got != c.want {
			t.Errorf("in doubt %v, suspects %v, %d doubts: mayHaveBeenSent is %v", c.past.inDoubt, c.past.suspects, c.past.doubts, got)
		}
	}
}

func TestExpired(t *testing.T) {
	o := opened{expiresAt: noon}
	for at, want := range map[time.Time]bool{noon.Add(-1): false, noon: true, noon.Add(1): true} {
		check.Equal(t, at.String(), o.expired(at), want)
	}
}
