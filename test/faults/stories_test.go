package faults

import (
	"encoding/json"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestToldStories: received stories count if their stream was deleted since. Otherwise the
// stream has to have them.
func TestToldStories(t *testing.T) {
	story := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	heard := func(log *storyLog, stream string, v any) {
		if log.heard == nil {
			log.heard = make(map[string][][]byte)
		}
		log.heard[stream] = append(log.heard[stream], story(v))
	}
	var log storyLog
	heard(&log, wire.DeadName, messages.DeadLetter{ID: "before"})
	heard(&log, wire.OutcomesName, messages.Outcome{ID: "doubt", Status: messages.StatusUnknown})
	heard(&log, wire.OutcomesName, messages.Outcome{ID: "sent", Status: messages.StatusSent})
	if err := log.deleted(wire.DeadName); err != nil {
		t.Fatal(err)
	}
	heard(&log, wire.DeadName, messages.DeadLetter{ID: "after"})
	if got := log.gone; len(got.dead) != 1 || got.dead[0].ID != "before" || len(got.doubts) != 0 {
		t.Errorf("after the dead letters' deletion: %+v", got)
	}
	if got, err := log.rest(); err != nil || len(got.doubts) != 0 {
		t.Errorf("doubts that only the stream can show: %+v, %v", got.doubts, err)
	}
	if err := log.deleted(wire.OutcomesName); err != nil {
		t.Fatal(err)
	}
	heard(&log, wire.OutcomesName, messages.Outcome{ID: "log to nobody", Status: messages.StatusUnknown})
	got, err := log.rest()
	if err != nil || len(got.dead) != 1 || len(got.doubts) != 2 || got.doubts[0].ID != "doubt" || got.doubts[1].ID != "log to nobody" {
		t.Errorf("after the outcomes' deletion: %+v, %v", got, err)
	}
}

// TestWhatTellsOfADoubt: the outcome unknown does, and in another way the outcome sent whose
// detail says that it may arrive twice.
func TestWhatTellsOfADoubt(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct{ doubts, resent int }{
		`{"status":"unknown"}`: {doubts: 1},
		`{"status":"sent","detail":"it may arrive twice: connector a may have sent it before"}`: {resent: 1},
		`{"status":"sent"}`:                                    {},
		`{"status":"sent","detail":"other"}`:                   {},
		`{"status":"retrying","detail":"it may arrive twice"}`: {},
	} {
		var s stories
		if err := s.add(wire.OutcomesName, []byte(body)); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		check.Equal(t, body+": doubts", len(s.doubts), want.doubts)
		check.Equal(t, body+": sent again", len(s.resent), want.resent)
	}
}
