package jetpull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// requests is a connection that keeps the requests.
type requests struct {
	asked []request
	fail  error
}

type request struct{ subject, reply, word string }

func (r *requests) PublishRequest(subject, reply string, data []byte) error {
	if r.fail != nil {
		return r.fail
	}
	r.asked = append(r.asked, request{subject, reply, string(data)})
	return nil
}

func newAcker(nc *requests) *Acker {
	return &Acker{nc: nc, timeout: 5 * time.Second, now: time.Now, prefix: "_INBOX.1.", waiting: make(map[uint64]unconfirmed)}
}

// results keeps the results of acks.
type results struct {
	mu  sync.Mutex
	all []string
}

func (r *results) done(name string) func(error) {
	return func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, fmt.Sprintf("%s: %v", name, err))
	}
}

func (r *results) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// TestAckConfirmed: an ack is done when the server has confirmed it, and not before.
func TestAckConfirmed(t *testing.T) {
	t.Parallel()
	nc, got := new(requests), new(results)
	a := newAcker(nc)
	a.Ack(&Message{reply: "$JS.ACK.1"}, got.done("first"))
	a.Term(&Message{reply: "$JS.ACK.2"}, "expired", got.done("second"))
	if want := (request{"$JS.ACK.1", "_INBOX.1.1", "+ACK"}); len(nc.asked) != 2 || nc.asked[0] != want {
		t.Fatalf("asked %v, want first %v", nc.asked, want)
	}
	if want := (request{"$JS.ACK.2", "_INBOX.1.2", "+TERM expired"}); nc.asked[1] != want {
		t.Errorf("asked %v, want %v", nc.asked[1], want)
	}
	if len(got.list()) != 0 {
		t.Errorf("done before the server has confirmed anything: %v", got.list())
	}
	a.confirmation(&nats.Msg{Subject: "_INBOX.1.2"})
	if fmt.Sprint(got.list()) != "[second: <nil>]" {
		t.Errorf("after the second confirmation: %v", got.list())
	}
	a.confirmation(&nats.Msg{Subject: "_INBOX.1.2"}) // again
	a.confirmation(&nats.Msg{Subject: "_INBOX.1.7"}) // of nothing
	a.confirmation(&nats.Msg{Subject: "_INBOX.1.x"})
	a.confirmation(&nats.Msg{Subject: "_INBOX.1.1"})
	if fmt.Sprint(got.list()) != "[second: <nil> first: <nil>]" {
		t.Errorf("in the end: %v", got.list())
	}
	if len(a.waiting) != 0 {
		t.Errorf("%d acks wait for ever", len(a.waiting))
	}
}

// TestAckFails: an ack that can't be confirmed fails at once.
func TestAckFails(t *testing.T) {
	t.Parallel()
	closed := errors.New("connection closed")
	for name, c := range map[string]struct {
		reply  string
		fail   error
		answer *nats.Msg
		want   string
	}{
		"it has no ack subject": {reply: "", want: errNoReply.Error()},
		"no connection":         {reply: "$JS.ACK.1", fail: closed, want: "ack a message: connection closed"},
		"nobody answers": {
			reply: "$JS.ACK.1", answer: &nats.Msg{Subject: "_INBOX.1.1", Header: nats.Header{"Status": {"503"}}}, want: "ack a message: nats: no responders",
		},
	} {
		got := new(results)
		a := newAcker(&requests{fail: c.fail})
		a.Ack(&Message{reply: c.reply}, got.done("ack"))
		if c.answer != nil {
			a.confirmation(c.answer)
		}
		if len(got.list()) != 1 || !strings.HasPrefix(got.list()[0], "ack: "+c.want) {
			t.Errorf("%s: %v, want %s, once", name, got.list(), c.want)
		}
		if len(a.waiting) != 0 {
			t.Errorf("%s: %d acks wait for ever", name, len(a.waiting))
		}
	}
}

// TestAckTimesOut: only the ack that is not confirmed fails, after the time-out.
func TestAckTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := new(results)
		a := newAcker(new(requests))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			a.Run(ctx)
			close(ended)
		}()
		a.Ack(&Message{reply: "$JS.ACK.1"}, got.done("first"))
		<-time.After(4 * time.Second)
		a.Ack(&Message{reply: "$JS.ACK.2"}, got.done("second"))
		<-time.After(time.Second)
		synctest.Wait()
		if len(got.list()) != 0 {
			t.Errorf("given up before the time-out: %v", got.list())
		}
		<-time.After(time.Second)
		synctest.Wait()
		if fmt.Sprint(got.list()) != "[first: ack a message: no confirmation came: nats: timeout]" {
			t.Errorf("after the time-out of the first: %v", got.list())
		}
		a.confirmation(&nats.Msg{Subject: "_INBOX.1.1"}) // too late
		<-time.After(4 * time.Second)
		synctest.Wait()
		if len(got.list()) != 2 {
			t.Errorf("after the time-out of the second: %v", got.list())
		}
		cancel()
		<-ended
	})
}
