package sendgrid_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/sendgrid"
)

func TestConformance(t *testing.T) {
	h := sendertest.HTTP{
		Accepted: sendertest.HTTPAnswer{Status: http.StatusAccepted, Header: map[string]string{"X-Message-Id": "M-1"}},
		Refusal: func(said string) sendertest.HTTPAnswer {
			return sendertest.HTTPAnswer{Status: http.StatusBadRequest, Body: fakesendgrid.ErrorBody("personalizations", said)}
		},
		Codes: sendertest.HTTPCodes{Connect: "connect-error", ConnectTimeout: "connect-timeout", Read: "read-error", ReadTimeout: "read-timeout"},
	}
	answers := make(map[string]sendertest.Answer)
	for _, r := range refusals {
		a := sendertest.Means(r.status, fakesendgrid.ErrorBody(r.field, r.message), sendertest.Meaning{Class: r.class, Scope: r.scope}, r.code)
		a.Says = strings.TrimPrefix(r.field+": "+r.message, ": ")
		answers[fmt.Sprintf("%d %s %s", r.status, r.field, r.message)] = a
	}
	sendertest.Conformance(t, &sendertest.Provider{
		New: func(t testing.TB, endpoint string, timeout time.Duration) sender.Sender {
			return connector(t, endpoint, func(c *sendgrid.Config) { c.Timeout = timeout })
		},
		Message: signIn, Private: []string{key}, Words: []string{"SignIn: ", "您的验证码"},
		Fake: func(t testing.TB) *sendertest.Fake {
			in, endpoint := newFake(t)
			return &sendertest.Fake{
				Endpoint: endpoint,
				Requests: func() int { return len(in.Requests()) },
				Accepted: func() (to []string) {
					for _, m := range in.Inbox() {
						to = append(to, m.Personalizations[0].To[0].Email)
					}
					return to
				},
			}
		},
		Failures: h.Failures(), Late: h.Late, Repeats: h.Repeats, Answers: answers, Codes: sendgrid.Rows,
	})
}
