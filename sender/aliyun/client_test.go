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

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func TestFaults(t *testing.T) {
	sendertest.Faults(t, func(endpoint string, timeout time.Duration) func(context.Context) error {
		o := options(endpoint)
		o.Timeout = timeout
		c := newClient(t, o)
		return func(ctx context.Context) error { return send(ctx, c, form(phone)) }
	}, private...)
}

// TestCodesOfOurOwn: where the provider gave no code, there is a word for what
// broke.
func TestCodesOfOurOwn(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(testing.TB) *sendertest.Server
		want  string
	}{
		{"no connection", func(testing.TB) *sendertest.Server { return &sendertest.Server{Endpoint: "http://127.0.0.1:1"} }, "SDK.ConnectError"},
		{"no handshake", func(t testing.TB) *sendertest.Server {
			s := sendertest.Raw(t, (*sendertest.Conn).Wait)
			s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
			return s
		}, "SDK.ConnectTimeout"},
		{"no answer", raw(func(c *sendertest.Conn) { c.Wait() }), "SDK.ReadTimeout"},
		{"cut", raw(func(c *sendertest.Conn) { c.ReadRequest() }), "SDK.ReadError"},
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

func raw(talk func(*sendertest.Conn)) func(testing.TB) *sendertest.Server {
	return func(t testing.TB) *sendertest.Server { return sendertest.Raw(t, talk) }
}

func answer(status int, body string) func(testing.TB) *sendertest.Server {
	return func(t testing.TB) *sendertest.Server { return sendertest.Serve(t, sendertest.Answer(status, body)) }
}

// TestOneClientForAll has many goroutines send through one client; the race
// detector watches.
func TestOneClientForAll(t *testing.T) {
	const goroutines, each = 32, 20
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
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
	srv := sendertest.Serve(t, sendertest.Answer(200, sendertest.OK))
	sent := form(phone)
	if err := send(t.Context(), newClient(t, options(srv.Endpoint)), sent); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s %s, %v", r.Method, r.URL, r.Header)
	}
	sendertest.Hides(t, errors.New(r.URL.String()+fmt.Sprint(r.Header)), append(private, "示例 签名", "SMS_123456789", "out-1", sandbox.DefaultKeySecret)...)
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

// hanging answers nothing; its channel tells that a request is there.
func hanging(t testing.TB) (endpoint string, there <-chan struct{}) {
	c := make(chan struct{}, 1)
	srv := sendertest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
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
		t.Errorf("it took %s", took)
	}
}

func TestContextThatIsOver(t *testing.T) {
	srv := sendertest.Serve(t, sendertest.Answer(200, sendertest.OK))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sendertest.Want(t, send(ctx, newClient(t, options(srv.Endpoint)), form(phone)), sender.Unavailable)
	if n := len(srv.Requests()); n != 0 {
		t.Errorf("%d requests came", n)
	}
}

// TestTimeoutDoesNotStick: what one call may take says nothing of the next one.
func TestTimeoutDoesNotStick(t *testing.T) {
	const short = 200 * time.Millisecond
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	if err := sb.SetFaults([]sandbox.Fault{{Drop: sandbox.DropHang, Count: 1}, {Latency: 3 * short}}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, options(endpoint))
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if e := sendertest.Want(t, send(ctx, c, form(phone)), sender.Unknown); e.Code != "SDK.ReadTimeout" {
		t.Error(e)
	}
	if err := send(t.Context(), c, form(phone)); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestOptionsTimeout(t *testing.T) {
	endpoint, _ := hanging(t)
	o := options(endpoint)
	o.Timeout = 100 * time.Millisecond
	if e := sendertest.Want(t, send(t.Context(), newClient(t, o), form(phone)), sender.Unknown); e.Code != "SDK.ReadTimeout" {
		t.Error(e)
	}
}

// TestEndlessAnswer: no more is read of an answer than it could need.
func TestEndlessAnswer(t *testing.T) {
	const enough = 64 << 20 // far more than the sockets between take
	for _, status := range []int{200, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			written := make(chan int, 1)
			srv := sendertest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
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
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	html := strings.Repeat("<p>您的验证码 & more</p>\n", 90<<10/28)
	if len(html) < 90<<10 {
		t.Fatal(len(html))
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
	if err != nil || resp.EnvId == "" {
		t.Fatalf("%+v, %v", resp, err)
	}
	if in := sb.Inbox("alice@example.com"); len(in) != 1 || in[0].HTMLBody != html {
		t.Errorf("%d messages, or another text", len(in))
	}
}

func TestSandboxDrops(t *testing.T) {
	for drop, inbox := range map[sandbox.Drop]int{sandbox.DropBefore: 0, sandbox.DropAfter: 1} {
		t.Run(string(drop), func(t *testing.T) {
			sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
			if err := sb.SetFaults([]sandbox.Fault{{Drop: drop}}); err != nil {
				t.Fatal(err)
			}
			sendertest.Want(t, send(t.Context(), newClient(t, options(endpoint)), form(phone)), sender.Unknown)
			if n := sb.Requests()["SendSms"]; n != 1 || len(sb.Inbox("")) != inbox {
				t.Errorf("%d requests, %d messages", n, len(sb.Inbox("")))
			}
		})
	}
}

// TestPanicIsDoubt: what makes the SDK fail may be the answer to a message that
// was accepted.
func TestPanicIsDoubt(t *testing.T) {
	srv := sendertest.Serve(t, sendertest.Answer(200, sendertest.OK))
	broken := new(dm.SingleSendMailResponse) // it lacks what the SDK writes to
	err := newClient(t, options(srv.Endpoint)).Do(t.Context(), singleSendMail, form(phone), broken)
	if e := sendertest.Want(t, err, sender.Unknown); e.Code != "SDK.Panic" {
		t.Error(e)
	}
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
		t.Error("accepted")
	}
}
