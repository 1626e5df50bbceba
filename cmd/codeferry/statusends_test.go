package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/waiting"
)

// TestSupersededBy: a message counts as superseded if a newer one is known and it was never in
// doubt. The text does not say more than what is known.
func TestSupersededBy(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		doubt, earlier bool
		stored         map[uint64]int
		by             uint64
		at             int
	}{
		"no other":                               {},
		"an older one":                           {stored: map[uint64]int{16: -5}},
		"a newer one":                            {stored: map[uint64]int{18: 9}, by: 18, at: 9},
		"while the attempt before was made":      {stored: map[uint64]int{18: 3}, by: 18, at: 5},
		"two newer ones":                         {stored: map[uint64]int{18: 8, 19: 20}, by: 18, at: 8},
		"in doubt: it may have been sent":        {doubt: true, stored: map[uint64]int{18: 9}},
		"a lower sequence of a stream made anew": {stored: map[uint64]int{2: 9}},
		"the stream was deleted with it":         {earlier: true, stored: map[uint64]int{18: 9}},
	} {
		l := lostMessage{
			last:  messages.Outcome{ID: "login-1", Status: messages.StatusRetrying, Sequence: 17, StoredAt: at(0), At: at(5)},
			doubt: c.doubt, earlier: c.earlier,
		}
		stored := []archive.Stored{placeOf(&l.last)}
		for sequence, second := range c.stored {
			stored = append(stored, archive.Stored{Sequence: sequence, At: at(second)})
		}
		end, ok := supersededBy(l, stored)
		if ok != (c.by > 0) {
			t.Errorf("%s: superseded is %t", name, ok)
			continue
		}
		if ok && (end.Status != messages.StatusSuperseded || end.Detail != supersededText(c.by) || !end.At.Equal(at(c.at)) || end.Sequence != 17) {
			t.Errorf("%s: %+v", name, end)
		}
	}
}

func supersededText(by uint64) string {
	return fmt.Sprintf("a newer code superseded it, message %d at the latest; it was not sent, as far as its outcomes say", by)
}

// TestLostMessages: any outcome that ends a message does so, whatever the clocks of the workers
// say and whatever comes after it. A doubt is not forgotten.
func TestLostMessages(t *testing.T) {
	t.Parallel()
	step := func(s messages.Status, second int) messages.Outcome {
		return messages.Outcome{Status: s, Sequence: 17, StoredAt: noon, At: noon.Add(time.Duration(second) * time.Second)}
	}
	old := step(messages.StatusRetrying, 1)
	old.Sequence = 0
	for name, c := range map[string]struct {
		outcomes []messages.Outcome
		waits    bool
		want     string
	}{
		"it was tried":              {outcomes: []messages.Outcome{step(messages.StatusRetrying, 1), step(messages.StatusRetrying, 2)}, want: "retrying at 2"},
		"a slow clock":              {outcomes: []messages.Outcome{step(messages.StatusRetrying, 5), step(messages.StatusRetrying, 2)}, want: "retrying at 2"},
		"in doubt":                  {outcomes: []messages.Outcome{step(messages.StatusUnknown, 1)}, want: "unknown at 1, in doubt"},
		"in doubt before":           {outcomes: []messages.Outcome{step(messages.StatusUnknown, 1), step(messages.StatusRetrying, 2)}, want: "retrying at 2, in doubt"},
		"sent":                      {outcomes: []messages.Outcome{step(messages.StatusRetrying, 1), step(messages.StatusSent, 2)}},
		"sent, by a slow clock":     {outcomes: []messages.Outcome{step(messages.StatusRetrying, 5), step(messages.StatusSent, 2)}},
		"sent and delivered":        {outcomes: []messages.Outcome{step(messages.StatusRetrying, 1), step(messages.StatusSent, 2), step(messages.StatusDelivered, 3)}},
		"only the receipt is known": {outcomes: []messages.Outcome{step(messages.StatusRetrying, 1), step(messages.StatusUndelivered, 3)}},
		"sent, then tried again":    {outcomes: []messages.Outcome{step(messages.StatusSent, 1), step(messages.StatusRetrying, 2)}},
		"dead":                      {outcomes: []messages.Outcome{step(messages.StatusDead, 9), step(messages.StatusRetrying, 2)}},
		"it waits":                  {outcomes: []messages.Outcome{step(messages.StatusRetrying, 1)}, waits: true},
		"an old worker's":           {outcomes: []messages.Outcome{old}},
	} {
		var waits []waiting.Message
		if c.waits {
			waits = []waiting.Message{{Sequence: 17, StoredAt: noon}}
		}
		got := ""
		for _, l := range lostMessages(c.outcomes, waits) {
			got += fmt.Sprintf("%s at %.0f", l.last.Status, l.last.At.Sub(noon).Seconds())
			if l.doubt {
				got += ", in doubt"
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestStatusOfASupersededMessage: the story of a message that a newer one has superseded while
// it waited for its next attempt ends with that. Of a message that is gone for another reason
// it is said that this is not known.
func TestStatusOfASupersededMessage(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	js := natstest.Provision(t, server.Connect(t), wire.StreamOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	send := func(key, id string) messages.Outcome {
		subject := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: key}
		o := messages.Outcome{ID: id, App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: key, To: "+86130****5678", Connector: "aliyun-sms", Attempt: 1}
		return sent(ctx, t, js, subject, `{"id":"`+id+`","to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}`, o)
	}
	tell := func(o messages.Outcome, s messages.Status, retryIn time.Duration) {
		o.Status = s
		if retryIn > 0 {
			at := o.At.Add(retryIn)
			o.RetryAt, o.Class, o.Code = &at, "throttled", "E-1"
		}
		body, err := json.Marshal(o)
		if err == nil {
			_, err = js.Publish(ctx, wire.OutcomeSubject(o.App, o.Channel, s), body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	status := func(args ...string) (out, errs string) {
		var o, e bytes.Buffer
		if code := execute(ctx, append([]string{"status", "--nats", "nats://" + server.Addr().String()}, args...), streams{out: &o, err: &e}); code != 0 {
			t.Fatalf("status %v: exit status %d: %s", args, code, e.String())
		}
		return o.String(), e.String()
	}
	type ends struct {
		id, last string
		gone     bool
	}
	var want []ends

	old := send("u1", "superseded")
	tell(old, messages.StatusRetrying, time.Hour)
	newer := send("u1", "waits")
	want = append(want, ends{"superseded", fmt.Sprintf(" superseded superseded sms SignIn to +86130****5678 by aliyun-sms, attempt 1 (%s)", supersededText(newer.Sequence)), false})

	old = send("u2", "settled") // the newer one does not wait any more
	tell(old, messages.StatusRetrying, time.Hour)
	newer = send("u2", "sent")
	tell(newer, messages.StatusSent, 0)
	remove(ctx, t, js, newer.Sequence)
	want = append(want, ends{"settled", fmt.Sprintf("(%s)", supersededText(newer.Sequence)), false}, ends{"sent", " sent sent ", false})

	old = send("u3", "deleted")
	tell(old, messages.StatusRetrying, time.Hour)
	remove(ctx, t, js, old.Sequence)
	want = append(want, ends{"deleted", " retrying ", true})

	old = send("u4", "doubt")
	tell(old, messages.StatusUnknown, time.Hour)
	tell(old, messages.StatusRetrying, time.Hour)
	send("u4", "doubt-2")
	want = append(want, ends{"doubt", " retrying ", true})

	old = send("u5", "retrying") // it still waits
	tell(old, messages.StatusRetrying, time.Hour)
	want = append(want, ends{"retrying", " waiting ", false})

	old = send("u7", "third") // the second one left no outcome
	tell(old, messages.StatusRetrying, time.Nanosecond)
	send("u7", "third-2")
	newer = send("u7", "third-3")
	want = append(want, ends{"third", fmt.Sprintf("(%s)", supersededText(newer.Sequence)), false})

	old = send("u8", "arrived")
	tell(old, messages.StatusRetrying, time.Hour)
	tell(old, messages.StatusSent, 0)
	tell(old, messages.StatusDelivered, 0)
	send("u8", "arrived-2")
	want = append(want, ends{"arrived", " delivered ", false})

	for _, w := range want {
		out, errs := status(w.id)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, w.last) {
			t.Errorf("%s: the last line is %s\nwant %s", w.id, last, w.last)
		}
		if strings.Contains(errs, "does not wait any more, and no outcome says why") != w.gone {
			t.Errorf("%s: on standard error: %s", w.id, errs)
		}
	}
	old = send("u6", "sealed") // it waits, but --to can't read its address
	tell(old, messages.StatusRetrying, time.Hour)
	remove(ctx, t, js, old.Sequence)
	old = sent(ctx, t, js, messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u6"}, "not readable", old)
	tell(old, messages.StatusRetrying, time.Hour)
	_, errs := status("--to", "+8613012345678")
	if gone := fmt.Sprintf("Message %d, stored", old.Sequence); strings.Contains(errs, gone) {
		t.Errorf("a message that waits counts as gone: %s", errs)
	}
	if out, _ := status("--json", "superseded"); !strings.Contains(out, `"status":"superseded"`) {
		t.Errorf("as JSON: %s", out)
	}
}

// TestAMessageThatIsSettledMeanwhile: a worker settles a message after its outcomes were read,
// and before the stream is read. Its last outcome is found.
func TestAMessageThatIsSettledMeanwhile(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t)
	js := natstest.Provision(t, server.Connect(t), wire.StreamOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	subject := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u1"}
	read := sent(ctx, t, js, subject, "x", messages.Outcome{ID: "x", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u1", Status: messages.StatusRetrying})
	later := read
	later.Status, later.At = messages.StatusSent, read.At.Add(-time.Second) // by a slow clock
	for _, o := range []messages.Outcome{read, later} {
		body, err := json.Marshal(o)
		if err == nil {
			_, err = js.Publish(ctx, wire.OutcomeSubject(o.App, o.Channel, o.Status), body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sent(ctx, t, js, subject, "y", messages.Outcome{})
	reader, err := waiting.Open(ctx, js, waiting.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := finder{js: js, query: statusQuery{id: "x"}, outcomes: []messages.Outcome{read}, reader: reader}
	if err := f.findEnds(ctx); err != nil {
		t.Fatal(err)
	}
	if len(f.gone) > 0 || len(f.outcomes) != 2 || f.outcomes[1].Status != messages.StatusSent {
		t.Errorf("gone: %v, outcomes: %+v", f.gone, f.outcomes)
	}
}

// sent publishes a message, and returns o as an outcome of it.
func sent(ctx context.Context, t *testing.T, js jetstream.JetStream, subject messages.Subject, body string, o messages.Outcome) messages.Outcome {
	t.Helper()
	ack, err := js.Publish(ctx, subject.String(), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetMsg(ctx, ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	o.Sequence, o.StoredAt, o.At = ack.Sequence, stored.Time, stored.Time.Add(time.Millisecond)
	return o
}

// remove takes a message out of the stream.
func remove(ctx context.Context, t *testing.T, js jetstream.JetStream, sequence uint64) {
	t.Helper()
	stream, err := js.Stream(ctx, wire.StreamName)
	if err == nil {
		err = stream.DeleteMsg(ctx, sequence)
	}
	if err != nil {
		t.Fatal(err)
	}
}
