package replay_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
)

// TestIDsUsedAgain: an id says nothing of another message, whoever uses it again.
func TestIDsUsedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		also func(*rig)
		want replay.Report
	}{
		"two letters": {func(r *rig) {
			r.store(r.letter("same", "k2", func(d *messages.DeadLetter) { d.Sequence = 9 }))
		}, replay.Report{replay.Replayed: 2}},
		"an outcome of another app": {func(r *rig) {
			r.outcome(messages.Outcome{ID: "same", Epoch: 7, App: "other", Channel: messages.Email, Type: messages.Register, Key: "x", Status: messages.StatusSent, StoredAt: r.now})
		}, replay.Report{replay.Replayed: 1}},
		"the replay's own id on another message": {func(r *rig) {
			if _, err := r.js.Publish(r.t.Context(), "codeferry.send.default.sms.SignIn.other", []byte("{}"), jetstream.WithMsgID("same.1.0")); err != nil {
				r.t.Fatal(err)
			}
		}, replay.Report{replay.Blocked: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.store(r.letter("same", "k1"))
			c.also(r)
			letters := r.left()
			if got := r.run(replay.Options{}); !maps.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			stored := 0
			for subject := range r.waiting() {
				if strings.Contains(subject, "SignIn.k") {
					stored++
				}
			}
			if stored+r.left() != letters {
				t.Errorf("of %d letters %d are left, and %d messages are stored", letters, r.left(), stored)
			}
		})
	}
}

// TestTooBig: a letter that the stream does not take stays, and stops no other.
func TestTooBig(t *testing.T) {
	r := newRig(t)
	big := r.letter("big", "k1")
	sealed, err := messages.NewSealer(r.key.Public()).Seal(big.Subject, &messages.SendCode{
		ID: "big", To: "+8613012345678", Type: big.Type, Payload: messages.Payload{"x": strings.Repeat("x", 20_000)},
	})
	if err != nil {
		t.Fatal(err)
	}
	big.Message = sealed
	r.store(big, r.letter("small", "k2"))
	if got := r.run(replay.Options{}); !maps.Equal(got, replay.Report{replay.TooBig: 1, replay.Replayed: 1}) || r.left() != 1 {
		t.Errorf("%v, %d left", got, r.left())
	}
}

// TestWhatIsNoLetter is left alone, and stops nothing.
func TestWhatIsNoLetter(t *testing.T) {
	r := newRig(t)
	if _, err := r.js.Publish(t.Context(), messages.DeadSubject("default", messages.SMS, messages.ReasonInvalid), []byte("x")); err != nil {
		t.Fatal(err)
	}
	r.store(r.letter("id", "k"))
	if got := r.run(replay.Options{}); !maps.Equal(got, replay.Report{replay.NoSubject: 1, replay.Replayed: 1}) {
		t.Errorf("%v", got)
	}
}

// TestOutcomesThatHaveGone: what was sent before the oldest outcome is not known.
func TestOutcomesThatHaveGone(t *testing.T) {
	r := newRig(t)
	r.store(r.letter("id", "k", func(d *messages.DeadLetter) { d.StoredAt = r.now.Add(-time.Hour) }))
	for range 2 {
		r.outcome(messages.Outcome{ID: "x", App: "default", Channel: messages.SMS, Status: messages.StatusSent, StoredAt: r.now})
	}
	s, err := r.js.Stream(t.Context(), messages.OutcomesName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(2)); err != nil {
		t.Fatal(err)
	}
	if got := r.run(replay.Options{}); !maps.Equal(got, replay.Report{replay.InDoubt: 1}) {
		t.Errorf("%v", got)
	}
	if got := r.run(replay.Options{Doubt: true}); !maps.Equal(got, replay.Report{replay.Replayed: 1}) {
		t.Errorf("%v", got)
	}
}
