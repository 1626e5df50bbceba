package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fixture is a Server behind real HTTP, with its own clock and client.
type fixture struct {
	*Server
	t     *testing.T
	clock *clock
	http  *httptest.Server
}

func start(t *testing.T, o Options) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: newClock()}
	if o.Now == nil {
		o.Now = f.clock.now
	}
	f.Server = New(o)
	f.http = httptest.NewServer(f.Server)
	t.Cleanup(f.http.Close)
	t.Cleanup(f.Server.Close)
	return f
}

var nonceCount atomic.Int64

// with returns a changed copy of p: a value "-" removes the name.
func (p params) with(change params) params {
	p = maps.Clone(p)
	for name, value := range change {
		if value == "-" {
			delete(p, name)
		} else {
			p[name] = value
		}
	}
	return p
}

func (p params) encode() string {
	v := url.Values{}
	for name, value := range p {
		v.Set(name, value)
	}
	return v.Encode()
}

// common are valid common parameters for a new request.
func (f *fixture) common(action string) params {
	return params{
		"AccessKeyId":      "testid",
		"Action":           action,
		"Version":          actions[action].version,
		"Format":           "JSON",
		"RegionId":         "cn-hangzhou",
		"Timestamp":        f.clock.now().UTC().Format(timestampLayout),
		"SignatureMethod":  "HMAC-SHA1",
		"SignatureVersion": "1.0",
		"SignatureType":    "",
		"SignatureNonce":   fmt.Sprint("nonce-", nonceCount.Add(1)),
	}
}

var goodParams = map[string]params{
	"SingleSendMail": {
		"AccountName": "no-reply@mail.example.com", "AddressType": "1", "ReplyToAddress": "false",
		"ToAddress": "Alice+x@Example.com", "Subject": "Your code", "HtmlBody": "<p>123456 & more</p>",
		"FromAlias": "Example", "TagName": "codes_1-a",
	},
	"DescAccountSummary": {},
	"SendSms": {
		"PhoneNumbers": "13012345678", "SignName": "示例", "TemplateCode": "SMS_123456789",
		"TemplateParam": `{"code":"123456"}`, "OutId": "out-1",
	},
	"SendSmsVerifyCode": {
		"PhoneNumber": "13012345678", "SignName": "示例验证码", "TemplateCode": "100001",
		"TemplateParam": `{"code":"1234","min":"10"}`, "OutId": "out-2", "CountryCode": "86",
	},
	"QuerySendDetails": {
		"PhoneNumber": "13012345678", "SendDate": "20261121", "PageSize": "10", "CurrentPage": "1",
	},
}

// answer is an HTTP answer; its body is decoded if it is a JSON object.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a answer) code() string {
	s, _ := a.json["Code"].(string)
	return s
}

func (f *fixture) do(ctx context.Context, method, pathQuery, contentType, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.http.URL+pathQuery, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return f.roundTrip(req)
}

// roundTrip sends a request and reads its answer.
func (f *fixture) roundTrip(req *http.Request) (answer, error) {
	resp, err := f.http.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(raw)}
	if json.Unmarshal(raw, &a.json) != nil {
		a.json = nil
	}
	return a, nil
}

// post signs the request unless it is signed, and sends the common parameters in the query
// and the others in the form, as the SDK does.
func (f *fixture) post(ctx context.Context, p params) (answer, error) {
	if _, ok := p["Signature"]; !ok {
		p = p.with(params{"Signature": sign(stringToSign("POST", p), "testsecret")})
	} else if p["Signature"] == "none" {
		p = p.with(params{"Signature": "-"})
	}
	query, form := params{}, params{}
	for name, value := range p {
		if _, own := goodParams[p["Action"]][name]; own {
			form[name] = value
		} else {
			query[name] = value
		}
	}
	return f.do(ctx, "POST", "/?"+query.encode(), formType, form.encode())
}

// call calls an action with valid parameters, changed by change.
func (f *fixture) call(action string, change params) answer {
	f.t.Helper()
	a, err := f.post(f.t.Context(), f.common(action).with(goodParams[action]).with(change))
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// control sends a request to the control side.
func (f *fixture) control(method, pathQuery, body string) answer {
	f.t.Helper()
	a, err := f.do(f.t.Context(), method, pathQuery, "application/json", body)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// wants checks a code, and its status and form.
func (f *fixture) wants(a answer, status int, code string) {
	f.t.Helper()
	if a.status != status || a.code() != code {
		f.t.Fatalf("got %d %q, want %d %q; body %s", a.status, a.code(), status, code, a.body)
	}
	names := []string{"RequestId", "Message", "Code"}
	if status != http.StatusOK {
		names = append(names, "HostId", "Recommend")
	}
	for _, name := range names {
		if s, _ := a.json[name].(string); s == "" {
			f.t.Errorf("no %s in %s", name, a.body)
		}
	}
}

func (f *fixture) wantInbox(n int) {
	f.t.Helper()
	if got := len(f.Inbox("")); got != n {
		f.t.Errorf("the inbox holds %d messages, want %d", got, n)
	}
}

// ok reports whether the answer is a success of any of the actions.
func (a answer) ok() bool {
	return a.status == http.StatusOK && (a.json["Code"] == nil || a.code() == "OK") && a.json["RequestId"] != ""
}
