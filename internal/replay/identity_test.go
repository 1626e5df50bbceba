package replay_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
)

// step is the history of a stored message whose id is "same".
type step struct {
	// subject is the part after codeferry.send.
	subject string
	// place is the message's sequence, and the minute in which it was stored; 60 is now.
	place int
	epoch int
	// status is dead for a message with a dead letter.
	status messages.Status
}

// TestOneIDForSeveralMessages: an id can be used again, and the history of one message says
// nothing about another with the same id. Older workers write outcomes without a sequence.
func TestOneIDForSeveralMessages(t *testing.T) {
	t.Parallel()
	const sms, dead, sent = "default.sms.SignIn.u1", messages.StatusDead, messages.StatusSent
	for _, c := range []struct {
		name  string
		known []step
		want  replay.Report
		// replayed are the places of the messages whose replays wait.
		replayed []int
	}{
		{"one, dead", []step{{sms, 1, 0, dead}}, replay.Report{replay.Replayed: 1}, []int{1}},
		{"one, dead and then sent after all", []step{{sms, 1, 0, dead}, {sms, 1, 0, sent}}, replay.Report{replay.Delivered: 1}, nil},
		{"one, in doubt and then delivered", []step{{sms, 1, 0, messages.StatusUnknown}, {sms, 1, 0, dead}, {sms, 1, 0, messages.StatusDelivered}}, replay.Report{replay.Delivered: 1}, nil},

		{"two apps, the other's sent", []step{{"shop.sms.SignIn.u1", 1, 0, sent}, {sms, 2, 0, dead}}, replay.Report{replay.Replayed: 1}, []int{2}},
		{"two apps, the other's sent later", []step{{sms, 1, 0, dead}, {"shop.sms.SignIn.u1", 2, 0, sent}}, replay.Report{replay.Replayed: 1}, []int{1}},
		{"two apps, both dead", []step{{sms, 1, 0, dead}, {"shop.sms.SignIn.u1", 2, 0, dead}}, replay.Report{replay.Replayed: 2}, []int{1, 2}},
		{"SMS and mail, the mail sent", []step{{sms, 1, 0, dead}, {"default.email.SignIn.u1", 2, 0, sent}}, replay.Report{replay.Replayed: 1}, []int{1}},
		{"SMS and mail, the mail's replay sent", []step{{sms, 1, 0, dead}, {"default.email.SignIn.u1", 2, 1, sent}}, replay.Report{replay.Replayed: 1}, []int{1}},
		{"SMS and mail, both dead", []step{{sms, 1, 0, dead}, {"default.email.SignIn.u1", 2, 0, dead}}, replay.Report{replay.Replayed: 2}, []int{1, 2}},

		{"a second code, the first sent", []step{{sms, 1, 0, sent}, {sms, 2, 0, dead}}, replay.Report{replay.Replayed: 1}, []int{2}},
		{"a second code, the first delivered late", []step{{sms, 1, 0, sent}, {sms, 2, 0, dead}, {sms, 1, 0, messages.StatusDelivered}}, replay.Report{replay.Replayed: 1}, []int{2}},
		{"a second code sent, the first dead", []step{{sms, 1, 0, dead}, {sms, 2, 0, sent}}, replay.Report{replay.Replaced: 1}, nil},
		{"a second code on its way, the first dead", []step{{sms, 1, 0, dead}, {sms, 2, 0, messages.StatusRetrying}}, replay.Report{replay.Replaced: 1}, nil},
		{"two codes, both dead", []step{{sms, 1, 0, dead}, {sms, 2, 0, dead}}, replay.Report{replay.Replaced: 1, replay.Replayed: 1}, []int{2}},
		{"two codes, the newer one's letter first", []step{{sms, 2, 0, dead}, {sms, 1, 0, dead}}, replay.Report{replay.Replaced: 1, replay.Replayed: 1}, []int{2}},
		{"two codes, the newer one replayed", []step{{sms, 1, 0, dead}, {sms, 2, 0, dead}, {sms, 3, 1, sent}}, replay.Report{replay.Replaced: 1, replay.AlreadyReplayed: 1}, nil},
		{"the first code sent, the second one's replay dead", []step{{sms, 1, 0, sent}, {sms, 2, 0, messages.StatusRetrying}, {sms, 3, 1, dead}}, replay.Report{replay.Replayed: 1}, []int{3}},
		{"the first code's replay sent, the second dead", []step{{sms, 1, 0, messages.StatusRetrying}, {sms, 2, 1, sent}, {sms, 3, 0, dead}}, replay.Report{replay.Replayed: 1}, []int{3}},

		{"a replay sent", []step{{sms, 1, 0, dead}, {sms, 2, 1, sent}}, replay.Report{replay.AlreadyReplayed: 1}, nil},
		{"a replay dead", []step{{sms, 1, 0, dead}, {sms, 2, 1, dead}}, replay.Report{replay.AlreadyReplayed: 1, replay.Replayed: 1}, []int{2}},
		{"a replay dead, its first life delivered late", []step{{sms, 2, 1, dead}, {sms, 1, 0, messages.StatusDelivered}}, replay.Report{replay.Delivered: 1}, nil},
		// Place 90 is half an hour from now: long after the outcomes were written.
		{"a replay dead long after its first life was delivered", []step{{sms, 1, 0, messages.StatusDelivered}, {sms, 90, 1, dead}}, replay.Report{replay.Delivered: 1}, nil},
		{"a replay sent, then a second code", []step{{sms, 1, 0, dead}, {sms, 2, 1, sent}, {sms, 3, 0, sent}}, replay.Report{replay.AlreadyReplayed: 1}, nil},
		{"a replay dead, then a second code sent", []step{{sms, 2, 1, dead}, {sms, 3, 0, sent}}, replay.Report{replay.Replaced: 1}, nil},
	} {
		for _, sequences := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sequences %t", c.name, sequences), func(t *testing.T) {
				r := newRig(t)
				letters := r.tell(c.known, sequences)
				if got := r.run(replay.Options{}); !maps.Equal(got, c.want) {
					t.Errorf("the report is %v, want %v", got, c.want)
				}
				var replayed, want []string
				for _, m := range r.waiting() {
					replayed = append(replayed, m.Subject+" "+m.Header.Get(jetstream.MsgIDHeader))
				}
				for _, s := range c.known {
					if s.status == dead && slices.Contains(c.replayed, s.place) {
						want = append(want, fmt.Sprintf("codeferry.send.%s same.%d.%d", s.subject, s.epoch+1, s.place))
					}
				}
				slices.Sort(replayed)
				slices.Sort(want)
				if !slices.Equal(replayed, want) {
					t.Errorf("the waiting messages are %q, want %q", replayed, want)
				}
				if left := letters - c.want[replay.Replayed] - c.want[replay.AlreadyReplayed]; r.left() != left {
					t.Errorf("%d letters are left, want %d", r.left(), left)
				}
			})
		}
	}
}

// tell stores the outcome of each step, and a dead letter for each dead one. It returns how
// many are dead.
func (r *rig) tell(steps []step, sequences bool) (letters int) {
	r.t.Helper()
	for _, s := range steps {
		tokens := strings.Split(s.subject, ".")
		o := messages.Outcome{
			ID: "same", App: tokens[0], Channel: messages.Channel(tokens[1]), Type: messages.Type(tokens[2]), Key: tokens[3],
			Epoch: s.epoch, Status: s.status, Sequence: uint64(s.place), StoredAt: r.now.Add(time.Duration(s.place-60) * time.Minute),
		}
		if s.status == messages.StatusDead {
			letters++
			r.store(r.letter(o.ID, o.Key, func(d *messages.DeadLetter) {
				d.App, d.Channel, d.Type, d.Subject = o.App, o.Channel, o.Type, "codeferry.send."+s.subject
				d.Epoch, d.Sequence, d.StoredAt = o.Epoch, o.Sequence, o.StoredAt
			}))
		}
		if !sequences {
			o.Sequence = 0
		}
		r.outcome(o)
	}
	return letters
}
