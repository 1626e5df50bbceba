package worker

import (
	"encoding/json"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/redact"
)

// longestDetail is how many characters of an error are kept: more than a provider's text
// has, since the error can add text of its own.
const longestDetail = 5 * redact.MaxLine

// redactor is a second redactor, after the providers' own. It removes the recipient and
// the payload's values from the text of an error.
func redactor(code *messages.SendCode) *redact.Redactor {
	v := redact.Values{Recipient: code.To, Secrets: []string{code.IP}, Longest: longestDetail}
	eachValue(code.Payload, func(value string) { v.Secrets = append(v.Secrets, value) })
	return redact.New(v)
}

// redacted returns an error in a form that may be shown. Its code and its request id also
// come from the provider.
func redacted(e *sender.Error, code *messages.SendCode) *sender.Error {
	r := redactor(code)
	out := *e
	out.Code, out.Detail, out.RequestID = r.Line(e.Code), r.Line(e.Detail), maskID(e.RequestID, code.To)
	return &out
}

// eachValue calls f with every text and number in a payload, except the locales, which are
// not secret.
func eachValue(v any, f func(string)) {
	switch x := v.(type) {
	case string:
		f(x)
	case json.Number:
		f(x.String())
	case messages.Payload:
		eachValue(map[string]any(x), f)
	case map[string]any:
		for name, v := range x {
			if name != "locale" && name != "uiLocales" {
				eachValue(v, f)
			}
		}
	case []any:
		for _, v := range x {
			eachValue(v, f)
		}
	}
}
