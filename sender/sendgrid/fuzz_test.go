package sendgrid

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
	"github.com/codeferry/codeferry/sender/redact"
)

// FuzzAnswer: for any answer, only a 202 is a success, and an error is one line without
// anything private.
func FuzzAnswer(f *testing.F) {
	const to, code, key = "alice@example.com", "Qx7z9K", "SG.id.secret"
	for _, status := range []int{200, 202, 302, 400, 401, 403, 413, 429, 451, 500} {
		for _, body := range []string{
			"", "<html>", `{"errors":[{"message":"no ` + to + `","field":"from.email","help":null}]}`, `{"errors":["` + code + `"]}`,
			`{"errors":[{"message":"Qx7z9\u004b \u0000 \ud800","field":"SG.id.secret"}]}`, `{"errors":[{"message":"","field":"from"}]}`,
		} {
			f.Add(status, body, "M-1", "1392815263", "5", true)
			f.Add(status, body, "", "-1", "Fri, 31 Dec 9999 23:59:59 GMT", false)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, id, reset, retry string, whole bool) {
		a := &answer{&httpclient.Answer{Status: status, Header: make(http.Header), Body: []byte(body)}, private{
			message: &sender.Message{To: to, Subject: "SignIn: " + code, Text: "Your code is " + code}, key: sender.NewSecret(key),
		}}
		a.Header.Set("X-Message-Id", id)
		a.Header.Set("X-RateLimit-Reset", reset)
		a.Header.Set("Retry-After", retry)
		if !whole {
			a.Broken = http.ErrBodyReadAfterClose
		}
		if a.accepted() {
			if status != http.StatusAccepted || a.messageID() == "" && strings.TrimSpace(body) != "" {
				t.Errorf("%d %q is a success", status, body)
			}
			return
		}
		e := a.refusal()
		if !slices.Contains(sender.Classes(), e.Class) {
			t.Errorf("%d is not a class", e.Class)
		}
		if e.Code == "" {
			t.Error("the error has no code")
		}
		if e.Detail == "" {
			t.Error("the error has no detail")
		}
		if e.Class != sender.Unknown && (status < 400 || status > 499) {
			t.Errorf("%d is surely not accepted: %v", status, e)
		}
		if e.RetryAfter < 0 || e.RetryAfter > httpclient.MaxRetryAfter || e.RetryAfter > 0 && e.Class != sender.Throttled {
			t.Errorf("wait for %s: %v", e.RetryAfter, e)
		}
		if n := utf8.RuneCountInString(e.Detail); n > redact.MaxLine+1 || strings.ContainsAny(e.Detail, "\r\n\x00\x1b") || !utf8.ValidString(e.Detail) {
			t.Errorf("no line of %d characters: %q", n, e.Detail)
		}
		lower := strings.ToLower(e.Detail)
		for _, v := range []string{to, code, key} {
			if strings.Contains(lower, strings.ToLower(v)) {
				t.Errorf("it holds %q: %q", v, e.Detail)
			}
		}
	})
}
