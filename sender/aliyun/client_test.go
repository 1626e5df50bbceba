package aliyun_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestCodesOfOurOwn: if the provider gave no code, the error has one of ours.
func TestCodesOfOurOwn(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(testing.TB) *faulty.Server
		want  string
	}{
		{"no connection", func(testing.TB) *faulty.Server { return &faulty.Server{Endpoint: "http://127.0.0.1:1"} }, "SDK.ConnectError"},
		{"no handshake", func(t testing.TB) *faulty.Server {
			s := faulty.Raw(t, (*faulty.Conn).Wait)
			s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
			return s
		}, "SDK.ConnectTimeout"},
		{"no answer", raw(func(c *faulty.Conn) { c.Wait() }), "SDK.ReadTimeout"},
		{"a header that stalls", raw(func(c *faulty.Conn) {
			c.Say("HTTP/1.1 200 OK\r\nConte")
			c.Wait()
		}), "SDK.ReadTimeout"},
		{"a body that stalls", raw(func(c *faulty.Conn) {
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
			c.Wait()
		}), "SDK.ReadTimeout"},
		{"a body that is cut", raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
		}), "SDK.ReadError"},
		{"a body without end", answer(200, strings.Repeat(" ", 1<<20)), "SDK.ReadError"},
		{"HTTP/2", raw(func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say("\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		}), "SDK.ConnectError"},
		{"cut", raw(func(c *faulty.Conn) { c.ReadRequest() }), "SDK.ReadError"},
		{"no JSON", answer(200, "<html>"), "SDK.JsonUnmarshalError"},
		{"no code", answer(200, "{}"), "SDK.NoCode"},
		{"no JSON, 502", answer(502, "<html>"), "HTTP.502"},
		{"a numeric code, 500", answer(500, `{"Code":500}`), "HTTP.500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(c.serve(t).Endpoint)
			o.Timeout = time.Second
			err := send(t.Context(), newClient(t, o), form(phone))
			if e := sender.AsError(err); e.Code != c.want || e.Detail == "" {
				t.Errorf("got %v, want %s and a sentence", err, c.want)
			}
		})
	}
}

func raw(talk func(*faulty.Conn)) func(testing.TB) *faulty.Server {
	return func(t testing.TB) *faulty.Server { return faulty.Raw(t, talk) }
}

func answer(status int, body string) func(testing.TB) *faulty.Server {
	return func(t testing.TB) *faulty.Server { return faulty.Serve(t, faulty.Answer(status, body)) }
}

// TestOneClientForAll sends from many goroutines through one client. With -race, it also
// finds data races.
func TestOneClientForAll(t *testing.T) {
	const goroutines, each = 32, 20
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	c := newClient(t, options(endpoint))
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(i)*time.Second)
				if err := send(ctx, c, form(fmt.Sprintf("130%04d%04d", g, i))); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	seen := make(map[string]bool)
	for _, m := range sb.Inbox("") {
		seen[m.To] = true
	}
	if n := sb.Requests()["SendSms"]; n != goroutines*each || len(seen) != n || len(sb.Inbox("")) != n {
		t.Errorf("%d requests, %d messages to %d numbers; want %d of each", n, len(sb.Inbox("")), len(seen), goroutines*each)
	}
}

func TestRequestKeepsThePrivateOutOfTheURL(t *testing.T) {
	srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
	sent := form(phone)
	if err := send(t.Context(), newClient(t, options(srv.Endpoint)), sent); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s %s, %v", r.Method, r.URL, r.Header)
	}
	sendertest.Hides(t, errors.New(r.URL.String()+fmt.Sprint(r.Header)), append(private, "示例 签名", "SMS_123456789", "out-1", fakealiyun.DefaultKeySecret)...)
	for _, p := range sent {
		if got := r.Body.Get(p.Name); got != p.Value {
			t.Errorf("the form has %s %q, want %q", p.Name, got, p.Value)
		}
	}
	for name, want := range map[string]string{
		"Action": "SendSms", "Version": "2017-05-25", "Format": "JSON", "RegionId": "cn-hangzhou", "AccessKeyId": "testid",
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
	} {
		if got := r.URL.Query().Get(name); got != want {
			t.Errorf("the query has %s %q, want %q", name, got, want)
		}
	}
}

// hanging serves a server that does not answer; there is closed when a request has come.
func hanging(t testing.TB) (endpoint string, there <-chan struct{}) {
	c := make(chan struct{}, 1)
	srv := faulty.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		c <- struct{}{}
		<-r.Context().Done()
	})
	return srv.Endpoint, c
}

func TestContextEndsTheCall(t *testing.T) {
	endpoint, there := hanging(t)
	o := options(endpoint)
	o.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-there
		cancel()
	}()
	began := time.Now()
	sendertest.Want(t, send(ctx, newClient(t, o), form(phone)), sender.Unknown)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the call took %s after the end of its context", took)
	}
}

func TestContextThatIsOver(t *testing.T) {
	srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sendertest.Want(t, send(ctx, newClient(t, options(srv.Endpoint)), form(phone)), sender.Unavailable)
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests came, want none", n)
	}
}

// TestTimeoutDoesNotStick: one call's time-out does not affect the next call.
func TestTimeoutDoesNotStick(t *testing.T) {
	const short = 200 * time.Millisecond
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	if err := sb.SetFaults([]fakealiyun.Fault{{Drop: fakealiyun.DropHang, Count: 1}, {Latency: 3 * short}}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, options(endpoint))
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	sendertest.WantCode(t, send(ctx, c, form(phone)), sender.Unknown, "SDK.ReadTimeout")
	if err := send(t.Context(), c, form(phone)); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestOptionsTimeout(t *testing.T) {
	endpoint, _ := hanging(t)
	o := options(endpoint)
	o.Timeout = time.Second // long enough to connect, even on a busy machine
	sendertest.WantCode(t, send(t.Context(), newClient(t, o), form(phone)), sender.Unknown, "SDK.ReadTimeout")
}

// TestEndlessAnswer: the client stops reading an answer at its limit.
func TestEndlessAnswer(t *testing.T) {
	const enough = 64 << 20 // far more than the sockets' buffers hold
	for _, status := range []int{200, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			written := make(chan int, 1)
			srv := faulty.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				n, chunk := 0, strings.Repeat(" ", 1<<20)
				for n < enough {
					m, err := io.WriteString(w, chunk)
					n += m
					if err != nil {
						break
					}
				}
				written <- n
			})
			sendertest.Want(t, send(t.Context(), newClient(t, options(srv.Endpoint)), form(phone)), sender.Unknown)
			if n := <-written; n >= enough {
				t.Errorf("%d bytes were read", n)
			}
		})
	}
}

func TestLargeMail(t *testing.T) {
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	html := strings.Repeat("<p>您的验证码 & more</p>\n", 90<<10/28)
	if len(html) < 90<<10 {
		t.Fatalf("the mail has only %d bytes", len(html))
	}
	resp := dm.CreateSingleSendMailResponse()
	err := newClient(t, options(endpoint)).Do(t.Context(), singleSendMail, aliyun.Params{
		{Name: "AccountName", Value: "no-reply@example.com"},
		{Name: "AddressType", Value: "1"},
		{Name: "ReplyToAddress", Value: "false"},
		{Name: "ToAddress", Value: "alice@example.com"},
		{Name: "Subject", Value: "s"},
		{Name: "HtmlBody", Value: html},
	}, resp)
	if err != nil {
		t.Fatal(err)
	}
	if resp.EnvId == "" {
		t.Fatal("the answer has no EnvId")
	}
	if in := sb.Inbox("alice@example.com"); len(in) != 1 || in[0].HTMLBody != html {
		t.Errorf("%d messages, or another text", len(in))
	}
}

func TestSandboxDrops(t *testing.T) {
	for drop, inbox := range map[fakealiyun.Drop]int{fakealiyun.DropBefore: 0, fakealiyun.DropAfter: 1} {
		t.Run(string(drop), func(t *testing.T) {
			sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
			if err := sb.SetFaults([]fakealiyun.Fault{{Drop: drop}}); err != nil {
				t.Fatal(err)
			}
			sendertest.Want(t, send(t.Context(), newClient(t, options(endpoint)), form(phone)), sender.Unknown)
			if n := sb.Requests()["SendSms"]; n != 1 || len(sb.Inbox("")) != inbox {
				t.Errorf("%d requests, %d messages", n, len(sb.Inbox("")))
			}
		})
	}
}

// TestPanicIsDoubt: an answer on which the SDK panics may be that to an accepted message.
func TestPanicIsDoubt(t *testing.T) {
	srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
	broken := new(dm.SingleSendMailResponse) // it lacks what the SDK writes to
	err := newClient(t, options(srv.Endpoint)).Do(t.Context(), singleSendMail, form(phone), broken)
	sendertest.WantCode(t, err, sender.Unknown, "SDK.Panic")
	sendertest.Hides(t, err, private...)
}

func TestClientShowsNoKey(t *testing.T) {
	o := options("dm.aliyuncs.com")
	o.AccessKeyID, o.AccessKeySecret, o.SecurityToken = sender.NewSecret("LTAI-key"), sender.NewSecret("the-secret"), sender.NewSecret("the-token")
	c := newClient(t, o)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{c, *c, o} {
			sendertest.Hides(t, fmt.Errorf(verb, v), "LTAI-key", "the-secret", "the-token")
		}
	}
}

func TestNewClientNeedsAnEndpoint(t *testing.T) {
	if _, err := aliyun.NewClient(aliyun.Account{}); err == nil {
		t.Error("a client without an endpoint was made")
	}
}
