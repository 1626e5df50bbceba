package smtp_test

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/relay"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// together is how many sessions are idle before the network loses them.
const together = 4

// gathered holds the first mails at a command until all of them have come, so all their
// sessions are open at once.
func gathered(on map[string]func(*talk, string) bool) script {
	var mu sync.Mutex
	n, all := 0, make(chan struct{})
	on["MAIL"] = func(k *talk, line string) bool {
		mu.Lock()
		n++
		if n == together {
			close(all)
		}
		mu.Unlock()
		<-all
		return k.Usual("MAIL", line)
	}
	return script{On: on}
}

// resting makes a connector with idle sessions, behind a relay.
func resting(t *testing.T, srv *server, changes ...func(*smtp.Config)) (*relay.Relay, sender.Sender) {
	t.Helper()
	r, err := relay.New(net.JoinHostPort(srv.Host, strconv.Itoa(srv.Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	_, port, err := net.SplitHostPort(r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	s := connector(t, at(srv, append(changes, func(c *smtp.Config) { c.Port, _ = strconv.Atoi(port) })...))
	m := render(t, s)
	var sends sync.WaitGroup
	for range together {
		sends.Go(func() {
			if _, err := s.Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	sends.Wait()
	if n := smtp.Idle(s); n != together {
		t.Fatalf("%d sessions are idle, want %d", n, together)
	}
	return r, s
}

// TestTheNetworkForgets the idle sessions. The first mail finds one of them dead, and
// none of the others is tried.
func TestTheNetworkForgets(t *testing.T) {
	t.Parallel()
	srv := serve(t, gathered(map[string]func(*talk, string) bool{}))
	r, s := resting(t, srv)
	r.Forget()
	mustSend(t, s)
	if n := smtp.Idle(s); n != 1 {
		t.Errorf("%d sessions are idle, want only the new one", n)
	}
	mustSend(t, s)
	if n := r.Accepted(); n != together+1 {
		t.Errorf("%d connections, want %d", n, together+1)
	}
}

// TestALossInTheMiddle of a mail: the other sessions are not trusted either, and the next
// mail uses a new one. A reply, even a 421, says nothing about the others.
func TestALossInTheMiddle(t *testing.T) {
	silence, reset := (*talk).Wait, (*talk).Reset
	refusal := func(k *talk) bool { return k.Say("550 5.1.1 no such user") }
	goodbye := func(k *talk) bool { k.Say("421 4.3.2 bye"); return false }
	for name, loss := range map[string]struct {
		word string
		lose func(*talk) bool
		sent bool
		// rest is how many sessions are idle after it.
		rest int
	}{
		"silence at RCPT":   {"RCPT", silence, true, 1}, // a new session took the mail
		"a reset at RCPT":   {"RCPT", reset, true, 1},
		"a refusal at RCPT": {"RCPT", refusal, false, together},
		"a goodbye at RCPT": {"RCPT", goodbye, true, together},
		"silence at END":    {"END", silence, false, 0},
		"a reset at END":    {"END", reset, false, 0},
		"a refusal at END":  {"END", refusal, false, together},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			came := 0
			sc := gathered(map[string]func(*talk, string) bool{loss.word: func(k *talk, line string) bool {
				mu.Lock()
				came++
				n := came
				mu.Unlock()
				switch {
				case n == together+1:
					return loss.lose(k)
				case loss.word == "END":
					return k.Say("250 2.0.0 Ok")
				}
				return k.Usual(loss.word, line)
			}})
			srv := serve(t, sc)
			_, s := resting(t, srv, func(c *smtp.Config) { c.SocketTimeout = 3000 })
			_, err := send(t, s)
			if (err == nil) != loss.sent {
				t.Errorf("sent: %v, want %v", err, loss.sent)
			}
			if err != nil {
				sendertest.Hides(t, err, to, code, pass)
			}
			if n := smtp.Idle(s); n != loss.rest {
				t.Errorf("%d sessions are idle after %v, want %d", n, err, loss.rest)
			}
			mustSend(t, s)
		})
	}
}
