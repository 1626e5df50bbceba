package waiting_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/waiting"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

func publish(t *testing.T, r *testrig.Rig, subject string, body any, header ...string) uint64 {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := body.(string); ok {
		data = []byte(text)
	}
	m := nats.NewMsg("codeferry.send." + subject)
	m.Data = data
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	ack, err := r.JS.PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

type body map[string]any

func code(id, to string) body {
	return body{"id": id, "to": to, "type": "SignIn", "payload": body{"code": "482913"}}
}

// TestRead: what a message says is read as a worker does, and shown without its address and
// its code. Nothing is taken from the workers.
func TestRead(t *testing.T) {
	r := testrig.New(t)
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	first := publish(t, r, "default.sms.SignIn.u1", code("plain", "+8613012345678"))
	timed := code("timed", "foo@example.com")
	timed["expiresAt"] = expires
	publish(t, r, "shop.email.SignIn.u2", timed, wire.EpochHeader, "2")
	publish(t, r, "default.sms.SignIn.user-13012345678", code("for-13012345678", "+8613012345678"))
	publish(t, r, "default.sms.Register.u4", "{", jetstream.MsgIDHeader, "given")
	publish(t, r, "default.sms.Register.u5", "no JSON")
	p, err := messages.NewPublisher(r.NC, messages.PublisherOptions{Sealer: messages.NewSealer(key.Public())})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Publish(t.Context(), messages.Subject{Channel: messages.Email, Key: "u6"}, &messages.SendCode{
		ID: "sealed", To: "bar@example.com", Type: messages.SignIn, Payload: messages.Payload{"code": "482913"},
	}); err != nil {
		t.Fatal(err)
	}
	hashed := wire.HashID("for-13012345678")
	lines := func(o waiting.Options, want waiting.Filter) (ordered, unordered []string) {
		t.Helper()
		reader, err := waiting.Open(t.Context(), r.JS, o)
		if err != nil {
			t.Fatal(err)
		}
		line := func(m waiting.Message) string {
			at := "-"
			if m.ExpiresAt != nil {
				at = m.ExpiresAt.Sub(m.StoredAt).String()
				if m.ExpiresAt.Equal(expires) {
					at = "noon"
				}
			}
			shown, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"13012345678", "foo@example.com", "bar@example.com", "482913"} {
				if strings.Contains(string(shown), secret) {
					t.Errorf("%s holds %s", shown, secret)
				}
			}
			if m.Why != waiting.WhyNotTaken {
				t.Errorf("%s: %s (%s)", m.ID, m.Why, m.Detail)
			}
			return strings.TrimSpace(fmt.Sprint(m.ID, " ", m.App, " ", m.Channel, " ", m.Type, " ", m.Key, " ", m.To, " ", m.Sealed, " ", m.Epoch, " ", at))
		}
		if err := reader.Oldest(t.Context(), want, func(m waiting.Message) bool {
			ordered = append(ordered, line(m))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if err := reader.All(t.Context(), want, func(m waiting.Message) error {
			unordered = append(unordered, line(m))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return ordered, unordered
	}
	all := []string{
		"plain default sms SignIn u1 +86130****5678 false 0 -",
		"timed shop email SignIn u2 f***@example.com false 2 noon",
		hashed + " default sms SignIn  +86130****5678 false 0 -",
		"given default sms Register u4  false 0 -",
		fmt.Sprint("CODEFERRY-", first+4, " default sms Register u5  false 0 -"),
		"sealed default email SignIn u6  true 0 -",
	}
	for name, c := range map[string]struct {
		options waiting.Options
		filter  waiting.Filter
		want    []string
	}{
		"all":       {want: all},
		"a channel": {filter: waiting.Filter{Channel: messages.Email}, want: []string{all[1], all[5]}},
		"an app":    {filter: waiting.Filter{App: "shop"}, want: all[1:2]},
		"a key":     {filter: waiting.Filter{Key: "u4"}, want: all[3:4]},
		"nobody's":  {filter: waiting.Filter{Key: "nobody"}},
		"opened": {
			options: waiting.Options{Opener: wire.NewOpener(key), CodeTTL: func(app string) time.Duration {
				return map[string]time.Duration{"default": time.Minute}[app]
			}}, filter: waiting.Filter{Channel: messages.Email},
			want: []string{all[1], "sealed default email SignIn u6 b***@example.com false 0 1m0s"},
		},
	} {
		ordered, unordered := lines(c.options, c.filter)
		if !slices.Equal(ordered, c.want) {
			t.Errorf("%s: the oldest are\n%s\nwant\n%s", name, strings.Join(ordered, "\n"), strings.Join(c.want, "\n"))
		}
		slices.Sort(unordered)
		if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(unordered, want) {
			t.Errorf("%s: all are\n%s\nwant\n%s", name, strings.Join(unordered, "\n"), strings.Join(want, "\n"))
		}
	}
	for _, channel := range messages.Channels() {
		c, err := r.JS.Consumer(t.Context(), wire.StreamName, string(channel))
		if err != nil {
			t.Fatal(err)
		}
		if n := c.CachedInfo().NumAckPending; n != 0 {
			t.Errorf("%d messages of %s were taken", n, channel)
		}
	}
	if s, err := r.JS.Stream(t.Context(), wire.StreamName); err != nil || s.CachedInfo().State.Consumers != 2 {
		t.Errorf("a consumer was made: %v, %v", s.CachedInfo().State, err)
	}
}

// TestReadEnds: with the first error, and with what was asked for.
func TestReadEnds(t *testing.T) {
	r := testrig.New(t)
	reader, err := waiting.Open(t.Context(), r.JS, waiting.Options{})
	if err != nil {
		t.Fatal(err)
	}
	none := func(waiting.Message) error { t.Error("an empty stream has a message"); return nil }
	if err := reader.All(t.Context(), waiting.Filter{}, none); err != nil {
		t.Error(err)
	}
	for i := range 30 {
		publish(t, r, fmt.Sprint("default.sms.SignIn.u", i), code(fmt.Sprint("m", i), "+8613012345678"))
	}
	check.Eventually(t, "the consumer has counted all", func() bool { // it counts a moment later
		if reader, err = waiting.Open(t.Context(), r.JS, waiting.Options{}); err != nil {
			t.Fatal(err)
		}
		return reader.Consumer(messages.SMS).Waiting == 30
	})
	if c := reader.Consumer(messages.SMS); c.Taken != 0 || c.Asked {
		t.Errorf("the consumer: %+v", c)
	}
	broken := errors.New("broken")
	if err := reader.All(t.Context(), waiting.Filter{}, func(waiting.Message) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("All: %v", err)
	}
	var ids []string
	if err := reader.Oldest(t.Context(), waiting.Filter{}, func(m waiting.Message) bool {
		ids = append(ids, m.ID)
		return len(ids) < 3
	}); err != nil || strings.Join(ids, " ") != "m0 m1 m2" {
		t.Errorf("Oldest: %v, %v", ids, err)
	}
}

// TestWithoutWhatIsMissing: without a consumer or a ledger messages are told of, and what
// can't be known is said.
func TestWithoutWhatIsMissing(t *testing.T) {
	r := testrig.New(t)
	publish(t, r, "default.sms.SignIn.u1", code("x", "+8613012345678"))
	if err := r.JS.DeleteConsumer(t.Context(), wire.StreamName, "sms"); err != nil {
		t.Fatal(err)
	}
	if err := r.JS.DeleteStream(t.Context(), wire.LedgerStream); err != nil {
		t.Fatal(err)
	}
	reader, err := waiting.Open(t.Context(), r.JS, waiting.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if reader.Consumer(messages.SMS) != nil || reader.Consumer(messages.Email) == nil {
		t.Error("the consumer of sms is not there, and that of email is")
	}
	n := 0
	if err := reader.All(t.Context(), waiting.Filter{}, func(m waiting.Message) error {
		n++
		if m.Why != waiting.WhyUnknown || !strings.Contains(m.Detail, "the consumer sms does not exist") || m.Attempts != nil {
			t.Errorf("%+v", m)
		}
		return nil
	}); err != nil || n != 1 {
		t.Errorf("%d messages, %v", n, err)
	}
	if err := r.JS.DeleteStream(t.Context(), wire.StreamName); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Open(t.Context(), r.JS, waiting.Options{}); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("without the stream: %v", err)
	}
}
