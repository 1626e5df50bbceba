package smtp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// words are the steps of a client until its message is accepted, in order. The first is
// the connection's greeting.
var words = []string{"GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END"}

// after returns the class of an error of a connection that breaks at a step.
func after(word string) sender.Class {
	if word == "END" {
		return sender.Unknown
	}
	return sender.Unavailable
}

func TestCuts(t *testing.T) {
	for _, word := range words {
		for name, end := range map[string]func(*talk) bool{
			"cut":                  func(*talk) bool { return false },
			"reset":                (*talk).Reset,
			"half an answer":       func(k *talk) bool { _, _ = io.WriteString(k, "25"); return false },
			"half of many lines":   func(k *talk) bool { k.Say("250-more"); return false },
			"no SMTP":              func(k *talk) bool { k.Say("HTTP/1.1 400 Bad Request"); return false },
			"an answer of 512 KiB": func(k *talk) bool { k.Say("250 " + strings.Repeat("x", 1<<19)); return k.Wait() },
			"lines without end":    func(k *talk) bool { return endless(k, "250-more\r\n") },
			"a line without end":   func(k *talk) bool { return endless(k, strings.Repeat("x", 4096)) },
		} {
			t.Run(word+" "+name, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool { return end(k) }}})
				_, err := send(t, connector(t, at(srv)))
				e := sendertest.Want(t, err, after(word))
				if endless := strings.HasSuffix(name, "end") || name == "an answer of 512 KiB"; endless && !strings.HasSuffix(e.Detail, "the answer has no end") {
					t.Errorf("the detail is %q, want it to say that the answer has no end", e.Detail)
				}
				sendertest.Hides(t, err, to, code, pass)
				if n := srv.Count("MAIL"); n > 1 || srv.Connections() != 1 {
					t.Errorf("%d transactions over %d connections", n, srv.Connections())
				}
			})
		}
	}
}

func endless(k *talk, text string) bool {
	for {
		if _, err := io.WriteString(k, text); err != nil {
			return false
		}
	}
}

// TestSilence: ctx ends every wait.
func TestSilence(t *testing.T) {
	for _, word := range words {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			srv := serve(t, script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool {
				cancel()
				return k.Wait()
			}}})
			s := connector(t, at(srv))
			_, err := s.Send(ctx, render(t, s))
			sendertest.WantCode(t, err, after(word), "SMTP.Canceled")
		})
	}
}

// TestTimeouts: each time-out ends a silence at its own step, and Timeout at every step.
func TestTimeouts(t *testing.T) {
	quiet := func(word string) script {
		return script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool { return k.Wait() }}}
	}
	for _, c := range []struct {
		name, word string
		change     func(*smtp.Config)
	}{
		{"timeout", "MAIL", func(c *smtp.Config) { c.Timeout = 200 * time.Millisecond }},
		{"timeout after the end", "END", func(c *smtp.Config) { c.Timeout = 200 * time.Millisecond }},
		{"greetingTimeout", "GREETING", func(c *smtp.Config) { c.GreetingTimeout, c.SocketTimeout = 100, 60000 }},
		{"socketTimeout", "RCPT", func(c *smtp.Config) { c.GreetingTimeout, c.SocketTimeout = 60000, 100 }},
		{"socketTimeout after the end", "END", func(c *smtp.Config) { c.SocketTimeout = 100 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := send(t, connector(t, at(serve(t, quiet(c.word)), func(c *smtp.Config) { c.Timeout = time.Minute }, c.change)))
			sendertest.WantCode(t, err, after(c.word), "SMTP.Timeout")
		})
	}
}

// TestHalfALine: a line that stalls is reported as a time-out, and one that is cut as a
// cut. Neither is reported as another protocol.
func TestHalfALine(t *testing.T) {
	for _, word := range words {
		for said, half := range map[string]string{"one digit": "2", "two digits": "25", "many lines": "250-more\r\n25"} {
			for end, code := range map[string]string{"stalls": "SMTP.Timeout", "is cut": "SMTP.Cut"} {
				t.Run(word+" "+said+" "+end, func(t *testing.T) {
					t.Parallel()
					srv := serve(t, script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool {
						_, _ = io.WriteString(k, half)
						return end == "stalls" && k.Wait()
					}}})
					_, err := send(t, connector(t, at(srv, func(c *smtp.Config) {
						c.Timeout = time.Minute
						if end == "stalls" {
							c.GreetingTimeout, c.SocketTimeout = 200, 200
						}
					})))
					if e := sendertest.Want(t, err, after(word)); e.Code != code {
						t.Errorf("code %q, want %q: %s", e.Code, code, e.Detail)
					}
				})
			}
		}
	}
}

// TestDNSTimeout: dnsTimeout bounds the look-up, and nothing after it.
func TestDNSTimeout(t *testing.T) {
	s := connector(t, at(serve(t, script{}), func(c *smtp.Config) { c.Host, c.DNSTimeout, c.Timeout = "smtp.example.com", 100, time.Minute }))
	smtp.Resolve(s, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, err := send(t, s)
	e := sendertest.WantCode(t, err, sender.Unavailable, "SMTP.Timeout")
	sendertest.Holds(t, "the detail", e.Detail, "dnsTimeout")
	release := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	mustSend(t, connector(t, at(serve(t, script{On: map[string]func(*talk, string) bool{"GREETING": func(k *talk, line string) bool {
		<-release
		return k.Usual("GREETING", line)
	}}}), func(c *smtp.Config) { c.DNSTimeout, c.ConnectionTimeout = 50, 60000 })))
}

// huge returns a message that is larger than any socket buffer.
func huge(t testing.TB, s sender.Sender) *sender.Message {
	m := render(t, s)
	m.HTML = strings.Repeat(strings.Repeat("x", 70)+"\n", 80000)
	return m
}

// TestWithoutItsEndThereIsNoMessage: if a connection breaks while the message is being
// sent, the server has surely accepted nothing.
func TestWithoutItsEndThereIsNoMessage(t *testing.T) {
	for name, c := range map[string]struct {
		body  func(k *talk, cancel func()) bool
		class sender.Class
		code  string
	}{
		"reset": {func(k *talk, _ func()) bool { return k.Reset() }, sender.Unavailable, "SMTP.Cut"},
		"silence": {func(k *talk, cancel func()) bool {
			cancel()
			<-k.Server.Ended
			return false
		}, sender.Unavailable, "SMTP.Canceled"},
		"an early answer": {func(k *talk, _ func()) bool {
			k.Say("552 5.3.4 too big")
			_, _ = io.CopyN(io.Discard, k.R, 1<<20)
			return k.Reset()
		}, sender.Permanent, "552 5.3.4"},
		"an early success is none": {func(k *talk, _ func()) bool {
			k.Say("250 2.0.0 queued as X")
			_, _ = io.CopyN(io.Discard, k.R, 1<<20)
			return k.Reset()
		}, sender.Unavailable, "SMTP.Cut"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			srv := serve(t, script{On: map[string]func(*talk, string) bool{"BODY": func(k *talk, _ string) bool { return c.body(k, cancel) }}})
			s := connector(t, at(srv, func(c *smtp.Config) { c.Timeout = time.Minute }))
			_, err := s.Send(ctx, huge(t, s))
			sendertest.WantCode(t, err, c.class, c.code)
		})
	}
}

// TestAnswersToNothing: a reply before its command would count for the next command, and
// in the end as a success.
func TestAnswersToNothing(t *testing.T) {
	for _, word := range []string{"GREETING", "AUTH", "MAIL", "RCPT", "DATA"} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			reply := map[string]string{"GREETING": "220 hello", "AUTH": "235 ok", "DATA": "354 go on"}[word]
			if reply == "" {
				reply = "250 ok"
			}
			srv := serve(t, script{Replies: map[string]string{word: reply + "\r\n250 2.0.0 Ok: queued as X"}})
			receipt, err := send(t, connector(t, at(srv)))
			sendertest.WantCode(t, err, sender.Unavailable, "SMTP.Protocol")
			sendertest.Equal(t, "the receipt", receipt, sender.Receipt{})
		})
	}
}

func TestTheWayThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	ca := testca.New(t)
	for name, c := range map[string]struct {
		change func(*smtp.Config)
		code   string
	}{
		"refused":      {func(c *smtp.Config) { c.Port = closed }, "SMTP.Connect"},
		"no such host": {func(c *smtp.Config) { c.Host = "smtp.invalid" }, "SMTP.Connect"},
		"not from here": {func(c *smtp.Config) {
			c.LocalAddress = "192.0.2.1"
		}, "SMTP.Connect"},
		"TLS to who speaks none": {func(c *smtp.Config) { c.Secure = new(true) }, "SMTP.TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connector(t, at(serve(t, script{}), c.change))
			_, err := send(t, s)
			sendertest.WantCode(t, err, sender.Unavailable, c.code)
			sendertest.Want(t, checkSender(t.Context(), s), sender.Unavailable)
		})
	}
	for name, c := range map[string]struct {
		tls  *tls.Config
		name string
	}{
		"a certificate of nobody": {testca.New(t).Server(false, "127.0.0.1"), ""},
		"another's certificate":   {ca.Server(false, "127.0.0.1"), "smtp.example.com"},
	} {
		for _, implicit := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, script{TLS: c.tls, Implicit: implicit})
				s := connector(t, at(srv, func(x *smtp.Config) {
					x.Secure, x.CAFile, x.ServerName = new(implicit), sender.TextFile(string(ca.Root())), c.name
				}))
				_, err := send(t, s)
				sendertest.WantCode(t, err, sender.Unavailable, "SMTP.TLS")
				if srv.Count("AUTH")+srv.Count("MAIL") > 0 {
					t.Error("the client went on after a failed handshake")
				}
			})
		}
	}
}
