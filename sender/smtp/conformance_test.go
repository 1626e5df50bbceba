package smtp_test

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

func TestConformance(t *testing.T) {
	sendertest.Conformance(t, &sendertest.Provider{
		New: func(t testing.TB, endpoint string, timeout time.Duration) sender.Sender {
			host, port, err := net.SplitHostPort(endpoint)
			if err != nil {
				t.Fatal(err)
			}
			c := good()
			if c.Port, err = strconv.Atoi(port); err != nil {
				t.Fatal(err)
			}
			c.Host, c.Timeout = host, timeout
			return connector(t, c)
		},
		Message: signIn, Private: []string{pass}, Words: []string{"SignIn: ", "您的验证码"},
		Fake: fake, Failures: failures(), Late: late, Repeats: repeats, Answers: refusals(), Codes: smtp.Rows,
	})
}

// scripted serves a server that runs do at a command. do calls arrived when the client
// has come as far as the server lets it.
func scripted(word string, do func(k *talk, arrived func()) bool) func(testing.TB) *sendertest.Served {
	return func(t testing.TB) *sendertest.Served {
		came := make(chan struct{})
		arrived := sync.OnceFunc(func() { close(came) })
		s := served(serve(t, script{On: map[string]func(*talk, string) bool{word: func(k *talk, _ string) bool { return do(k, arrived) }}}))
		s.Arrived = came
		return s
	}
}

func served(s *server) *sendertest.Served {
	return &sendertest.Served{
		Endpoint: net.JoinHostPort(s.Host, strconv.Itoa(s.Port)),
		Requests: func() int { return s.Count("MAIL") },
	}
}

func fake(t testing.TB) *sendertest.Fake {
	srv := serve(t, script{})
	s := served(srv)
	var to []string
	return &sendertest.Fake{Endpoint: s.Endpoint, Requests: s.Requests, Accepted: func() []string {
		for len(srv.Mails) > 0 {
			m := <-srv.Mails
			to = append(to, strings.TrimSuffix(strings.TrimPrefix(m.To, "RCPT TO:<"), ">"))
		}
		return to
	}}
}

func failures() map[string]sendertest.Failure {
	before := func(do func(*talk, func()) bool) sendertest.Failure {
		return sendertest.Failure{Serve: scripted("GREETING", do), Class: sender.Unavailable}
	}
	after := func(do func(*talk, func()) bool) sendertest.Failure {
		return sendertest.Failure{Serve: scripted("END", do), Class: sender.Unknown, Requests: 1}
	}
	silent := func(k *talk, arrived func()) bool {
		arrived()
		return k.Wait()
	}
	cut := func(*talk, func()) bool { return false }
	all := map[string]sendertest.Failure{
		sendertest.NobodyListens: {Class: sender.Unavailable, Serve: func(t testing.TB) *sendertest.Served {
			return &sendertest.Served{Endpoint: strings.TrimPrefix(faulty.Refused(t).Endpoint, "http://"), Requests: func() int { return 0 }}
		}},
		sendertest.NoSuchHost: {Class: sender.Unavailable, Serve: func(testing.TB) *sendertest.Served {
			return &sendertest.Served{Endpoint: "smtp.invalid:587", Requests: func() int { return 0 }}
		}},
		sendertest.CutBefore:   before(cut),
		sendertest.StallBefore: before(silent),
		sendertest.CutAfter:    after(cut),
		sendertest.ResetAfter:  after(func(k *talk, _ func()) bool { return k.Reset() }),
		sendertest.StallAfter:  after(silent),
		sendertest.HalfAnswer: after(func(k *talk, _ func()) bool {
			_, _ = io.WriteString(k, "25")
			return false
		}),
		sendertest.EmptyOne:   after(func(k *talk, _ func()) bool { return k.Say("") && k.Wait() }),
		sendertest.HugeOne:    after(func(k *talk, _ func()) bool { return k.Say("250 "+strings.Repeat("x", 1<<19)) && k.Wait() }),
		sendertest.OtherWords: after(func(k *talk, _ func()) bool { return k.Say("HTTP/1.1 400 Bad Request") && k.Wait() }),
	}
	for name, f := range all {
		f.Slow = name == sendertest.StallBefore || name == sendertest.StallAfter
		all[name] = f
	}
	return all
}

func late(t testing.TB) *sendertest.Served {
	answer := make(chan struct{})
	s := scripted("END", func(k *talk, arrived func()) bool {
		arrived()
		<-answer
		return k.Usual("END", "")
	})(t)
	s.Answer = answer
	return s
}

// repeats serves a server that refuses a mail with a text made from everything that the
// client has sent, in one line.
func repeats(t testing.TB, words func(request string) string) *sendertest.Served {
	return scripted("BODY", func(k *talk, _ func()) bool {
		data, err := io.ReadAll(textproto.NewReader(k.R).DotReader())
		if err != nil {
			return false
		}
		said := words(strings.Join(k.Server.Lines(), " ") + " " + string(data))
		return k.Say("554 5.7.1 " + strings.NewReplacer("\r", " ", "\n", " ").Replace(said))
	})(t)
}

// refusals are servers' replies, and what they mean.
func refusals() map[string]sendertest.Answer {
	all := make(map[string]sendertest.Answer)
	for scope, replies := range scopes {
		for _, r := range replies {
			all[fmt.Sprint(r.at, " ", r.reply)] = sendertest.Answer{
				Serve: func(t testing.TB) *sendertest.Served {
					return served(serve(t, script{Replies: map[string]string{r.at: r.reply}}))
				},
				Meaning: sendertest.Meaning{Class: r.class, Scope: scope},
			}
		}
	}
	return all
}
