package skeleton_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/skeleton"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

const key = "key/of+a=customer"

func TestConformance(t *testing.T) {
	h := sendertest.HTTP{
		Accepted: sendertest.HTTPAnswer{Status: http.StatusCreated, Body: `{"id":"M-1"}`},
		Refusal:  func(said string) sendertest.HTTPAnswer { return refusal(http.StatusBadRequest, "bad-content", said) },
		Codes:    sendertest.HTTPCodes{Connect: "connect-error", ConnectTimeout: "connect-timeout", Read: "read-error", ReadTimeout: "read-timeout"},
	}
	sendertest.Conformance(t, &sendertest.Provider{
		New: newConnector,
		Message: func() *messages.SendCode {
			return sendertest.SignIn("Alice+x@Example.com", "Qx7z9K")
		},
		Private: []string{key}, Words: []string{"Sign in with"},
		Fake:     newFake,
		Failures: h.Failures(), Late: h.Late, Repeats: h.Repeats,
		Answers: answers(), Codes: skeleton.Rows,
	})
}

func newConnector(t testing.TB, endpoint string, timeout time.Duration) sender.Sender {
	t.Helper()
	c := &skeleton.Config{APIKey: sender.NewSecret(key), FromEmail: "no-reply@mail.example.com", Endpoint: endpoint, Timeout: timeout}
	for _, usage := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, sender.MailTemplate{UsageType: usage, Subject: "Sign in", Content: "Sign in with <b>{{code}}</b>."})
	}
	return sendertest.Make(t, c)
}

// refusal returns the provider's refusal with a code. For 429 it has a Retry-After.
func refusal(status int, code, message string) sendertest.HTTPAnswer {
	body, _ := json.Marshal(map[string]string{"code": code, "message": message}) // any text can be written
	a := sendertest.HTTPAnswer{Status: status, Body: string(body)}
	if status == http.StatusTooManyRequests {
		a.Header = map[string]string{"Retry-After": "120"}
	}
	return a
}

// answers are a second copy of the provider's codes, each with its status, from its
// reference.
func answers() map[string]sendertest.Answer {
	all := make(map[string]sendertest.Answer)
	for code, means := range map[string]struct {
		status int
		sendertest.Meaning
	}{
		"bad-recipient":     {400, sendertest.Meaning{Class: sender.Permanent, Scope: sender.ScopeRecipient}},
		"bad-content":       {400, sendertest.Meaning{Class: sender.Permanent, Scope: sender.ScopeMessage}},
		"too-many-to-one":   {429, sendertest.Meaning{Class: sender.RecipientLimited, Scope: sender.ScopeRecipient}},
		"too-many-requests": {429, sendertest.Meaning{Class: sender.Throttled, Scope: sender.ScopeConnector}},
		"maintenance":       {409, sendertest.Meaning{Class: sender.Unavailable, Scope: sender.ScopeConnector}},
		"unknown-sender":    {403, sendertest.Meaning{Class: sender.Misconfigured, Scope: sender.ScopeConnector}},
		"bad-key":           {401, sendertest.Meaning{Class: sender.AccountDown, Scope: sender.ScopeAccount}},
		"no-credit":         {402, sendertest.Meaning{Class: sender.AccountDown, Scope: sender.ScopeAccount}},
	} {
		all[code] = refusal(means.status, code, "the reason").Means(means.Meaning, code)
		doubt := sendertest.Meaning{Class: sender.Unknown, Scope: sender.ScopeConnector}
		all[code+", 500"] = refusal(http.StatusInternalServerError, code, "the reason").Means(doubt, "HTTP.500")
	}
	return all
}
