package smtp_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

func mustSend(t testing.TB, s sender.Sender) {
	t.Helper()
	if _, err := send(t, s); err != nil {
		t.Fatal(err)
	}
}

func TestAConnectionCarriesManyMessages(t *testing.T) {
	srv := serve(t, script{})
	s := connector(t, at(srv, func(c *smtp.Config) { c.MaxMessages = 3 }))
	for i := range 7 {
		mustSend(t, s)
		if n, want := srv.Connections(), i/3+1; n != want {
			t.Fatalf("%d connections after %d messages, want %d", n, i+1, want)
		}
	}
	if n := srv.Count("RSET"); n != 4 { // before all but the first of each connection
		t.Errorf("%d RSET commands, want 4", n)
	}
}

// TestAfterARefusal the connection is used again, unless the server closes or breaks it.
func TestAfterARefusal(t *testing.T) {
	for reply, connections := range map[string]int{"550 5.1.1 no": 1, "450 4.2.0 no": 1, "421 4.3.2 bye": 2, "what?": 2} {
		var once sync.Once
		srv := serve(t, script{On: map[string]func(*talk, string) bool{"RCPT": func(k *talk, line string) (ok bool) {
			ok = true
			once.Do(func() { ok = k.Say(reply) && false })
			if !ok {
				return true
			}
			return k.Usual("RCPT", line)
		}}})
		s := connector(t, at(srv))
		if _, err := send(t, s); err == nil {
			t.Error("the refused message counts as sent")
		}
		mustSend(t, s)
		if n := srv.Connections(); n != connections {
			t.Errorf("%q: %d connections, want %d", reply, n, connections)
		}
	}
}

// TestAStaleConnection is noticed before the message begins, and replaced.
func TestAStaleConnection(t *testing.T) {
	for name, end := range map[string]func(*talk) bool{
		"cut":           func(*talk) bool { return false },
		"reset":         (*talk).Reset,
		"421":           func(k *talk) bool { return k.Say("421 4.4.2 timeout") },
		"500":           func(k *talk) bool { return k.Say("500 what") },
		"no SMTP":       func(k *talk) bool { return k.Say("?") },
		"silence":       (*talk).Wait,
		"two answers":   func(k *talk) bool { return k.Say("250 ok\r\n250 ok") },
		"a second word": func(k *talk) bool { k.Say("250 ok\r\n421 timeout"); return false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, script{On: map[string]func(*talk, string) bool{"RSET": func(k *talk, _ string) bool { return end(k) }}})
			s := connector(t, at(srv, func(c *smtp.Config) { c.Timeout = 2 * time.Second }))
			mustSend(t, s)
			mustSend(t, s)
			if srv.Connections() != 2 || srv.Count("MAIL") != 2 || len(srv.Mails) != 2 {
				t.Errorf("%d connections, %d transactions, %d mails", srv.Connections(), srv.Count("MAIL"), len(srv.Mails))
			}
		})
	}
}

// TestTheServerHasGone: the server has closed a connection while it was idle.
func TestTheServerHasGone(t *testing.T) {
	gone := make(chan struct{})
	srv := serve(t, script{On: map[string]func(*talk, string) bool{"DATA": func(k *talk, line string) bool {
		k.Usual("DATA", line)
		_ = k.Close()
		select {
		case <-gone:
		default:
			close(gone)
		}
		return false
	}}})
	s := connector(t, at(srv))
	mustSend(t, s)
	<-gone
	mustSend(t, s)
	if srv.Connections() != 2 || len(srv.Mails) != 2 {
		t.Errorf("%d connections, %d mails", srv.Connections(), len(srv.Mails))
	}
}

func TestConnectionsAtRestAreClosed(t *testing.T) {
	quits := make(chan struct{}, 10)
	srv := serve(t, script{On: map[string]func(*talk, string) bool{"QUIT": func(*talk, string) bool {
		quits <- struct{}{}
		return false
	}}})
	s := connector(t, at(srv, func(c *smtp.Config) { c.IdleTimeout = time.Millisecond }))
	mustSend(t, s)
	<-quits
	mustSend(t, s)
	<-quits
	if n := srv.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestClose(t *testing.T) {
	quits := make(chan struct{}, 10)
	srv := serve(t, script{On: map[string]func(*talk, string) bool{"QUIT": func(*talk, string) bool {
		quits <- struct{}{}
		return false
	}}})
	s := connector(t, at(srv))
	mustSend(t, s)
	if n := smtp.Idle(s); n != 1 {
		t.Fatalf("%d connections are idle", n)
	}
	for range 2 {
		if err := s.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	}
	<-quits
	mustSend(t, s) // no connection is kept any more
	<-quits
	if n := smtp.Idle(s); n != 0 {
		t.Errorf("%d connections are idle", n)
	}
}

// TestMaxConnections: a message waits if no connection is free, and its time-out or ctx
// ends the wait.
func TestMaxConnections(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	srv := serve(t, script{On: map[string]func(*talk, string) bool{"MAIL": func(k *talk, line string) bool {
		arrived <- struct{}{}
		<-release
		return k.Usual("MAIL", line)
	}}})
	s := connector(t, at(srv, func(c *smtp.Config) { c.MaxConnections = 1 }))
	m := render(t, s)
	var sends sync.WaitGroup
	defer sends.Wait()
	first := make(chan error, 1)
	sends.Go(func() {
		_, err := s.Send(t.Context(), m)
		first <- err
	})
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err := s.Send(ctx, m)
	sendertest.WantCode(t, err, sender.Throttled, "SMTP.Busy")
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = s.Send(ctx, m)
	sendertest.WantCode(t, err, sender.Unavailable, "SMTP.Canceled")
	second := make(chan error, 1)
	sends.Go(func() {
		_, err := s.Send(t.Context(), m)
		second <- err
	})
	release <- struct{}{}
	if err := <-first; err != nil {
		t.Error(err)
	}
	<-arrived
	release <- struct{}{}
	if err := <-second; err != nil {
		t.Error(err)
	}
	if n := srv.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestManyAtOnce sends more messages than there are connections, while connections open
// and close.
func TestManyAtOnce(t *testing.T) {
	srv := serve(t, script{})
	s := connector(t, at(srv, func(c *smtp.Config) { c.MaxConnections, c.IdleTimeout = 4, 5*time.Millisecond }))
	m := render(t, s)
	var sends sync.WaitGroup
	for range 16 {
		sends.Go(func() {
			for range 10 {
				if _, err := s.Send(t.Context(), m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sends.Wait()
	if n := len(srv.Mails); n != 160 {
		t.Errorf("%d mails were accepted", n)
	}
}

func TestCheck(t *testing.T) {
	srv := serve(t, script{})
	s := connector(t, at(srv))
	if err := checkSender(t.Context(), s); err != nil {
		t.Error(err)
	}
	for word, want := range map[string]int{"EHLO": 1, "AUTH": 1, "QUIT": 1, "MAIL": 0, "DATA": 0} {
		sendertest.Equal(t, "the number of "+word, srv.Count(word), want)
	}
	for word, class := range map[string]sender.Class{"GREETING": sender.Unavailable, "EHLO": sender.Misconfigured, "AUTH": sender.AccountDown} {
		srv := serve(t, script{Replies: map[string]string{word: "535 5.7.8 no, " + pass}})
		err := checkSender(t.Context(), connector(t, at(srv)))
		sendertest.Want(t, err, class)
		sendertest.Hides(t, err, pass)
	}
}
