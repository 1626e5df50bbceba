package smtp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// words are all that a client says until its message is accepted, in order; the
// connection's own first.
var words = []string{"GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END"}

// after is what a connection that breaks at a word means for a message.
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
					t.Error(e)
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

// TestSilence: ctx ends whatever is waited for.
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
			if e := sendertest.Want(t, err, after(word)); e.Code != "SMTP.Canceled" {
				t.Error(e)
			}
		})
	}
}

// TestTimeouts: each ends a silence where it bounds it, and Timeout everywhere.
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
			if e := sendertest.Want(t, err, after(c.word)); e.Code != "SMTP.Timeout" {
				t.Error(e)
			}
		})
	}
}

// TestDNSTimeout bounds the look-up, and nothing after it.
func TestDNSTimeout(t *testing.T) {
	s := connector(t, at(serve(t, script{}), func(c *smtp.Config) { c.Host, c.DNSTimeout, c.Timeout = "smtp.example.com", 100, time.Minute }))
	smtp.Resolve(s, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, err := send(t, s)
	if e := sendertest.Want(t, err, sender.Unavailable); e.Code != "SMTP.Timeout" || !strings.Contains(e.Detail, "dnsTimeout") {
		t.Error(e)
	}
	release := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	mustSend(t, connector(t, at(serve(t, script{On: map[string]func(*talk, string) bool{"GREETING": func(k *talk, line string) bool {
		<-release
		return k.Usual("GREETING", line)
	}}}), func(c *smtp.Config) { c.DNSTimeout, c.ConnectionTimeout = 50, 60000 })))
}

// huge is a message that no socket buffer takes in at once.
func huge(t testing.TB, s sender.Sender) *sender.Message {
	m := render(t, s)
	m.HTML = strings.Repeat(strings.Repeat("x", 70)+"\n", 80000)
	return m
}

// TestWithoutItsEndThereIsNoMessage: a connection that breaks while the message
// leaves has surely accepted nothing.
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
			if e := sendertest.Want(t, err, c.class); e.Code != c.code {
				t.Error(e)
			}
		})
	}
}

// TestAnswersToNothing: an answer before its question would be taken for that of
// the next one, and in the end for a success.
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
			if e := sendertest.Want(t, err, sender.Unavailable); e.Code != "SMTP.Protocol" || receipt != (sender.Receipt{}) {
				t.Error(e, receipt)
			}
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
	ca := newAuthority(t)
	for name, c := range map[string]struct {
		change func(*smtp.Config)
		code   string
	}{
		"refused":      {func(c *smtp.Config) { c.Port = closed }, "SMTP.Connect"},
		"no such host": {func(c *smtp.Config) { c.Host = "smtp.invalid" }, "SMTP.Connect"},
		"not from here": {func(c *smtp.Config) {
			c.LocalAddress = "192.0.2.1"
		}, "SMTP.Connect"},
		"TLS to who speaks none": {func(c *smtp.Config) { c.Secure = ptr(true) }, "SMTP.TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connector(t, at(serve(t, script{}), c.change))
			_, err := send(t, s)
			if e := sendertest.Want(t, err, sender.Unavailable); e.Code != c.code {
				t.Error(e)
			}
			sendertest.Want(t, check(t.Context(), s), sender.Unavailable)
		})
	}
	for name, c := range map[string]struct {
		tls  *tls.Config
		name string
	}{
		"a certificate of nobody": {newAuthority(t).server(t, "127.0.0.1"), ""},
		"another's certificate":   {ca.server(t, "127.0.0.1"), "smtp.example.com"},
	} {
		for _, implicit := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, script{TLS: c.tls, Implicit: implicit})
				s := connector(t, at(srv, func(x *smtp.Config) {
					x.Secure, x.CAFile, x.ServerName = ptr(implicit), sender.TextFile(ca.pem), c.name
				}))
				_, err := send(t, s)
				if e := sendertest.Want(t, err, sender.Unavailable); e.Code != "SMTP.TLS" {
					t.Error(e)
				}
				if srv.Count("AUTH")+srv.Count("MAIL") > 0 {
					t.Error("it went on")
				}
			})
		}
	}
}

func ptr[T any](v T) *T { return &v }
