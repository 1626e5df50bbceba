package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// TestStoredEntries: entries that an older version has stored are still understood. If the
// format changes, add a file; never change these bytes, since a running system has them.
func TestStoredEntries(t *testing.T) {
	text, err := os.ReadFile("testdata/formats/entries.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	states := map[State]bool{Claimed: true, Retrying: true, InDoubt: true, Released: true, LostWorker: true, Panicked: true, Sent: true}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var stored struct {
			State State `json:"state"`
		}
		if err := json.Unmarshal(lines.Bytes(), &stored); err != nil {
			t.Fatal(err)
		}
		got, err := decode(lines.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", stored.State, err)
		}
		want := &Entry{
			State: stored.State, Delivery: 3, Consumer: 1763726400000000000, Place: Place{Sequence: 17, StoredAt: 1763726400000000001},
			Owner: "w1", Try: 2, Doubts: 1, DoubtFor: 30 * time.Second, DoubtGrace: 2 * time.Minute, Suspects: []string{"aliyun-sms"},
			History: []messages.Attempt{{Connector: "aliyun-sms", At: time.Date(2026, 11, 21, 12, 0, 1, 0, time.UTC), DurationMS: 42, Class: "unknown", Code: "time-out", Detail: "no answer", RequestID: "9B7C"}},
			Why:     WhyBreaker, Open: []string{"direct-mail"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v, want %+v", stored.State, got, want)
		}
		delete(states, stored.State)
	}
	if len(states) > 0 {
		t.Errorf("no entry of the states %v is stored", states)
	}
}

// TestNewerEntry: a worker understands what a newer one has stored: it ignores fields that it
// does not know, and takes an unknown state for the most careful one.
func TestNewerEntry(t *testing.T) {
	got, err := decode([]byte(`{"state":"paused","delivery":3,"sequence":17,"storedAt":5,"since":"2027"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Entry{State: LostWorker, Delivery: 3, Place: Place{Sequence: 17, StoredAt: 5}}); !reflect.DeepEqual(got, want) {
		t.Errorf("it is read as %+v, want %+v", got, want)
	}
}
