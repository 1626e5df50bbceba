package smtp_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// TestWaitsEndAtNotAfter, for every step before the end of the data, and nothing is
// accepted.
func TestWaitsEndAtNotAfter(t *testing.T) {
	ca := testca.New(t)
	overTLS := script{TLS: ca.Server(false, "127.0.0.1")}
	implicit := script{TLS: overTLS.TLS, Implicit: true}
	trusted := func(c *smtp.Config) { c.CAFile = sender.TextFile(string(ca.Root())) }
	plain := func(*smtp.Config) {}
	for name, c := range map[string]struct {
		word   string // the command at which the server is silent
		server script
		change func(*smtp.Config)
		big    bool
	}{
		"the greeting":           {"GREETING", script{}, plain, false},
		"the greeting over TLS":  {"GREETING", implicit, func(c *smtp.Config) { trusted(c); c.Secure = new(true) }, false},
		"EHLO":                   {"EHLO", script{}, plain, false},
		"STARTTLS":               {"STARTTLS", overTLS, trusted, false},
		"AUTH":                   {"AUTH", script{}, plain, false},
		"MAIL":                   {"MAIL", script{}, plain, false},
		"RCPT":                   {"RCPT", script{}, plain, false},
		"DATA":                   {"DATA", script{}, plain, false},
		"the message's own text": {"BODY", script{}, plain, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sendertest.Soon(t, func(notAfter time.Time) bool {
				reached := make(chan struct{})
				arrive := sync.OnceFunc(func() { close(reached) })
				sc := c.server
				sc.On = map[string]func(*talk, string) bool{c.word: func(k *talk, _ string) bool {
					arrive()
					<-k.Server.Ended // the server does not read either
					return false
				}}
				srv := serve(t, sc)
				s := connector(t, at(srv, func(c *smtp.Config) { c.Timeout = sendertest.Patience }, c.change))
				m := render(t, s)
				if c.big {
					m = huge(t, s)
				}
				m.NotAfter = notAfter
				receipt, err := s.Send(t.Context(), m)
				sendertest.WantExpired(t, err)
				sendertest.Hides(t, err, to, code, pass)
				if receipt != (sender.Receipt{}) || len(srv.Mails) != 0 || srv.Connections() > 1 {
					t.Errorf("receipt %+v, %d mails accepted, %d connections", receipt, len(srv.Mails), srv.Connections())
				}
				return sendertest.Closed(reached)
			})
		})
	}
}

// TestTheWayToTheServerEndsAtNotAfter, if no server is reached.
func TestTheWayToTheServerEndsAtNotAfter(t *testing.T) {
	for name, setUp := range map[string]func(t *testing.T, reached func()) sender.Sender{
		"the look-up": func(t *testing.T, reached func()) sender.Sender {
			s := connector(t, at(serve(t, script{}), func(c *smtp.Config) { c.Host, c.Timeout = "smtp.example.com", sendertest.Patience }))
			smtp.Resolve(s, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				reached()
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			return s
		},
		"a handshake": func(t *testing.T, reached func()) sender.Sender {
			srv := faulty.Raw(t, func(c *faulty.Conn) {
				c.AwaitByte()
				reached()
				c.Wait()
			})
			return connector(t, toRaw(t, srv, func(c *smtp.Config) { c.Secure, c.Timeout = new(true), sendertest.Patience }))
		},
		"a token": func(t *testing.T, reached func()) sender.Sender {
			i := newIssuer(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
				reached()
				<-r.Context().Done()
			})
			return connector(t, at(serve(t, takesTokens()), refreshing(i), func(c *smtp.Config) { c.Timeout = sendertest.Patience }))
		},
		"a service's token": func(t *testing.T, reached func()) sender.Sender {
			i := newIssuer(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
				reached()
				<-r.Context().Done()
			})
			return connector(t, at(serve(t, takesTokens()), refreshing(i), func(c *smtp.Config) {
				c.Auth.ServiceClient, c.Auth.PrivateKey.Key, c.Timeout = "service@example.com", rsaKey(), sendertest.Patience
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sendertest.Soon(t, func(notAfter time.Time) bool {
				reached := make(chan struct{})
				s := setUp(t, sync.OnceFunc(func() { close(reached) }))
				m := render(t, s)
				m.NotAfter = notAfter
				_, err := s.Send(t.Context(), m)
				sendertest.WantExpired(t, err)
				return sendertest.Closed(reached)
			})
		})
	}
}

// toRaw returns a configuration that connects to a TCP server.
func toRaw(t testing.TB, srv *faulty.Server, changes ...func(*smtp.Config)) *smtp.Config {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", srv.Endpoint[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	return at(&server{Host: a.IP.String(), Port: a.Port}, changes...)
}

// TestABusyPool: the wait for a connection ends at NotAfter.
func TestABusyPool(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	srv := serve(t, script{On: map[string]func(*talk, string) bool{"MAIL": func(k *talk, line string) bool {
		close(arrived)
		<-release
		return k.Usual("MAIL", line)
	}}})
	s := connector(t, at(srv, func(c *smtp.Config) { c.MaxConnections, c.Timeout = 1, sendertest.Patience }))
	m := render(t, s)
	goOn := sync.OnceFunc(func() { close(release) })
	defer goOn()
	first := make(chan error, 1)
	go func() {
		_, err := s.Send(t.Context(), m)
		first <- err
	}()
	<-arrived
	late := *m
	late.NotAfter = time.Now().Add(100 * time.Millisecond)
	_, err := s.Send(t.Context(), &late)
	sendertest.WantExpired(t, err)
	goOn()
	if err := <-first; err != nil {
		t.Errorf("the message that had the connection: %v", err)
	}
	if n := srv.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestTheClockDecides: directly before the end of the data, the clock decides whether the
// end leaves, even if no timer has fired. Without it, the message stays incomplete, and
// the next message uses a new connection.
func TestTheClockDecides(t *testing.T) {
	for _, word := range []string{"", "GREETING", "MAIL", "DATA"} {
		t.Run(word, func(t *testing.T) {
			notAfter := time.Now().Add(time.Hour)
			var jumped atomic.Bool
			jumped.Store(word == "")
			ends := make(chan string, 10)
			on := map[string]func(*talk, string) bool{"END": func(k *talk, _ string) bool {
				ends <- "an end"
				return k.Say("250 2.0.0 Ok")
			}}
			if word != "" {
				on[word] = func(k *talk, line string) bool {
					jumped.Store(true)
					return k.Usual(word, line)
				}
			}
			srv := serve(t, script{On: on})
			s := connector(t, at(srv, func(c *smtp.Config) {
				smtp.SetClock(c, func() time.Time {
					if jumped.Load() {
						return notAfter
					}
					return notAfter.Add(-1)
				})
			}))
			m := render(t, s)
			m.NotAfter = notAfter
			_, err := s.Send(t.Context(), m)
			sendertest.WantExpired(t, err)
			if n := srv.Connections(); word == "" && n != 0 {
				t.Errorf("%d connections for a message that was already too late", n)
			}
			m.NotAfter = time.Time{}
			if _, err := s.Send(t.Context(), m); err != nil {
				t.Errorf("the next message: %v", err)
			}
			if n := len(ends); n != 1 {
				t.Errorf("%d messages were ended, want only the next one", n)
			}
			if n := srv.Count("QUIT") + srv.Count("RSET"); n != 0 {
				t.Errorf("a command was sent after half a message: %q", srv.Lines())
			}
		})
	}
}

// TestTheAnswerMayComeAfterNotAfter, to a message whose end has left before it.
func TestTheAnswerMayComeAfterNotAfter(t *testing.T) {
	sendertest.Soon(t, func(notAfter time.Time) bool {
		reached, answer := make(chan struct{}), make(chan struct{})
		arrive := sync.OnceFunc(func() { close(reached) })
		srv := serve(t, script{On: map[string]func(*talk, string) bool{"END": func(k *talk, _ string) bool {
			arrive()
			<-answer
			return k.Say("250 2.0.0 Ok: queued as Q1")
		}}})
		s := connector(t, at(srv, func(c *smtp.Config) { c.Timeout = sendertest.Patience }))
		m := render(t, s)
		m.NotAfter = notAfter
		far := sendertest.AnsweredAfter(t, notAfter, reached, answer, func() error {
			receipt, err := s.Send(t.Context(), m)
			if err == nil && receipt.ProviderID != "Q1" {
				t.Errorf("receipt %+v", receipt)
			}
			return err
		})
		if far && smtp.Idle(s) != 1 {
			t.Errorf("%d connections are idle, want the one that carried the message", smtp.Idle(s))
		}
		return far
	})
}

// TestOtherEndsComeFirst: a context or a time-out that ends before NotAfter stays what it is.
func TestOtherEndsComeFirst(t *testing.T) {
	for _, word := range words {
		for name, c := range map[string]struct {
			timeout time.Duration
			cancel  bool
			code    string
		}{
			"called off":   {time.Minute, true, "SMTP.Canceled"},
			"no more time": {200 * time.Millisecond, false, "SMTP.Timeout"},
		} {
			t.Run(word+" "+name, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				srv := serve(t, script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool {
					if c.cancel {
						cancel()
					}
					return k.Wait()
				}}})
				s := connector(t, at(srv, func(x *smtp.Config) { x.Timeout = c.timeout }))
				m := render(t, s)
				m.NotAfter = time.Now().Add(time.Hour)
				_, err := s.Send(ctx, m)
				if e := sender.AsError(err); err == nil || e.Code != c.code {
					t.Errorf("got %v, want code %s", err, c.code)
				}
			})
		}
	}
}
