package smtp_test

import (
	"context"
	"fmt"
	"io"
	"net/textproto"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// second returns a script that ends a connection at the second use of a command.
func second(word string, end func(*talk) bool) script {
	var said sync.Map // by connection
	return script{On: map[string]func(*talk, string) bool{word: func(k *talk, line string) bool {
		if _, again := said.LoadOrStore(k, true); again {
			return end(k)
		}
		return k.Usual(word, line)
	}}}
}

// TestTheEndOfAConnection is not a failure of the message: if no part of it has left, it
// is sent over a new connection at once.
func TestTheEndOfAConnection(t *testing.T) {
	for _, word := range []string{"RSET", "MAIL", "RCPT", "DATA"} {
		for name, end := range map[string]func(*talk) bool{
			"421":            func(k *talk) bool { k.Say("421 4.7.0 Too many messages on this connection"); return false },
			"421, held open": func(k *talk) bool { k.Say("421 4.7.0 Too many messages on this connection"); return k.Wait() },
			"cut":            func(*talk) bool { return false },
			"reset":          (*talk).Reset,
			"half a word":    func(k *talk) bool { _, _ = k.Write([]byte("42")); return false },
			"no SMTP":        func(k *talk) bool { return k.Say("?") && k.Wait() },
		} {
			t.Run(word+" "+name, func(t *testing.T) {
				t.Parallel()
				sc := second(word, end)
				if word == "RSET" {
					sc = script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool { return end(k) }}}
				}
				srv := serve(t, sc)
				s := connector(t, at(srv))
				mustSend(t, s)
				mustSend(t, s)
				if srv.Connections() != 2 || len(srv.Mails) != 2 {
					t.Errorf("%d connections, %d mails", srv.Connections(), len(srv.Mails))
				}
			})
		}
	}
}

// TestAServerWithALimit that we do not know: every message is sent at its first attempt.
func TestAServerWithALimit(t *testing.T) {
	srv := serve(t, second("MAIL", func(k *talk) bool { k.Say("421 4.7.0 Too many messages on this connection"); return false }))
	s := connector(t, at(srv, func(c *smtp.Config) { c.MaxConnections = 1 }))
	for range 7 {
		mustSend(t, s)
	}
	if srv.Connections() != 7 || len(srv.Mails) != 7 {
		t.Errorf("%d connections, %d mails", srv.Connections(), len(srv.Mails))
	}
}

// TestANewConnectionsWord counts: the message is not sent a third time.
func TestANewConnectionsWord(t *testing.T) {
	for _, word := range []string{"GREETING", "EHLO", "MAIL", "RCPT", "DATA"} {
		for reply, class := range map[string]sender.Class{"421 4.3.2 bye": sender.Unavailable, "421 4.7.0 too many": sender.Throttled} {
			t.Run(fmt.Sprint(word, reply), func(t *testing.T) {
				t.Parallel()
				var mails atomic.Int64
				busy := func(w string) func(*talk, string) bool {
					return func(k *talk, line string) bool {
						if w == "MAIL" && mails.Add(1) == 2 {
							return k.Say("421 4.4.2 closing") && false // on the kept connection
						}
						if w == word && mails.Load() >= 2 {
							return k.Say(reply) && false
						}
						return k.Usual(w, line)
					}
				}
				srv := serve(t, script{On: map[string]func(*talk, string) bool{"MAIL": busy("MAIL"), word: busy(word)}})
				s := connector(t, at(srv))
				mustSend(t, s)
				_, err := send(t, s)
				sendertest.WantCode(t, err, class, reply[:9])
				if srv.Connections() != 2 || len(srv.Mails) != 1 {
					t.Errorf("%d connections, %d mails", srv.Connections(), len(srv.Mails))
				}
				if n := smtp.Idle(s); n != 0 {
					t.Errorf("%d connections at rest", n)
				}
			})
		}
	}
}

// TestOnceItHasLeft a message is not sent again, over a new or a kept connection.
func TestOnceItHasLeft(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*talk) bool
		class sender.Class
	}{
		"half of it": {func(k *talk) bool {
			k.Say("354 go on")
			_, _ = io.CopyN(io.Discard, k.R, 1<<10)
			return k.Reset()
		}, sender.Unavailable},
		"all of it": {func(k *talk) bool {
			k.Say("354 go on")
			_, _ = io.Copy(io.Discard, textproto.NewReader(k.R).DotReader())
			return false
		}, sender.Unknown},
	} {
		srv := serve(t, second("DATA", c.end))
		s := connector(t, at(srv))
		mustSend(t, s)
		_, err := s.Send(t.Context(), huge(t, s))
		sendertest.Want(t, err, c.class)
		if srv.Connections() != 1 || srv.Count("MAIL") != 2 || len(srv.Mails) != 1 {
			t.Errorf("%s: %d connections, %d transactions, %d mails", name, srv.Connections(), srv.Count("MAIL"), len(srv.Mails))
		}
	}
}

// TestARefusalOnAKeptConnection is a reply: the message is not sent again on a new
// connection.
func TestARefusalOnAKeptConnection(t *testing.T) {
	srv := serve(t, second("RCPT", func(k *talk) bool { return k.Say("450 4.2.0 Greylisted") }))
	s := connector(t, at(srv))
	mustSend(t, s)
	_, err := send(t, s)
	sendertest.Want(t, err, sender.Unavailable)
	if srv.Connections() != 1 {
		t.Errorf("%d connections", srv.Connections())
	}
}

// TestCalledOff: if a send is canceled while a kept connection ends, it does not wait for
// a new one.
func TestCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := serve(t, second("MAIL", func(k *talk) bool { cancel(); return k.Wait() }))
	s := connector(t, at(srv))
	mustSend(t, s)
	_, err := s.Send(ctx, render(t, s))
	if e := sendertest.Want(t, err, sender.Unavailable); e.Code != "SMTP.Canceled" || srv.Connections() != 1 {
		t.Errorf("got code %q over %d connections, want SMTP.Canceled over 1: %v", e.Code, srv.Connections(), e)
	}
}
