package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// keeping makes dead letters, and keeps the stored ones.
func keeping(t *testing.T, keys ...wire.PrivateKey) (l deadLetters, stored *[]*nats.Msg) {
	t.Helper()
	stored = new([]*nats.Msg)
	return deadLetters{
		channel: messages.SMS, seals: newSeals(config.Sealing{Keys: keys}), now: atNoon,
		publish: func(ctx context.Context, m *nats.Msg) error {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the time for storing a dead letter has no limit")
			}
			*stored = append(*stored, m)
			return nil
		},
	}, stored
}

// letterOf reads a stored dead letter.
func letterOf(t *testing.T, m *nats.Msg) (l messages.DeadLetter) {
	t.Helper()
	if err := json.Unmarshal(m.Data, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func newKey(t *testing.T) wire.PrivateKey {
	t.Helper()
	k, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestDeadLetterSaysWhatHappened(t *testing.T) {
	l, stored := keeping(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	d := given{delivered: 3, header: nats.Header{wire.EpochHeader: {"2"}, "Traceparent": {"x"}, "traceparent": {trace}}}.open(t, nowhere())
	d.history = attempts(2, sender.Unavailable)
	d.history[1].Connector, d.history[1].Code = "b", "E-2"
	if err := l.store(t.Context(), d, verdict{reason: messages.ReasonUndeliverable, detail: "why", err: &sender.Error{Advice: "Set name."}}); err != nil {
		t.Fatal(err)
	}
	m := (*stored)[0]
	got := letterOf(t, m)
	check.Equal(t, "subject of the dead letter", m.Subject, "codeferry.dead.default.sms.undeliverable")
	check.Equal(t, "Nats-Msg-Id", m.Header.Get("Nats-Msg-Id"), wire.DeadMsgID(&got))
	check.Equal(t, "id", got.ID, "id-1")
	check.Equal(t, "epoch", got.Epoch, 2)
	check.Equal(t, "app", got.App, "default")
	check.Equal(t, "channel", got.Channel, messages.SMS)
	check.Equal(t, "type", got.Type, messages.SignIn)
	check.Equal(t, "subject", got.Subject, smsSubject)
	check.Equal(t, "stream", got.Stream, "CODEFERRY")
	check.Equal(t, "sequence", got.Sequence, 7)
	check.Equal(t, "to", got.To, messages.Mask("+8613012345678"))
	check.Equal(t, "reason", got.Reason, messages.ReasonUndeliverable)
	check.Equal(t, "detail", got.Detail, "why")
	check.Equal(t, "advice", got.Advice, messages.ReasonUndeliverable.Advice()+" Set name.")
	check.Equal(t, "attempts", len(got.Attempts), 2)
	check.Equal(t, "connector", got.Connector, "b")
	check.Equal(t, "code", got.Code, "E-2")
	check.Equal(t, "deliveries", got.Deliveries, 3)
	check.Equal(t, "stored at", got.StoredAt, noon.Add(-time.Second))
	check.Equal(t, "created at", got.CreatedAt == nil, true)
	check.Equal(t, "expires at", *got.ExpiresAt, d.expiresAt.UTC())
	check.Equal(t, "dead at", got.DeadAt, noon)
	check.Equal(t, "trace", got.TraceParent, trace)
	check.Equal(t, "dropped", got.Dropped, messages.DroppedNoKey)
	for _, secret := range []string{"123456", "13012345678"} {
		if strings.Contains(string(m.Data), secret) {
			t.Errorf("the dead letter shows %s", secret)
		}
	}
}

// TestDeadLetterOfOneStoredMessage: the dead letters of two deliveries of one message have
// the same id, those of two messages have not.
func TestDeadLetterOfOneStoredMessage(t *testing.T) {
	id := func(g given) string {
		l, stored := keeping(t)
		if err := l.store(t.Context(), g.open(t, nowhere()), verdict{reason: messages.ReasonRejected}); err != nil {
			t.Fatal(err)
		}
		return (*stored)[0].Header.Get("Nats-Msg-Id")
	}
	first := id(given{})
	check.Equal(t, "of its next delivery", id(given{delivered: 2}), first)
	for what, g := range map[string]given{
		"of another message":        {sequence: 8},
		"of a stream made again":    {storedAt: noon},
		"of its replay":             {header: nats.Header{wire.EpochHeader: {"1"}}, sequence: 9},
		"of another with its place": {sequence: 7, storedAt: noon.Add(time.Hour)},
	} {
		if id(g) == first {
			t.Errorf("%s: got the same Nats-Msg-Id", what)
		}
	}
}

// TestDeadLetterKeepsTheMessage: it keeps the message sealed, and only if a replay may
// send it.
func TestDeadLetterKeepsTheMessage(t *testing.T) {
	key, other := newKey(t), newKey(t)
	sealedForOther := func() *messages.SendCode {
		code, err := messages.NewSealer(other.Public()).Seal(smsSubject, &messages.SendCode{ID: "id-1", To: "13012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
		if err != nil {
			t.Fatal(err)
		}
		code.Extra = map[string]json.RawMessage{"more": json.RawMessage(`"123456"`)}
		return code
	}
	for name, c := range map[string]struct {
		reason  messages.Reason
		change  func(d *delivery)
		noKey   bool
		dropped messages.Dropped
	}{
		"rejected":                        {reason: messages.ReasonRejected},
		"in doubt":                        {reason: messages.ReasonDoubt},
		"expired":                         {reason: messages.ReasonExpired, change: func(d *delivery) { d.expiresAt = noon }, dropped: messages.DroppedExpired},
		"expired before its next attempt": {reason: messages.ReasonExpired},
		"in doubt, and expired by now":    {reason: messages.ReasonDoubt, change: func(d *delivery) { d.expiresAt = noon }, dropped: messages.DroppedExpired},
		"invalid":                         {reason: messages.ReasonInvalid, dropped: messages.DroppedInvalid},
		"in doubt, and wrong":             {reason: messages.ReasonDoubt, change: func(d *delivery) { d.wrong = errors.New("wrong") }, dropped: messages.DroppedInvalid},
		"in doubt, and not to be read":    {reason: messages.ReasonDoubt, change: func(d *delivery) { d.wrong, d.unreadable = wire.ErrNoKey, true }},
		"no key":                          {reason: messages.ReasonRejected, noKey: true, dropped: messages.DroppedNoKey},
		"no key, and expired":             {reason: messages.ReasonExpired, noKey: true, change: func(d *delivery) { d.expiresAt = noon }, dropped: messages.DroppedExpired},
		"too big":                         {reason: messages.ReasonRejected, change: func(d *delivery) { d.code.Payload["more"] = strings.Repeat("x", wire.MaxBody) }, dropped: messages.DroppedTooBig},
		"sealed for another, as it came":  {reason: messages.ReasonMisconfigured, change: func(d *delivery) { d.code = sealedForOther() }},
	} {
		t.Run(name, func(t *testing.T) {
			keys := []wire.PrivateKey{key}
			if c.noKey {
				keys = nil
			}
			l, stored := keeping(t, keys...)
			d := fresh(t)
			if c.change != nil {
				c.change(d)
			}
			if err := l.store(t.Context(), d, verdict{reason: c.reason}); err != nil {
				t.Fatal(err)
			}
			got := letterOf(t, (*stored)[0])
			check.Equal(t, "dropped", got.Dropped, c.dropped)
			check.Equal(t, "the message is kept", got.Message != nil, c.dropped == "")
			if strings.Contains(string((*stored)[0].Data), "123456") {
				t.Error("the dead letter shows the code")
			}
			if got.Message == nil {
				return
			}
			opener := wire.NewOpener(key)
			if strings.HasPrefix(name, "sealed") {
				opener = wire.NewOpener(other)
			}
			if err := opener.Open(got.Subject, got.Message); err != nil {
				t.Fatalf("the message in the dead letter can't be opened: %v", err)
			}
			check.Equal(t, "the code that is kept", got.Message.Payload.Text("code"), "123456")
			check.Equal(t, "the id that is kept", got.Message.ID, "id-1")
			check.Equal(t, "the expiry that is kept", got.Message.ExpiresAt.Equal(d.expiresAt), true)
		})
	}
}

// TestDeadLetterCanBeFound: with the address and the key it can be found.
func TestDeadLetterCanBeFound(t *testing.T) {
	key := newKey(t)
	want, err := key.Lookup("+8613012345678")
	if err != nil {
		t.Fatal(err)
	}
	l, stored := keeping(t, key)
	if err := l.store(t.Context(), fresh(t), verdict{reason: messages.ReasonExpired}); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "hash of the address", letterOf(t, (*stored)[0]).ToHash, want)
	d := fresh(t)
	d.code.To = ""
	if err := l.store(t.Context(), d, verdict{reason: messages.ReasonInvalid}); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "hash of no address", letterOf(t, (*stored)[1]).ToHash, "")
}

// TestDeadLetterBare: it has no message, for a message that makes everything else panic.
func TestDeadLetterBare(t *testing.T) {
	l, stored := keeping(t, newKey(t))
	d := &delivery{msg: given{}.message(t, nowhere())}
	d.opened = minimal(d.msg, messages.SMS)
	if err := l.storeBare(t.Context(), d, verdict{reason: messages.ReasonPoison, detail: "why"}); err != nil {
		t.Fatal(err)
	}
	got := letterOf(t, (*stored)[0])
	check.Equal(t, "reason", got.Reason, messages.ReasonPoison)
	check.Equal(t, "dropped", got.Dropped, messages.DroppedInvalid)
	check.Equal(t, "the message is kept", got.Message != nil, false)
	check.Equal(t, "id", got.ID, "CODEFERRY-7")
}

func TestDeadLetterIsNotStored(t *testing.T) {
	l, _ := keeping(t)
	away := errors.New("away")
	l.publish = func(context.Context, *nats.Msg) error { return away }
	for what, err := range map[string]error{
		"store": l.store(t.Context(), fresh(t), verdict{reason: messages.ReasonExpired}), "store bare": l.storeBare(t.Context(), fresh(t), verdict{reason: messages.ReasonExpired}),
	} {
		if !errors.Is(err, away) || !strings.HasPrefix(err.Error(), "store the dead letter: ") {
			t.Errorf("%s: got the error %v", what, err)
		}
	}
}

// TestDeadLetterIsTooBig: if the server's limit is lower than codeferry's, it is stored
// without the message. After any other refusal the message stays in.
func TestDeadLetterIsTooBig(t *testing.T) {
	tooBig := &jetstream.APIError{Code: 400, ErrorCode: 10054, Description: "message size exceeds maximum allowed"}
	for name, c := range map[string]struct {
		refuses error
		again   bool // whether it is stored without the message
	}{
		"the stream's limit":  {tooBig, true},
		"the server's limit":  {nats.ErrMaxPayload, true},
		"a full store":        {&jetstream.APIError{Code: 503, ErrorCode: 10023}, false},
		"nobody who answers":  {nats.ErrNoResponders, false},
		"nothing is refused":  {nil, false},
		"the bare one is too": {tooBig, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, stored := keeping(t, newKey(t))
			keep := l.publish
			bareToo := name == "the bare one is too"
			tries := 0
			l.publish = func(ctx context.Context, m *nats.Msg) error {
				tries++
				if c.refuses != nil && (bareToo || letterOf(t, m).Message != nil) {
					return fmt.Errorf("publish: %w", c.refuses)
				}
				return keep(ctx, m)
			}
			err := l.store(t.Context(), fresh(t), verdict{reason: messages.ReasonRejected})
			check.Equal(t, "tries", tries, map[bool]int{true: 2, false: 1}[c.again])
			if c.refuses != nil && (bareToo || !c.again) {
				check.Equal(t, "the refusal is returned", errors.Is(err, c.refuses), true)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := letterOf(t, (*stored)[0])
			check.Equal(t, "the message is kept", got.Message != nil, !c.again)
			check.Equal(t, "dropped", got.Dropped, map[bool]messages.Dropped{true: messages.DroppedTooBig, false: ""}[c.again])
		})
	}
}

// TestTraceParent: a header that is not a valid trace context could hold a secret, and is
// dropped.
func TestTraceParent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, v := range []string{good, "", good + "-x", "13012345678", strings.ToUpper(good)} {
		want := ""
		if v == good {
			want = good
		}
		check.Equal(t, "of "+v, traceParent(nats.Header{"traceparent": {v}}), want)
	}
}
