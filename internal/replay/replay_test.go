package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

var many = flag.Int("replay.letters", 2000, "how many dead letters the large tests replay")

// rig is a nats-server with default settings and codeferry's streams.
type rig struct {
	t   *testing.T
	nc  *nats.Conn
	js  jetstream.JetStream
	key wire.PrivateKey
	now time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, nil)
}

// newRigOn is newRig with a server of its own settings, and a login.
func newRigOn(t *testing.T, edit func(*server.Options), login ...nats.Option) *rig {
	t.Helper()
	s := natstest.Start(t, func(o *server.Options) {
		if edit != nil {
			edit(o)
		}
	})
	r := &rig{t: t, now: time.Now().UTC()}
	var err error
	if r.nc, err = nats.Connect(s.ClientURL(), login...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.nc.Close)
	if r.js, err = jetstream.New(r.nc, jetstream.WithPublishAsyncMaxPending(1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := broker.Provision(t.Context(), r.js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if r.key, err = wire.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	return r
}

// letter makes a dead letter that can be replayed; edit changes it.
func (r *rig) letter(id, key string, edit ...func(*messages.DeadLetter)) *messages.DeadLetter {
	r.t.Helper()
	expires := r.now.Add(10 * time.Minute)
	d := &messages.DeadLetter{
		ID: id, App: "default", Channel: messages.SMS, Type: messages.SignIn, Subject: "codeferry.send.default.sms.SignIn." + key,
		To: "+86130****5678", Reason: messages.ReasonUndeliverable, StoredAt: r.now.Add(-time.Minute), DeadAt: r.now, ExpiresAt: &expires,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	sealed, err := messages.NewSealer(r.key.Public()).Seal(d.Subject, &messages.SendCode{
		ID: id, To: "+8613012345678", Type: d.Type, Payload: messages.Payload{"code": "482913"}, ExpiresAt: expires,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	d.Message = sealed
	for _, f := range edit {
		f(d)
	}
	return d
}

func (r *rig) store(letters ...*messages.DeadLetter) {
	r.t.Helper()
	for _, d := range letters {
		body, err := json.Marshal(d)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.js.PublishAsync(wire.DeadSubject(d.App, d.Channel, d.Reason), body); err != nil {
			r.t.Fatal(err)
		}
	}
	<-r.js.PublishAsyncComplete()
}

func (r *rig) outcome(o messages.Outcome) {
	r.t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.js.Publish(r.t.Context(), wire.OutcomeSubject(o.App, o.Channel, o.Status), body); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) run(o replay.Options) replay.Report {
	r.t.Helper()
	report, err := replay.Run(r.t.Context(), r.nc, r.js, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// reports runs a replay, and checks its report and how many dead letters are left.
func (r *rig) reports(o replay.Options, want replay.Report, left int) {
	r.t.Helper()
	if got := r.run(o); !maps.Equal(got, want) {
		r.t.Fatalf("the report is %v, want %v", got, want)
	}
	if n := r.left(); n != left {
		r.t.Fatalf("%d dead letters are left, want %d", n, left)
	}
}

// waiting returns the messages of CODEFERRY by subject.
func (r *rig) waiting() map[string]*jetstream.RawStreamMsg {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), wire.StreamName)
	if err != nil {
		r.t.Fatal(err)
	}
	all := make(map[string]*jetstream.RawStreamMsg)
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq && seq > 0; seq++ {
		m, err := s.GetMsg(r.t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		all[m.Subject] = m
	}
	return all
}

func (r *rig) left() int {
	r.t.Helper()
	s, err := r.js.Stream(r.t.Context(), wire.DeadName)
	if err != nil {
		r.t.Fatal(err)
	}
	return int(s.CachedInfo().State.Msgs)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store(r.letter("one", "k1", func(d *messages.DeadLetter) { d.Epoch = 2 }))
	r.reports(replay.Options{DryRun: true}, replay.Report{replay.Replayed: 1}, 1)
	check.Equal(t, "the number of waiting messages after a dry run", len(r.waiting()), 0)
	r.reports(replay.Options{}, replay.Report{replay.Replayed: 1}, 0)
	m := r.waiting()["codeferry.send.default.sms.SignIn.k1"]
	if m == nil {
		t.Fatalf("the waiting messages are %v, want one for k1", r.waiting())
	}
	check.Equal(t, jetstream.MsgIDHeader, m.Header.Get(jetstream.MsgIDHeader), "one.3.0")
	check.Equal(t, wire.EpochHeader, m.Header.Get(wire.EpochHeader), "3")
	check.True(t, "traceparent is set", m.Header.Get("traceparent") != "", m.Header)
	code, err := wire.Decode(m.Data, messages.SMS)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "the id", code.ID, "one")
	if err := wire.NewOpener(r.key).Open(m.Subject, code); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "the address", code.To, "+8613012345678")
	check.Equal(t, "the code", code.Payload.Text("code"), "482913")
}

// TestRefusals: each has its reason, and the dead letter stays.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		edit func(*messages.DeadLetter)
		also func(*rig)
		opts replay.Options
		want replay.Decision
	}{
		{name: "nothing against it", want: replay.Replayed},
		{name: "expired", edit: func(d *messages.DeadLetter) { *d.ExpiresAt = time.Now().Add(-time.Second) }, want: replay.Expired},
		{name: "expired, and given new life", edit: func(d *messages.DeadLetter) { *d.ExpiresAt = time.Now().Add(-time.Second) }, opts: replay.Options{Extend: time.Minute}, want: replay.Replayed},
		{name: "expired, and its code is gone", edit: func(d *messages.DeadLetter) { d.Message, d.Dropped = nil, messages.DroppedExpired }, opts: replay.Options{Extend: time.Minute}, want: replay.NotKept},
		{name: "invalid", edit: func(d *messages.DeadLetter) { d.Message, d.Dropped = nil, messages.DroppedInvalid }, want: replay.Invalid},
		{name: "no key", edit: func(d *messages.DeadLetter) { d.Message, d.Dropped = nil, messages.DroppedNoKey }, want: replay.NotKept},
		{name: "no subject", edit: func(d *messages.DeadLetter) { d.Subject = "codeferry.send.default.sms.SignIn." + wire.HiddenKey }, want: replay.NoSubject},
		{name: "no subject at all", edit: func(d *messages.DeadLetter) { d.Subject = "" }, want: replay.NoSubject},
		{name: "in doubt", edit: func(d *messages.DeadLetter) { d.Reason = messages.ReasonDoubt }, want: replay.InDoubt},
		{name: "poison", edit: func(d *messages.DeadLetter) { d.Reason = messages.ReasonPoison }, want: replay.InDoubt},
		{name: "in doubt, on purpose", edit: func(d *messages.DeadLetter) { d.Reason = messages.ReasonDoubt }, opts: replay.Options{Doubt: true}, want: replay.Replayed},
		{name: "too big to be kept", edit: func(d *messages.DeadLetter) { d.Message, d.Dropped = nil, messages.DroppedTooBig }, want: replay.TooBig},
		{name: "too big to be kept, and expired", edit: func(d *messages.DeadLetter) {
			d.Message, d.Dropped = nil, messages.DroppedTooBig
			*d.ExpiresAt = time.Now().Add(-time.Second)
		}, opts: replay.Options{Extend: time.Minute}, want: replay.TooBig},
		{name: "a newer code waits", also: func(r *rig) {
			if _, err := r.js.Publish(r.t.Context(), "codeferry.send.default.sms.SignIn.k", []byte(`{"id":"newer"}`)); err != nil {
				r.t.Fatal(err)
			}
		}, want: replay.Replaced},
		{name: "a newer code was sent", also: func(r *rig) {
			r.outcome(messages.Outcome{ID: "newer", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "k", Status: messages.StatusSent, StoredAt: r.now})
		}, want: replay.Replaced},
		{name: "a newer code is dead too", also: func(r *rig) {
			r.store(r.letter("newer", "k", func(d *messages.DeadLetter) { d.StoredAt, d.Reason = r.now, messages.ReasonDoubt }))
		}, want: replay.Replaced},
		{name: "an older code was sent", also: func(r *rig) {
			r.outcome(messages.Outcome{ID: "older", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "k", Status: messages.StatusSent, StoredAt: r.now.Add(-2 * time.Minute)})
		}, want: replay.Replayed},
		{name: "a newer code for another", also: func(r *rig) {
			for _, o := range []messages.Outcome{
				{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "other"},
				{App: "default", Channel: messages.SMS, Type: messages.Register, Key: "k"},
				{App: "other", Channel: messages.SMS, Type: messages.SignIn, Key: "k"},
			} {
				o.ID, o.Status, o.StoredAt = "newer", messages.StatusSent, r.now
				r.outcome(o)
			}
		}, want: replay.Replayed},
		{name: "sent after all", also: func(r *rig) {
			r.outcome(messages.Outcome{ID: "id", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "k", Status: messages.StatusDelivered, StoredAt: r.now.Add(-time.Minute)})
		}, want: replay.Delivered},
		{name: "replayed, and on its way", also: func(r *rig) {
			r.outcome(messages.Outcome{ID: "id", Epoch: 1, App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "k", Status: messages.StatusRetrying, StoredAt: r.now})
		}, want: replay.AlreadyReplayed},
		{name: "replayed, and dead again", also: func(r *rig) {
			r.store(r.letter("id", "k", func(d *messages.DeadLetter) { d.Epoch, d.StoredAt, d.Reason = 1, r.now, messages.ReasonRejected }))
		}, want: replay.AlreadyReplayed},
		{name: "replayed, and waiting", also: func(r *rig) {
			msg := nats.NewMsg("codeferry.send.default.sms.SignIn.k")
			msg.Header.Set(jetstream.MsgIDHeader, "id.1.0")
			if _, err := r.js.PublishMsg(r.t.Context(), msg); err != nil {
				r.t.Fatal(err)
			}
		}, want: replay.AlreadyReplayed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			d := r.letter("id", "k")
			if c.edit != nil {
				c.edit(d)
			}
			r.store(d)
			before := 1
			if c.also != nil {
				c.also(r)
				before = r.left()
			}
			c.opts.Filter = archive.Filter{Reason: d.Reason}
			if got := r.run(c.opts); !maps.Equal(got, replay.Report{c.want: 1}) {
				t.Fatalf("the report is %v, want 1 %s", got, c.want)
			}
			gone := c.want == replay.Replayed || c.want == replay.AlreadyReplayed
			if left := r.left(); before-left != map[bool]int{true: 1, false: 0}[gone] {
				t.Errorf("of %d dead letters %d are left", before, left)
			}
			if c.opts.Extend > 0 && c.want == replay.Replayed {
				code, err := wire.Decode(r.waiting()[d.Subject].Data, messages.SMS)
				if left := time.Until(code.ExpiresAt); err != nil || left < 50*time.Second || left > time.Minute {
					t.Errorf("the code is valid for %v: %v", left, err)
				}
			}
		})
	}
}

func TestReissue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store(r.letter("old", "k", func(d *messages.DeadLetter) {
		d.Message, d.Dropped, d.Reason = nil, messages.DroppedExpired, messages.ReasonExpired
	}))
	r.reports(replay.Options{Reissue: true}, replay.Report{replay.NobodyListens: 1}, 1)
	asked := make(chan messages.Reissue, 2)
	refuse := true
	sub, err := messages.OnReissue(t.Context(), r.nc, "default", "auth", func(_ context.Context, q messages.Reissue) error {
		asked <- q
		if refuse {
			refuse = false
			return errors.New("482913 is still good\nfor this user")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var reason string
	r.reports(replay.Options{Reissue: true, Each: func(_ archive.Letter, _ replay.Decision, s string) { reason = s }}, replay.Report{replay.Refused: 1}, 1)
	check.Equal(t, "the service's reason", reason, "[hidden] is still good for this user")
	<-asked
	r.reports(replay.Options{Reissue: true}, replay.Report{replay.Reissued: 1}, 0)
	q := <-asked
	check.Equal(t, "the request's id", q.ID, "old")
	check.Equal(t, "the request's key", q.Key, "k")
	check.Equal(t, "the request's type", q.Type, messages.SignIn)
	check.Equal(t, "the request's address", q.To, "+86130****5678")
}

// TestInterrupted stops a replay again and again, also between storing a message and deleting
// its dead letter, and continues it: every message is stored once.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := *many
	for i := range n {
		r.store1(r.letter(fmt.Sprintf("id-%d", i), fmt.Sprintf("k-%d", i)))
	}
	<-r.js.PublishAsyncComplete()
	// As after a crash: the message is stored, and its dead letter is still there.
	for i := range n / 10 {
		msg := nats.NewMsg(fmt.Sprintf("codeferry.send.default.sms.SignIn.k-%d", 7*i%n))
		msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("id-%d.1.0", 7*i%n))
		msg.Data = []byte("{}")
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	total, runs := 0, 0
	for stopAt := n / 7; ; runs++ {
		ctx, cancel := context.WithCancel(t.Context())
		report, err := replay.Run(ctx, r.nc, r.js, replay.Options{Progress: func(done, _ int) {
			if done == stopAt {
				cancel()
			}
		}})
		cancel()
		total += report[replay.Replayed] + report[replay.AlreadyReplayed]
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	took := time.Since(began)
	s, err := r.js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if state := s.CachedInfo().State; state.Msgs != uint64(n) || state.LastSeq != uint64(n) || total != n || r.left() != 0 {
		t.Errorf("%d stored, %d in all, %d replayed, %d letters left; want %d, each once", state.Msgs, state.LastSeq, total, r.left(), n)
	}
	t.Logf("%d letters in %d runs, %.0f a second", n, runs+1, float64(n)/took.Seconds())
}

// store1 stores one of many dead letters.
func (r *rig) store1(d *messages.DeadLetter) {
	r.t.Helper()
	body, err := json.Marshal(d)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.js.PublishAsync(wire.DeadSubject(d.App, d.Channel, d.Reason), body); err != nil {
		r.t.Fatal(err)
	}
}
