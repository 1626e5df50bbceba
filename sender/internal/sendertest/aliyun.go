package sendertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
)

// OK is an answer that means success for every action of Aliyun.
const OK = `{"Code":"OK","Message":"OK","Success":true,"RequestId":"R-1","BizId":"B-1","EnvId":"E-1","MessageId":"M-1"}`

// Aliyun serves a fake Aliyun until the test ends.
func Aliyun(t testing.TB, o fakealiyun.Options) (fake *fakealiyun.Server, endpoint string) {
	t.Helper()
	fake = fakealiyun.New(o)
	srv := httptest.NewServer(fake)
	t.Cleanup(srv.Close)
	t.Cleanup(fake.Close)
	return fake, srv.URL
}

// AliyunProvider returns Aliyun as the Provider of a connector that calls an action. The
// action answers with these codes in addition to the gateway's. The connector's test sets
// New, Message and Private.
func AliyunProvider(action string, codes ...map[string]Meaning) *Provider {
	table := maps.Clone(GatewayCodes)
	for _, more := range codes {
		maps.Copy(table, more)
	}
	answers := aliyunAnswers()
	for code, meaning := range table {
		answers[code] = Answer{Serve: func(t testing.TB) *Served { return aliyunRefuses(t, action, code) }, Meaning: meaning, Code: code}
	}
	h := HTTP{
		Accepted: HTTPAnswer{Status: http.StatusOK, Body: OK},
		Refusal: func(said string) HTTPAnswer {
			return HTTPAnswer{Status: http.StatusBadRequest, Body: aliyunError("InvalidParameter", said)}
		},
		Codes: HTTPCodes{Connect: "SDK.ConnectError", ConnectTimeout: "SDK.ConnectTimeout", Read: "SDK.ReadError", ReadTimeout: "SDK.ReadTimeout"},
	}
	return &Provider{
		Fake: func(t testing.TB) *Fake {
			fake, endpoint := Aliyun(t, fakealiyun.Options{})
			return &Fake{
				Endpoint: endpoint,
				Requests: func() int { return fake.Requests()[action] },
				Accepted: func() (to []string) {
					for _, m := range fake.Inbox("") {
						to = append(to, m.To)
					}
					return to
				},
			}
		},
		Failures: h.Failures(), Late: h.Late, Repeats: h.Repeats, Answers: answers,
		Codes: func(row func(string, sender.Class, sender.Scope)) {
			for code, m := range table {
				row(code, m.Class, m.Scope)
			}
		},
	}
}

// AliyunChecks tests that a connector's Check makes one harmless request of an action,
// and reports what is wrong. newWith makes the connector with a secret; denied is a code
// that refuses the account.
func AliyunChecks(t *testing.T, action, denied string, newWith func(t testing.TB, endpoint, secret string) sender.Sender) {
	t.Helper()
	fake, endpoint := Aliyun(t, fakealiyun.Options{})
	if err := Check(t, newWith(t, endpoint, fakealiyun.DefaultKeySecret)); err != nil {
		t.Error(err)
	}
	if n := fake.Requests(); n[action] != 1 || len(n) != 1 || len(fake.Inbox("")) != 0 {
		t.Errorf("the requests are %v and %d messages were sent, want one request of %s and no message", n, len(fake.Inbox("")), action)
	}
	const wrong = "wrong-secret"
	err := Check(t, newWith(t, endpoint, wrong))
	if e := Want(t, err, sender.AccountDown); e.Code != "SignatureDoesNotMatch" {
		t.Errorf("with a wrong secret: got %v, want SignatureDoesNotMatch", e)
	}
	Hides(t, err, wrong, fakealiyun.DefaultKeySecret)
	for _, body := range []string{"", "{}", "<html>"} {
		srv := faulty.Serve(t, faulty.Answer(http.StatusOK, body))
		_ = Want(t, Check(t, newWith(t, srv.Endpoint, fakealiyun.DefaultKeySecret)), sender.Misconfigured)
	}
	for status, class := range map[int]sender.Class{400: sender.Misconfigured, 403: sender.AccountDown, 429: sender.Throttled, 503: sender.Unavailable} {
		srv := faulty.Serve(t, faulty.Answer(status, `{"Message":"a gateway says this"}`))
		e := Want(t, Check(t, newWith(t, srv.Endpoint, fakealiyun.DefaultKeySecret)), class)
		Holds(t, "the detail", e.Detail, "a gateway says this")
	}
	_ = Want(t, Check(t, newWith(t, aliyunRefuses(t, action, denied).Endpoint, fakealiyun.DefaultKeySecret)), sender.AccountDown)
}

// aliyunRefuses serves a fake that answers an action with a code, in the form that
// belongs to the code.
func aliyunRefuses(t testing.TB, action, code string) *Served {
	t.Helper()
	fake, endpoint := Aliyun(t, fakealiyun.Options{})
	if err := fake.SetFaults([]fakealiyun.Fault{{Code: code}}); err != nil {
		t.Fatal(err)
	}
	return &Served{Endpoint: endpoint, Requests: func() int { return fake.Requests()[action] }}
}

// aliyunAnswers returns answers that say nothing reliable, and answers in which Aliyun
// repeats the signed request.
func aliyunAnswers() map[string]Answer {
	doubt := Meaning{sender.Unknown, sender.ScopeConnector}
	return map[string]Answer{
		"200, half a JSON":     Means(200, OK[:len(OK)-2], doubt, ""),
		"200, JSON and more":   Means(200, OK+"<!-- -->", doubt, ""),
		"200, no code":         Means(200, `{"RequestId":"R-1"}`, doubt, ""),
		"200, a code of null":  Means(200, `{"Code":null,"RequestId":"R-1"}`, doubt, ""),
		"200, a numeric code":  Means(200, `{"Code":500}`, doubt, ""),
		"200, a code of {}":    Means(200, `{"Code":{"OK":"OK"}}`, doubt, ""),
		"400, a numeric code":  Means(400, `{"Code":400,"Message":"no"}`, doubt, "HTTP.400"),
		"400, a code of {}":    Means(400, `{"Code":{},"Message":[]}`, doubt, "HTTP.400"),
		"500, an empty code":   Means(500, `{"Code":"","Message":"no"}`, doubt, "HTTP.500"),
		"500, a numeric code":  Means(500, `{"Code":500,"Message":"no"}`, doubt, "HTTP.500"),
		"500, an unknown code": Means(500, `{"Code":"SomethingNew"}`, doubt, "SomethingNew"),
		"400, an unknown code": Means(400, `{"Code":"SomethingNew"}`, Meaning{sender.Permanent, sender.ScopeMessage}, "SomethingNew"),
		"the string to sign": repeatsForm("SignatureDoesNotMatch", func(form url.Values) string {
			return "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&" + url.QueryEscape(form.Encode())
		}),
		"the StringToSign": repeatsForm("IncompleteSignature", func(form url.Values) string {
			return "The signature is incomplete.\nserver StringToSign is [POST&%2F&" + url.QueryEscape(form.Encode()) + "]"
		}),
		"the form's values": repeatsForm("SignatureDoesNotMatch", func(form url.Values) string { return fmt.Sprint("unfit: ", form) }),
	}
}

// repeatsForm refuses the account with a text made from the request's form.
func repeatsForm(code string, words func(url.Values) string) Answer {
	return Answer{
		Serve: serves(func(w http.ResponseWriter, r *http.Request) {
			faulty.Answer(http.StatusBadRequest, aliyunError(code, words(r.Form)))(w, r)
		}),
		Meaning: Meaning{sender.AccountDown, sender.ScopeAccount}, Code: code,
	}
}

func aliyunError(code, message string) string {
	body, _ := json.Marshal(map[string]string{"Code": code, "Message": message, "RequestId": "R-1"}) // any text can be encoded
	return string(body)
}
