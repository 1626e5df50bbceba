package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// reaping is a reaper of a stream with the messages 3, 5 and 9. The consumer has settled 3
// and 5; 9 waits. Their codes expire after ten minutes.
type reaping struct {
	*reaper
	js *fakeJetStream
	mu sync.Mutex
	// reaped are the sequences of the messages that settle received.
	reaped []uint64
	what   []*delivery
	why    []verdict
	fail   error
}

func newReaping() *reaping {
	r := &reaping{js: &fakeJetStream{
		stream: new(fakeStream),
		consumer: &fakeConsumer{info: jetstream.ConsumerInfo{
			AckFloor: jetstream.SequenceInfo{Stream: 5}, Config: jetstream.ConsumerConfig{FilterSubject: "codeferry.send.*.sms.>"},
		}},
	}}
	for _, sequence := range []uint64{3, 5, 9} {
		r.js.stream.messages = append(r.js.stream.messages, &jetstream.RawStreamMsg{
			Subject: smsSubject, Header: nats.Header{wire.EpochHeader: {"2"}}, Data: []byte(smsBody), Sequence: sequence, Time: time.Now(),
		})
	}
	r.reaper = &reaper{
		channel: messages.SMS, js: r.js, stream: r.js.stream, now: time.Now, log: zerolog.Nop(),
		open: openStage{channel: messages.SMS, apps: map[string]config.App{"default": {CodeTTL: 10 * time.Minute}}},
		reap: func(_ context.Context, d *delivery, v verdict) error {
			if r.fail != nil {
				return r.fail
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reaped, r.what, r.why = append(r.reaped, d.place.Sequence), append(r.what, d), append(r.why, v)
			all := r.js.stream.messages[:0]
			for _, m := range r.js.stream.messages {
				if m.Sequence != d.place.Sequence {
					all = append(all, m)
				}
			}
			r.js.stream.messages = all
			return nil
		},
	}
	return r
}

// soFar returns what settle received; it can be called while the reaper runs.
func (r *reaping) soFar() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.reaped)
}

func (r *reaping) looks(t *testing.T) {
	t.Helper()
	if err := r.look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReaperFindsOrphans: an orphan is settled, still in the stream at the second scan,
// and expired.
func TestReaperFindsOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaping()
		after(20 * time.Minute)
		r.looks(t)
		same(t, "reaped at the first look", r.reaped, nil) // they may be on their way out of the stream
		after(reapEvery)
		r.looks(t)
		same(t, "reaped at the second", r.reaped, []uint64{3, 5})
		for i, v := range r.why {
			check.Equal(t, "action", v.action, actDead)
			check.Equal(t, "reason", v.reason, messages.ReasonDoubt)
			contains(t, "detail", v.detail, "the server lost track of it")
			check.Equal(t, "id", r.what[i].id, "id-1")
			check.Equal(t, "app", r.what[i].subject.App, "default")
			check.Equal(t, "epoch", r.what[i].epoch, 2)
			check.Equal(t, "in doubt", r.what[i].inDoubt, true)
			check.Equal(t, "deliveries", r.what[i].msg.Delivered, 1)
		}
		after(reapEvery)
		r.looks(t)
		same(t, "reaped in all", r.reaped, []uint64{3, 5})
	})
}

// TestReaperWaitsForTheExpiry: until then a newer code can still supersede it.
func TestReaperWaitsForTheExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaping()
		r.looks(t)
		after(10*time.Minute - 1)
		r.looks(t)
		same(t, "reaped before it", r.reaped, nil)
		after(1)
		r.looks(t)
		same(t, "reaped after it", r.reaped, []uint64{3, 5})
	})
}

// TestReaperForgetsWhatHasGone: a message that was acked just before a scan is not an
// orphan, nor is another message of a stream that was made again.
func TestReaperForgetsWhatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaping()
		after(20 * time.Minute)
		r.looks(t)
		gone := r.js.stream.messages[0]
		r.js.stream.messages = r.js.stream.messages[1:]
		r.looks(t)
		same(t, "reaped", r.reaped, []uint64{5})
		r.js.stream.messages = append([]*jetstream.RawStreamMsg{gone}, r.js.stream.messages...)
		r.looks(t)
		same(t, "reaped, after one was there again at one look", r.reaped, []uint64{5})
	})
}

// TestReaperGoesOnAfterAnError: an orphan that could not be settled is found again.
func TestReaperGoesOnAfterAnError(t *testing.T) {
	away := errors.New("away")
	for name, spoil := range map[string]func(r *reaping, err error){
		"no dead letter": func(r *reaping, err error) { r.fail = err },
		"no stream":      func(r *reaping, err error) { r.js.stream.fail = err },
		"no consumer":    func(r *reaping, err error) { r.js.fail = err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReaping()
				after(20 * time.Minute)
				r.looks(t)
				spoil(r, away)
				if err := r.look(t.Context()); !errors.Is(err, away) {
					t.Errorf("got the error %v, want %v", err, away)
				}
				same(t, "reaped", r.reaped, nil)
				spoil(r, nil)
				r.looks(t)
				r.looks(t)
				same(t, "reaped in the end", r.reaped, []uint64{3, 5})
			})
		})
	}
}

// TestReaperRuns: it scans at its interval until the worker stops.
func TestReaperRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaping()
		after(20 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			r.run(ctx)
			close(ended)
		}()
		synctest.Wait()
		same(t, "reaped at once", r.soFar(), nil)
		after(reapEvery)
		synctest.Wait()
		same(t, "reaped at the second look", r.soFar(), []uint64{3, 5})
		cancel()
		<-ended
	})
}

// TestReaperOfAStreamThatIsWorkedOff: an empty stream is not an error.
func TestReaperOfAStreamThatIsWorkedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaping()
		r.js.consumer.info.AckFloor.Stream = 9
		r.looks(t) // nothing comes after the last
		r.js.stream.messages = nil
		r.looks(t)
		same(t, "reaped", r.reaped, nil)
	})
}
