package ses_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

// ok is an answer to SendEmail.
const ok = `{"MessageId":"M-1"}`

func TestConformance(t *testing.T) {
	h := sendertest.HTTP{
		Accepted: sendertest.HTTPAnswer{Status: http.StatusOK, Body: ok},
		Refusal:  func(said string) sendertest.HTTPAnswer { return refusal("BadRequestException", said) },
		Codes:    sendertest.HTTPCodes{Connect: "SDK.ConnectError", ConnectTimeout: "SDK.ConnectTimeout", Read: "SDK.ReadError", ReadTimeout: "SDK.ReadTimeout"},
	}
	sendertest.Conformance(t, &sendertest.Provider{
		New: func(t testing.TB, endpoint string, timeout time.Duration) sender.Sender {
			return connector(t, endpoint, func(c *ses.Config) { c.Timeout = timeout })
		},
		Message: signIn, Private: []string{keyID, keySecret}, Words: []string{"验证码", "Shop"},
		Fake: func(t testing.TB) *sendertest.Fake {
			in := new(fakeses.Server)
			return &sendertest.Fake{
				Endpoint: serve(t, in),
				Requests: func() int { return len(in.Requests()) },
				Accepted: func() (to []string) {
					for _, m := range in.Inbox() {
						to = append(to, m.Destination.ToAddresses...)
					}
					return to
				},
			}
		},
		Failures: h.Failures(), Late: h.Late, Repeats: h.Repeats, Answers: answers(), Codes: ses.Rows,
	})
}

// refusal is an error as a service of AWS that speaks JSON gives it.
func refusal(code, message string) sendertest.HTTPAnswer {
	body, _ := json.Marshal(map[string]string{"__type": "com.amazonaws.sesv2#" + code, "message": message}) // any text can be written
	return sendertest.HTTPAnswer{Status: http.StatusBadRequest, Body: string(body)}
}

// answers returns an answer for each code, and answers that say nothing reliable.
func answers() map[string]sendertest.Answer {
	doubt := sendertest.Meaning{Class: sender.Unknown, Scope: sender.ScopeConnector}
	all := map[string]sendertest.Answer{
		"200, empty":         sendertest.Means(200, "", doubt, "SDK.NoMessageId"),
		"200, {}":            sendertest.Means(200, "{}", doubt, "SDK.NoMessageId"),
		"200, an empty id":   sendertest.Means(200, `{"MessageId":""}`, doubt, "SDK.NoMessageId"),
		"200, an id of null": sendertest.Means(200, `{"MessageId":null}`, doubt, "SDK.NoMessageId"),
		"200, an id of {}":   sendertest.Means(200, `{"MessageId":{"a":[1]}}`, doubt, "SDK.Answer"),
		"200, a numeric id":  sendertest.Means(200, `{"MessageId":5}`, doubt, "SDK.Answer"),
		"200, half a JSON":   sendertest.Means(200, ok[:len(ok)-4], doubt, "SDK.Answer"),
		"204":                sendertest.Means(204, "", doubt, "SDK.NoMessageId"),
		"302":                sendertest.Means(302, ok, doubt, "HTTP.302"),
		"403, no code":       sendertest.Means(403, `{"message":"Forbidden"}`, doubt, "HTTP.403"),
		"404, empty":         sendertest.Means(404, "", doubt, "HTTP.404"),
		"429, HTML":          sendertest.Means(429, "<html></html>", sendertest.Meaning{Class: sender.Throttled, Scope: sender.ScopeConnector}, "HTTP.429"),
		"503, null":          sendertest.Means(503, "null", doubt, "HTTP.503"),
	}
	for code, meaning := range codes {
		a := sendertest.Means(http.StatusBadRequest, refusal(code, "Something.").Body, meaning, code)
		a.Says = "Something."
		all[code] = a
	}
	return all
}
