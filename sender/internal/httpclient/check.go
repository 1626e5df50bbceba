package httpclient

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// Advice of errors of a check.
const (
	elsewhereAdvice = "Something else than the provider answers, or the provider does not know the request: check the connector's endpoint and region, and a proxy between."
	keysAdvice      = "Check the connector's keys, its endpoint, and a proxy between."
	laterAdvice     = "Try again later: the provider, or a proxy between, has a failure of its own. If it stays, check the connector's endpoint."
	refusedAdvice   = "Look up the error code in the guide of the connector's type, https://github.com/codeferry/codeferry/blob/main/docs/connectors/README.md. No message was sent."
)

// ForCheck returns the error of a check, which sends no message. So an answer is no doubt,
// whatever it is: its status says what is wrong, unless it has a code of the provider. own is
// true if it has one, and e then has its text. Otherwise text is what the answer says, redacted.
// An error without an answer (status 0) stays as it is.
func ForCheck(e *sender.Error, status int, own bool, text string) *sender.Error {
	if e == nil || status == 0 {
		return e
	}
	out := *e
	switch {
	case own && e.Class == sender.Permanent:
		out.Scope, out.Advice = sender.ScopeConnector, refusedAdvice
	case own && e.Class == sender.Unknown:
		out.Class, out.Advice = sender.Unavailable, laterAdvice
	case own:
	default:
		out.Scope = sender.ScopeConnector
		out.Class, out.Advice = byStatus(status)
		out.Detail = fmt.Sprintf("the answer is %d %s, without an error code of the provider", status, http.StatusText(status))
		if status < 300 {
			out.Detail = fmt.Sprintf("the answer (%d %s) is not the provider's", status, http.StatusText(status))
		}
		if text != "" {
			out.Detail += "; it says: " + text
		}
	}
	return &out
}

// byStatus classes an answer without a code, by its status.
func byStatus(status int) (class sender.Class, advice string) {
	switch {
	case status == http.StatusTooManyRequests:
		return sender.Throttled, ""
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return sender.AccountDown, keysAdvice
	case status >= http.StatusInternalServerError:
		return sender.Unavailable, laterAdvice
	}
	return sender.Misconfigured, elsewhereAdvice
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.{0,200}?)</title>`)

// Message returns what an answer says: the message of a JSON object, or the title of a page;
// empty for anything else. It can hold anything, so the caller has to redact it.
func (a *Answer) Message() string {
	var fields map[string]any
	if json.Unmarshal(a.Body, &fields) == nil {
		for _, name := range []string{"message", "Message", "detail", "error"} {
			if text, ok := fields[name].(string); ok && text != "" {
				return text
			}
		}
		return ""
	}
	if m := title.FindSubmatch(a.Body); m != nil {
		return strings.TrimSpace(string(m[1]))
	}
	return ""
}
