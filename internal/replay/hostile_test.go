package replay_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestIDsUsedAgain: an id that is used again says nothing about another message.
func TestIDsUsedAgain(t *testing.T) {
	t.Parallel()
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
			t.Parallel()
			r := newRig(t)
			r.store(r.letter("same", "k1"))
			c.also(r)
			letters := r.left()
			if got := r.run(replay.Options{}); !maps.Equal(got, c.want) {
				t.Errorf("the report is %v, want %v", got, c.want)
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

// TestTooBig: a dead letter that is too big for the stream stays, and does not stop others.
func TestTooBig(t *testing.T) {
	t.Parallel()
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
	r.reports(replay.Options{}, replay.Report{replay.TooBig: 1, replay.Replayed: 1}, 1)
}

// TestWhatIsNoLetter: something else among the dead letters stays, and does not stop others.
func TestWhatIsNoLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.js.Publish(t.Context(), wire.DeadSubject("default", messages.SMS, messages.ReasonInvalid), []byte("x")); err != nil {
		t.Fatal(err)
	}
	r.store(r.letter("id", "k"))
	if got, want := r.run(replay.Options{}), (replay.Report{replay.NoSubject: 1, replay.Replayed: 1}); !maps.Equal(got, want) {
		t.Errorf("the report is %v, want %v", got, want)
	}
}

// TestOutcomesThatHaveGone: it is not known which messages were sent before the oldest outcome.
func TestOutcomesThatHaveGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store(r.letter("id", "k", func(d *messages.DeadLetter) { d.StoredAt = r.now.Add(-time.Hour) }))
	for range 2 {
		r.outcome(messages.Outcome{ID: "x", App: "default", Channel: messages.SMS, Status: messages.StatusSent, StoredAt: r.now})
	}
	s, err := r.js.Stream(t.Context(), wire.OutcomesName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(2)); err != nil {
		t.Fatal(err)
	}
	if got, want := r.run(replay.Options{}), (replay.Report{replay.InDoubt: 1}); !maps.Equal(got, want) {
		t.Errorf("the report is %v, want %v", got, want)
	}
	if got, want := r.run(replay.Options{Doubt: true}), (replay.Report{replay.Replayed: 1}); !maps.Equal(got, want) {
		t.Errorf("with Doubt the report is %v, want %v", got, want)
	}
}
