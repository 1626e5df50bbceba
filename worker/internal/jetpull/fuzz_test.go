package jetpull

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// FuzzTake: whatever a status message holds, the count of messages that are asked
// for stays valid, and nothing panics.
func FuzzTake(f *testing.F) {
	for _, subject := range []string{"1-4", "2-12", "3-1", "0-0", "-", "c", "1", "1-", "-4", "99999999999999999999-1", "2--12", "2-99999999999999999999", ""} {
		for _, header := range [][3]string{
			{"100", "Idle Heartbeat", ""},
			{"408", "Request Timeout", "4"},
			{"409", "Leadership Change", ""},
			{"409", "Exceeded MaxWaiting", ""},
			{"409", "Consumer Deleted", "1"},
			{"404", "", "-1"},
			{"503", "", "x"},
			{"", "", ""},
		} {
			f.Add(subject, header[0], header[1], header[2])
		}
	}
	f.Fuzz(func(t *testing.T, subject, code, description, count string) {
		p := newPuller(Options{AckWait: testAckWait, Slots: 16}, new(fakeConn), testInbox)
		defer p.beat.Stop()
		for _, n := range []int{4, 12} {
			if err := p.request(n); err != nil {
				t.Fatal(err)
			}
		}
		m, err := p.take(word(testInbox+subject, code, description, count), time.Now())
		switch {
		case m != nil:
			t.Errorf("a status message was read as the message %+v", m)
		case p.asked < 0 || p.asked > 16:
			t.Errorf("%d messages are asked for, want 0 to 16", p.asked)
		case err != nil && p.asked != 16:
			t.Errorf("after the error %v %d messages are asked for, want 16", err, p.asked)
		}
	})
}

// FuzzReadConsumer: an answer says when a consumer was made, or is an error.
func FuzzReadConsumer(f *testing.F) {
	for _, s := range []string{
		`{"created":"2026-11-21T12:00:00.123456789Z"}`, `{"error":{"code":404}}`, `{"error":{"code":500,"description":"x"}}`,
		`{"created":"2026-11-21T12:00:00Z","error":null}`, `{"created":"0001-01-01T00:00:00Z"}`, `null`, `[]`, `{"error":{}}`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := readConsumer(&nats.Msg{Subject: testInbox + forConsumer, Data: data})
		if (err == nil) == c.created.IsZero() {
			t.Errorf("got the time %v and the error %v, want exactly one of them", c.created, err)
		}
	})
}

// FuzzConfirmation: an answer ends the ack that it is for, and no other.
func FuzzConfirmation(f *testing.F) {
	for _, s := range []string{"1", "2", "3", "01", "+1", "-1", "x", "", "18446744073709551616", "1.1"} {
		f.Add(s, "", []byte(nil))
		f.Add(s, "503", []byte("x"))
	}
	f.Fuzz(func(t *testing.T, token, code string, data []byte) {
		a := newAcker(new(requests))
		var first, second calls
		a.Ack(&Message{reply: "$JS.ACK.1"}, first.done)
		a.Ack(&Message{reply: "$JS.ACK.2"}, second.done)
		msg := word(a.prefix+token, code)
		msg.Data = data
		for range 2 {
			a.confirmation(msg)
		}
		n, err := strconv.ParseUint(token, 10, 64)
		for i, got := range []calls{first, second} {
			want := 0
			if err == nil && n == uint64(i+1) {
				want = 1
			}
			if got.n != want {
				t.Errorf("done of ack %d was called %d times, want %d", i+1, got.n, want)
			}
			if refused := code != "" && len(data) == 0; got.n > 0 && (got.err != nil) != refused {
				t.Errorf("done of ack %d was called with the error %v; refused: %t", i+1, got.err, refused)
			}
		}
		if left := len(a.waiting); left != 2-first.n-second.n {
			t.Errorf("%d acks wait, want %d", left, 2-first.n-second.n)
		}
	})
}

// FuzzRead: a message has a place in the stream and a delivery, or reading it fails.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"$JS.ACK.WORK.sms.1.2.3.1732190400000000000.4", "$JS.ACK._.hash.WORK.sms.1.2.3.1732190400000000000.4.token",
		"$JS.ACK.hub.hash.WORK.sms.1.2.3.1732190400000000000.4", "$JS.ACK.WORK.sms.x.y.z.t.p", "$JS.ACK.WORK.sms.0.1.1.1.1", "$JS.ACK.WORK.sms.1.0.1.1.1",
		"$JS.ACK.WORK.sms.99999999999999999999.2.3.4.5", "$JS.ACK.........", "$JS.ACK", "", "secret.1.2.3.4.5.6.7.8",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		msg := handedOut(1)
		msg.Reply = reply
		m, err := Read(nil, msg, Options{AckWait: testAckWait}, time.Now())
		if err != nil {
			if m != nil {
				t.Errorf("got the message %v with the error %v, want no message", m, err)
			}
			if strings.Contains(err.Error(), "work.1") {
				t.Errorf("the error shows the subject: %v", err)
			}
			return
		}
		if m.Sequence == 0 || m.Delivered == 0 || m.reply != reply {
			t.Errorf("a message with the sequence %d, delivery %d, reply %s", m.Sequence, m.Delivered, m.reply)
		}
	})
}

// calls counts the calls of done, and keeps the error of the last one.
type calls struct {
	n   int
	err error
}

func (c *calls) done(err error) { c.n, c.err = c.n+1, err }

// TestReadOfADomain: the ack subject of a server with a domain has more tokens.
func TestReadOfADomain(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"$JS.ACK.hub.hash.WORK.sms.1.2.3.1732190400000000005.4.token", "$JS.ACK._.hash.WORK.sms.1.2.3.1732190400000000005.4"} {
		msg := handedOut(1)
		msg.Reply = reply
		m, err := Read(nil, msg, Options{}, time.Now())
		if err != nil || m.Delivered != 1 || m.Sequence != 2 || m.StoredAt.UnixNano() != 1732190400000000005 || m.Pending != 4 {
			t.Errorf("%s: got the message %+v and the error %v; want delivery 1 of message 2", reply, m, err)
		}
	}
}
