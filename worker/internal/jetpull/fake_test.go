package jetpull

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// fakeConn is a connection without a server. It keeps what is published.
type fakeConn struct {
	mu        sync.Mutex
	published []published
	// err is the error of each publish.
	err          error
	away, closed bool
	// leader answers the question who leads the consumer; nil for no answer. It comes to to.
	leader *nats.Msg
	to     chan<- *nats.Msg
}

type published struct {
	at                   time.Time
	subject, reply, body string
}

func (f *fakeConn) Publish(subject string, data []byte) error {
	return f.PublishRequest(subject, "", data)
}

func (f *fakeConn) PublishRequest(subject, reply string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.published = append(f.published, published{time.Now(), subject, reply, string(data)})
		if f.leader != nil && reply == testInbox+forLeader {
			f.to <- f.leader
		}
	}
	return f.err
}

func (f *fakeConn) IsConnected() bool { return !f.away && !f.closed }
func (f *fakeConn) IsClosed() bool    { return f.closed }

func (f *fakeConn) all() []published {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.published
}

// looks counts the questions about the consumer whose answer comes to a subject.
func (f *fakeConn) looks(reply string) (n int) {
	for _, p := range f.all() {
		if p.reply == reply {
			n++
		}
	}
	return n
}

// bench is a Puller without a server, in a synctest bubble.
type bench struct {
	*testing.T
	*Puller
	conn  *fakeConn
	began time.Time
	// read is how many of the published requests requested has returned.
	read int
}

const testInbox = "_INBOX.test."

// inBubble runs f with a Puller of 16 slots that has just asked about its consumer.
func inBubble(t *testing.T, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := new(fakeConn)
		p := newPuller(Options{
			APIPrefix: "$JS.API.", Stream: testStream, Consumer: testConsumer, AckWait: testAckWait, Slots: 16, Created: time.Unix(100, 0),
		}, c, testInbox)
		p.statuses = make(chan nats.Status, 10)
		f(&bench{T: t, Puller: p, conn: c, began: time.Now()})
	})
}

// pull calls Next, for that time at most, and returns its first message or error.
func (b *bench) pull(for_ time.Duration, wanted int) (*Message, error) {
	ctx, cancel := context.WithTimeout(b.Context(), for_)
	defer cancel()
	return b.Next(ctx, nil, func() int { return wanted })
}

// idle is pull while nothing comes.
func (b *bench) idle(for_ time.Duration, wanted int) {
	b.Helper()
	if m, err := b.pull(for_, wanted); m != nil || err != context.DeadlineExceeded { //nolint:errorlint // as it is
		b.Fatalf("Next returned %v, %v", m, err)
	}
}

// requested returns the requests since the last call: when each was made, and for how many
// messages.
func (b *bench) requested() (all []string) {
	b.Helper()
	now := b.conn.all()
	for _, r := range now[b.read:] {
		after := r.at.Sub(b.began)
		switch r.subject {
		case "$JS.API.CONSUMER.INFO.WORK.sms":
			all = append(all, fmt.Sprintf("%v look", after))
			if r.reply != testInbox+forConsumer || r.body != "" {
				b.Errorf("a look with the reply %q and the body %q", r.reply, r.body)
			}
		case "$JS.API.CONSUMER.MSG.NEXT.WORK.sms":
			var body struct {
				Expires time.Duration `json:"expires"`
				Batch   int           `json:"batch"`
			}
			if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Expires != b.expires() ||
				!strings.HasPrefix(r.reply, testInbox) || !strings.HasSuffix(r.reply, fmt.Sprintf("-%d", body.Batch)) {
				b.Errorf("a request with the reply %s and the body %s", r.reply, r.body)
			}
			all = append(all, fmt.Sprintf("%v %d", after, body.Batch))
		default:
			b.Errorf("an unexpected request to %s", r.subject)
		}
	}
	b.read = len(now)
	return all
}

// word has the server send a status message about the nth request.
func (b *bench) word(n int, header ...string) {
	b.Helper()
	i := 0
	for _, r := range b.conn.all() {
		if strings.Contains(r.subject, "MSG.NEXT") {
			if i++; i == n {
				b.incoming <- word(r.reply, header...)
				return
			}
		}
	}
	b.Fatalf("there is no request %d", n)
}

// word is a status message; header are its status, description and count, if it has them.
func word(subject string, header ...string) *nats.Msg {
	msg := nats.NewMsg(subject)
	for i, value := range header {
		msg.Header.Set([]string{"Status", "Description", pendingHeader}[i], value)
	}
	return msg
}

// message has the server hand out n messages.
func (b *bench) message(n int) {
	for i := range n {
		b.incoming <- handedOut(uint64(i + 1))
	}
}

// handedOut is a message from the server.
func handedOut(sequence uint64) *nats.Msg {
	return &nats.Msg{
		Subject: "work.1", Reply: fmt.Sprintf("$JS.ACK.WORK.sms.1.%d.%d.1000.0", sequence, sequence), Data: []byte("body"),
		Sub: &nats.Subscription{Subject: testInbox + "*"},
	}
}
