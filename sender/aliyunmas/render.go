package aliyunmas

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/codeferry/codeferry/internal/phone"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// params is SendSmsVerifyCode's TemplateParam: what the templates that Aliyun
// gives take. Aliyun makes a code of its own only where code is ##code##; every
// other is sent as it is.
type params struct {
	Code string `json:"code"`
	// Min is how many minutes the code is good for.
	Min string `json:"min,omitempty"`
}

// Render picks the template's code. Numbers outside the mainland are refused, and
// so is a code that Aliyun would not take.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	n, err := phone.Parse(m.To, false)
	if err != nil {
		return nil, sender.Invalid("to %v", err)
	}
	if !n.Mainland {
		return nil, sender.Invalid("to is no number of mainland China, and this connector sends to mainland numbers only; a route's condition keeps others away from it")
	}
	template, ok := c.templates.For(m)
	if !ok {
		return nil, sender.Invalid("there is no template for %s, and none for Generic", m.Type)
	}
	p := params{Code: m.Payload.Text("code")}
	if p.Code == "" {
		return nil, sender.Invalid("template %s uses ${code} and the payload has no code", m.Type)
	}
	if !isCode(p.Code) {
		return nil, sender.Invalid("payload.code has %d characters; Aliyun takes %d to %d letters or digits (A-Z a-z 0-9)", utf8.RuneCountInString(p.Code), minCode, maxCode)
	}
	if p.Min, err = c.min(m, time.Now()); err != nil {
		return nil, err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, sender.Invalid("the payload makes no JSON")
	}
	return &sender.Message{ID: m.ID, To: n.Digits, TemplateCode: string(template), TemplateParam: string(b)}, nil
}

// The lengths of a code that SendSmsVerifyCode makes, and so takes (CodeLength).
const (
	minCode = 4
	maxCode = 8
)

func isCode(s string) bool {
	return len(s) >= minCode && len(s) <= maxCode && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// min returns what ${min} becomes: payload.min; else the minutes until the code
// expires, rounded up; else the connector's minutes.
func (c *connector) min(m *messages.SendCode, now time.Time) (string, error) {
	if c.minutes == 0 {
		return "", nil
	}
	switch v := m.Payload["min"].(type) {
	case nil:
	case string:
		return minutes(v)
	case json.Number:
		return minutes(v.String())
	default:
		return minutes("")
	}
	if m.ExpiresAt.IsZero() {
		return strconv.Itoa(c.minutes), nil
	}
	left := int(math.Ceil(m.ExpiresAt.Sub(now).Minutes()))
	return strconv.Itoa(min(max(left, 1), maxMinutes)), nil
}

func minutes(text string) (string, error) {
	if n, err := strconv.ParseUint(text, 10, 16); err != nil || n < 1 || n > maxMinutes {
		return "", sender.Invalid("payload.min is no whole number of minutes from 1 to %d", maxMinutes)
	}
	return text, nil
}
