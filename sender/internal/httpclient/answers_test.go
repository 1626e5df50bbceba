package httpclient

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

const (
	okHeader = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
	okAnswer = okHeader + "ok"
	// second is the answer on every connection but a test's first one.
	second = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
)

// TestAnswers: what is read from an answer on either path, and whether its connection is
// used again. The next request gets its own answer, whatever came before.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, says string
		status     int
		body       string
		broken     string // why the body is not complete
		kept       bool
	}{
		{name: "plain", says: okAnswer, status: 200, body: "ok", kept: true},
		{name: "no body", says: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, kept: true},
		{name: "in chunks", says: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", status: 200, body: "ok", kept: true},
		{name: "a trailer that names a length", says: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 7\r\n\r\n", status: 200, body: "ok", kept: true},
		{name: "an early hint", says: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + okAnswer, status: 200, body: "ok", kept: true},
		{name: "lines that end by LF", says: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", status: 200, body: "ok", kept: true},
		{name: "an error", says: "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", status: 500, body: "no", kept: true},
		{name: "a redirect", says: "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", status: 302, kept: true},
		{name: "it closes", says: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		{name: "HTTP/1.0", says: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		{name: "until the end", says: "HTTP/1.1 200 OK\r\n\r\nok", status: 200, body: "ok"},
		{name: "an upgrade", says: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + okAnswer, status: 101},
		{name: "two answers", says: okAnswer + okAnswer, status: 200, body: "ok"},
		{name: "half a body", says: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", status: 200, body: "ok", broken: "unexpected EOF"},
		{name: "a length beyond all", says: "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok", status: 200, body: "ok", broken: "unexpected EOF"},
		{name: "a chunk without a length", says: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", status: 200, broken: errNoHTTP.Error()},
		{name: "a trailer that is none", says: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n+8613012345678\r\n\r\n", status: 200, body: "ok", broken: errNoHTTP.Error()},
		{name: "a long body", says: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 5000), status: 200, broken: errTooLong.Error()},
		{name: "many early hints", says: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20) + okAnswer, status: 200, body: "ok", kept: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rawWays(t, func(t *testing.T, w way) {
				gone := make(chan struct{})
				conns := make(chan int, 10)
				endpoint, client := w.raw(t, Options{MaxAnswer: 2000}, func(k *talker) {
					conns <- k.n
					answer := c.says
					if k.n > 0 {
						answer = second
					} else {
						defer close(gone)
					}
					for k.request() && k.say(answer) {
						if answer = second; k.n == 0 && !c.kept {
							_ = k.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // the client may wait for the end
						}
					}
				})
				answer, err := client.Do(t.Context(), patient(post(t, endpoint, "a")))
				if err != nil {
					t.Fatalf("the first exchange: %v", err)
				}
				if answer.Status != c.status {
					t.Errorf("status %d, want %d", answer.Status, c.status)
				}
				if got := string(answer.Body); c.broken != errTooLong.Error() && got != c.body {
					t.Errorf("body %q, want %q", got, c.body)
				}
				if c.broken == "" && answer.Broken != nil || c.broken != "" && (answer.Broken == nil || answer.Broken.Error() != c.broken) {
					t.Errorf("the body broke by %v, want %q", answer.Broken, c.broken)
				}
				if !c.kept {
					<-gone // net/http notices a moment later that a connection serves no more
				}
				if _, body, err := ask(t.Context(), client, patient(post(t, endpoint, "b"))); body != "second" || err != nil {
					t.Errorf("the next exchange: %q, %v", body, err)
				}
				if n, want := len(conns), 2; (n == 1) != c.kept {
					t.Errorf("%d connections, want one: %v (else %d)", n, c.kept, want)
				}
			})
		})
	}
}

// TestNoAnswer: the error if no answer comes, on either path. It is doubt, unless the
// endpoint can't have read the request. The next request uses another connection.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	const settings = "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x10\x00\x00\x00\x06\x00\x01\x00\x00"
	codes := Codes{Connect: "connect", ConnectTimeout: "connect-timeout", Read: "read", ReadTimeout: "read-timeout"}
	says := func(text string) func(*talker) {
		return func(k *talker) { k.say(text) }
	}
	endless := func(begin, again string) func(*talker) {
		return func(k *talker) {
			k.say(begin)
			for k.say(again) { // until the client stops reading
			}
		}
	}
	stall := func(text string) func(*talker) {
		return func(k *talker) {
			k.say(text)
			k.wait()
		}
	}
	for _, c := range []struct {
		name string
		talk func(*talker)
		soon bool // only the request's deadline ends it
		want sender.Error
		only func(way) bool
	}{
		{name: "closed", talk: func(*talker) {}, want: sender.Error{Code: "read", Detail: "EOF"}},
		{name: "closed in a header", talk: says("HTTP/1.1 200 OK\r\nA: b\r\n"), want: sender.Error{Code: "read", Detail: "EOF"}},
		{name: "no HTTP", talk: says("220 smtp.example.com ESMTP\r\n"), want: sender.Error{Code: "read", Detail: "not HTTP"}},
		{name: "a status that is none", talk: says("HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n"), want: sender.Error{Code: "read", Detail: "not HTTP"}},
		{name: "two lengths", talk: says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"), want: sender.Error{Code: "read", Detail: "not HTTP"}},

		{name: "silence", talk: stall(""), soon: true, want: sender.Error{Code: "read-timeout", Detail: "in time"}},
		{name: "a status line that stalls", talk: stall("HTTP/1.1 2"), soon: true, want: sender.Error{Code: "read-timeout", Detail: "in time"}},
		{name: "a header that stalls", talk: stall("HTTP/1.1 200 OK\r\n"), soon: true, want: sender.Error{Code: "read-timeout", Detail: "in time"}},
		{name: "a header's line that stalls", talk: stall("HTTP/1.1 200 OK\r\nContent-Le"), soon: true, want: sender.Error{Code: "read-timeout", Detail: "in time"}},
		{name: "an early hint that stalls", talk: stall("HTTP/1.1 103 Early Hints\r\nLin"), soon: true, want: sender.Error{Code: "read-timeout", Detail: "in time"}},
		{name: "nothing after an early hint", talk: stall("HTTP/1.1 103 Early Hints\r\n\r\n"), soon: true, want: sender.Error{Code: "read-timeout", Detail: "in time"}},

		{name: "header fields without end", talk: endless("HTTP/1.1 200 OK\r\n", "A: b\r\n"), want: sender.Error{Code: "read", Detail: "too long"}},
		{name: "a header's line without end", talk: endless("HTTP/1.1 200 OK\r\nA: ", strings.Repeat("x", 4096)), want: sender.Error{Code: "read", Detail: "too long"}},
		{name: "a status line without end", talk: endless("HTTP/1.1 200 ", strings.Repeat("x", 4096)), want: sender.Error{Code: "read", Detail: "too long"}},
		{name: "early hints without end", talk: endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), want: sender.Error{Code: "read", Detail: "too long"}},

		{name: "HTTP/2", talk: says(settings), want: sender.Error{Class: sender.Misconfigured, Code: "connect", Detail: "HTTP/2", Advice: "endpoint"}},
		{
			name: "HTTP/2, without settings", talk: says("\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
			want: sender.Error{Class: sender.Misconfigured, Code: "connect", Detail: "HTTP/2", Advice: "endpoint"},
		},
		{
			name: "TLS that is asked in plain text", talk: says("\x15\x03\x01\x00\x02\x02\x46"), only: func(w way) bool { return !w.secure },
			want: sender.Error{Class: sender.Misconfigured, Code: "connect", Detail: "TLS", Advice: "https://"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rawWays(t, func(t *testing.T, w way) {
				if c.only != nil && !c.only(w) {
					t.Skip("this answer is one to plain HTTP")
				}
				endpoint, client := w.raw(t, Options{}, func(k *talker) {
					for k.request() {
						if k.n == 0 {
							c.talk(k)
							return
						}
						k.say(second)
					}
				})
				r := patient(post(t, endpoint, "a"))
				if c.soon {
					soon(r)
				}
				_, _, err := ask(t.Context(), client, r)
				if err == nil {
					t.Fatal("there is an answer, want an error")
				}
				if got, want := left(t, err), c.want.Class == sender.Unknown; got != want {
					t.Errorf("left is %v, want %v (%v)", got, want, err)
				}
				wantFailure(t, Failure(err, codes), c.want)
				if _, body, err := ask(t.Context(), client, patient(post(t, endpoint, "b"))); body != "second" || err != nil {
					t.Errorf("the next exchange: %q, %v", body, err)
				}
			})
		})
	}
}

// wantFailure compares classes and codes, and checks that the texts hold the wanted
// parts.
func wantFailure(t testing.TB, got *sender.Error, want sender.Error) {
	t.Helper()
	if got.Class != want.Class {
		t.Errorf("class %s, want %s", got.Class, want.Class)
	}
	if got.Code != want.Code {
		t.Errorf("code %q, want %q", got.Code, want.Code)
	}
	if !strings.Contains(got.Detail, want.Detail) {
		t.Errorf("detail %q, want one that holds %q", got.Detail, want.Detail)
	}
	if !strings.Contains(got.Advice, want.Advice) {
		t.Errorf("advice %q, want one that holds %q", got.Advice, want.Advice)
	}
}

// TestAnotherProtocolLater is doubt: a server that has answered before can have read the
// request, whatever it sends now.
func TestAnotherProtocolLater(t *testing.T) {
	t.Parallel()
	rawWays(t, func(t *testing.T, w way) {
		endpoint, client := w.raw(t, Options{}, func(k *talker) {
			if k.request() && k.say(okAnswer) && k.request() {
				k.say("\x00\x00\x00\x04\x00\x00\x00\x00\x00\r\n")
			}
		})
		if _, _, err := ask(t.Context(), client, patient(post(t, endpoint, "a"))); err != nil {
			t.Fatal(err)
		}
		_, _, err := ask(t.Context(), client, patient(post(t, endpoint, "b")))
		if err == nil || !left(t, err) {
			t.Fatalf("got %v, want doubt", err)
		}
		wantFailure(t, Failure(err, Codes{Read: "read"}), sender.Error{Code: "read", Detail: "not HTTP"})
	})
}

// TestABodyThatStalls: there is an answer, and the error about its body is a time-out.
func TestABodyThatStalls(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"of a length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", "until the end": "HTTP/1.1 200 OK\r\n\r\nok",
		"in chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1", "in a trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rawWays(t, func(t *testing.T, w way) {
				endpoint, client := w.raw(t, Options{}, func(k *talker) {
					k.request()
					k.say(text)
					k.wait()
				})
				answer, err := client.Do(t.Context(), soon(post(t, endpoint, "a")))
				if err != nil {
					t.Fatal(err)
				}
				if got := string(answer.Body); answer.Status != 200 || got != "ok" {
					t.Errorf("%d %q, want what came: 200 ok", answer.Status, got)
				}
				failed := answer.Failure(Codes{Read: "read", ReadTimeout: "late"})
				if failed == nil {
					t.Fatal("the body counts as complete")
				}
				wantFailure(t, failed, sender.Error{Code: "late", Detail: "in time"})
			})
		})
	}
	if failed := new(Answer).Failure(Codes{}); failed != nil {
		t.Errorf("a whole answer: %v", failed)
	}
}

// TestACallThatIsGivenUpWithinABody ends with context.Canceled, not with a time-out.
func TestACallThatIsGivenUpWithinABody(t *testing.T) {
	t.Parallel()
	rawWays(t, func(t *testing.T, w way) {
		asked := make(chan struct{})
		endpoint, client := w.raw(t, Options{}, func(k *talker) {
			k.request()
			k.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
			close(asked)
			k.wait()
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		answer, err := client.Do(ctx, patient(post(t, endpoint, "a")))
		if err == nil {
			err = answer.Broken
		} else if !left(t, err) {
			t.Error("the request has not left")
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// stream is an answer without end.
type stream struct{ next, again string }

func (s *stream) Read(p []byte) (int, error) {
	n := copy(p, s.next)
	if s.next = s.next[n:]; s.next == "" {
		s.next = s.again
	}
	return n, nil
}

// TestABadAnswerIsRead up to its bounds, and no further.
func TestABadAnswerIsRead(t *testing.T) {
	t.Parallel()
	o := Options{}.withDefaults()
	for name, c := range map[string]struct {
		says *stream
		most int64
	}{
		"early hints":   {&stream{"", "HTTP/1.1 100 Continue\r\n\r\n"}, maxHeader},
		"header fields": {&stream{"HTTP/1.1 200 OK\r\n", "A: b\r\n"}, maxHeader},
		"a line":        {&stream{"HTTP/1.1 200 OK\r\nA: ", "xxxx"}, maxHeader},
		"a body":        {&stream{"HTTP/1.1 200 OK\r\n\r\n", "xxxx"}, maxHeader + o.MaxAnswer + 4096}, // what a reader reads ahead
	} {
		k := &conn{maxAnswer: o.MaxAnswer}
		k.hear(c.says)
		answer, err := k.read()
		if err == nil {
			err = answer.Broken
		}
		if err != errTooLong { //nolint:errorlint // this one
			t.Errorf("%s: %v, want errTooLong", name, err)
		}
		if k.in.got > c.most {
			t.Errorf("%s: %d bytes were read, want %d at the most", name, k.in.got, c.most)
		}
	}
}

// FuzzAnswer reads any bytes as an answer. Reading ends within its bounds, no error
// repeats the bytes, and a connection with unread bytes is not used again.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		okAnswer, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "220 smtp ESMTP\r\n", "HTTP/1.1 101 X\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nsecret\r\n\r\n", "HTTP/1.1 200 OK\r\nsecret\r\n\r\n",
		"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", "\x15\x03\x01\x00\x02\x02\x46",
	} {
		f.Add([]byte(s))
	}
	known := []error{errTooLong, errNoHTTP, errHTTP2, errTLS}
	f.Fuzz(func(t *testing.T, says []byte) {
		const most = 4096
		k := &conn{maxAnswer: most}
		k.hear(bytes.NewReader(says))
		answer, err := k.read()
		if err == nil {
			err = answer.Broken
		}
		repeats := err != nil && !strings.HasSuffix(err.Error(), "EOF")
		for _, k := range known {
			repeats = repeats && err.Error() != k.Error()
		}
		if repeats {
			t.Errorf("the error may repeat what came: %v", err)
		}
		if answer == nil {
			return
		}
		if answer.Status < 200 && answer.Status != http.StatusSwitchingProtocols {
			t.Errorf("status %d is taken for an answer", answer.Status)
		}
		if len(answer.Body) > most {
			t.Errorf("the body has %d bytes", len(answer.Body))
		}
		if k.reusable && (answer.Broken != nil || k.reader.Buffered() != 0) {
			t.Errorf("kept after %v, %d bytes left over", answer.Broken, k.reader.Buffered())
		}
	})
}
