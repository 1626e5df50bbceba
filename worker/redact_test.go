package worker

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// TestRedacted: the text of an error shows nothing of the message.
func TestRedacted(t *testing.T) {
	code := &messages.SendCode{To: "+8613012345678", IP: "203.0.113.77", Payload: messages.Payload{
		"code": "481516", "locale": "zh-CN", "uiLocales": "en-GB fr-FR", "count": json.Number("99887"), "on": true,
		"user": map[string]any{"name": "Mårked", "all": []any{"first-one", map[string]any{"deep": "deep-one"}}},
	}}
	for name, c := range map[string]struct{ said, want string }{
		"nothing of it":                {"no template for zh-CN, en-GB fr-FR", "no template for zh-CN, en-GB fr-FR"},
		"the code":                     {"481516 is spam", "[hidden] is spam"},
		"the number, in its country":   {"no 130-1234-5678", "no [hidden]"},
		"the ip":                       {"from 203.0.113.77:", "from [hidden]:"},
		"a number of the payload":      {"99887!", "[hidden]!"},
		"a nested text":                {"M%C3%A5rked", "[hidden]"},
		"a list":                       {"first-one, deep-one", "[hidden], [hidden]"},
		"another recipient":            {"b@example.net or 13912345678", "[hidden] or [hidden]"},
		"as long as two sentences are": {strings.Repeat("x", 900), strings.Repeat("x", 900)},
		"longer":                       {strings.Repeat("x", 1001), strings.Repeat("x", 1000) + "…"},
	} {
		check.Equal(t, name, redacted(&sender.Error{Detail: c.said}, code).Detail, c.want)
	}
	all := sender.Error{
		Class: sender.Throttled, Scope: sender.ScopeAccount, Code: "isv.481516", Detail: "x", Advice: "Wait.", RequestID: "R-13012345678", RetryAfter: time.Second,
	}
	given := all
	got := redacted(&given, code)
	check.Equal(t, "the error that was given", given, all)
	check.Equal(t, "the code", got.Code, "isv.[hidden]")
	check.Equal(t, "the request's id", got.RequestID, maskID("R-13012345678", code.To))
	all.Code, all.RequestID = got.Code, got.RequestID
	check.Equal(t, "the rest", *got, all)
}
