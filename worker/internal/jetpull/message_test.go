package jetpull

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// sent is a connection that keeps what is published.
type sent struct {
	payloads []string
	fail     error
}

func (w *sent) Publish(subject string, data []byte) error {
	w.payloads = append(w.payloads, subject+" "+string(data))
	return w.fail
}

func TestRead(t *testing.T) {
	t.Parallel()
	stored, arrived := time.Unix(1_700_000_000, 5), time.Unix(1_700_000_001, 0)
	o := Options{Created: time.Unix(1_600_000_000, 0), AckWait: 30 * time.Second}
	m, err := Read(nil, &nats.Msg{
		Subject: "s", Header: nats.Header{"A": {"b"}}, Data: []byte("d"), Sub: new(nats.Subscription),
		Reply: "$JS.ACK.CODEFERRY.sms.3.7.9.1700000000000000005.11",
	}, o, arrived)
	if err != nil {
		t.Fatal(err)
	}
	for what, ok := range map[string]bool{
		"subject": m.Subject == "s", "header": m.Header.Get("A") == "b", "data": string(m.Data) == "d",
		"delivered": m.Delivered == 3, "sequence": m.Sequence == 7, "stored at": m.StoredAt.Equal(stored), "pending": m.Pending == 11,
		"arrived": m.Arrived.Equal(arrived), "consumer": m.Consumer.Equal(o.Created),
		"owned until": m.OwnedUntil().Equal(arrived.Add(17 * time.Second)), // AckWait less a third and a tenth
	} {
		if !ok {
			t.Errorf("%s is wrong: %+v", what, m)
		}
	}
	if _, err := Read(nil, &nats.Msg{Subject: "s"}, o, arrived); err == nil || !strings.HasPrefix(err.Error(), "read where a message of an inbox came from: ") {
		t.Errorf("a message without a subscription: got the error %v", err)
	}
	_, err = Read(nil, &nats.Msg{Subject: "codeferry.send.default.sms.SignIn.13012345678", Sub: &nats.Subscription{Subject: "_INBOX.1.m"}, Reply: "x"}, o, arrived)
	if err == nil || !strings.HasPrefix(err.Error(), "read where a message of inbox _INBOX.1.m came from: ") {
		t.Errorf("a message without a consumer: got the error %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "13012345678") {
		t.Errorf("the error shows the subject: %v", err)
	}
}

func TestNak(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nak  func(m *Message) error
		want []string
	}{
		"put back":             {func(m *Message) error { return m.Nak(0) }, []string{"r -NAK"}},
		"put back for a while": {func(m *Message) error { return m.Nak(1500 * time.Millisecond) }, []string{`r -NAK {"delay":1500000000}`}},
		"put back, no delay":   {func(m *Message) error { return m.Nak(-1) }, []string{"r -NAK"}},
	} {
		w := new(sent)
		if err := c.nak(&Message{conn: w, reply: "r"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(w.payloads, c.want) {
			t.Errorf("%s: sent %q, want %q", name, w.payloads, c.want)
		}
		w.fail = errors.New("no connection")
		if err := c.nak(&Message{conn: w, reply: "r"}); !errors.Is(err, w.fail) {
			t.Errorf("%s, no connection: got the error %v, want %v", name, err, w.fail)
		}
		if err := c.nak(&Message{conn: w}); !errors.Is(err, errNoReply) {
			t.Errorf("%s, a message without an ack subject: got the error %v, want %v", name, err, errNoReply)
		}
	}
}
