package aliyunmas

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/internal/phone"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// params is SendSmsVerifyCode's TemplateParam: the variables of the templates that Aliyun
// provides. Aliyun makes a code itself only if code is ##code##; it sends every other
// code as it is.
type params struct {
	Code string `json:"code"`
	// Min is how long the code is valid, in minutes.
	Min string `json:"min,omitempty"`
}

// Render selects the template's code. It refuses numbers outside the mainland, and a code
// that Aliyun would not take.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	n, err := phone.Parse(m.To, false)
	if err != nil {
		return nil, sender.Invalid("to %v", err)
	}
	if !n.Mainland {
		return nil, sender.Invalid("to is not a number of mainland China, and this connector sends only to mainland numbers; use a route's condition to send other numbers elsewhere")
	}
	template, ok := c.templates.For(m)
	if !ok {
		return nil, sender.Invalid("there is no template for %s, and none for Generic", m.Type)
	}
	var p params
	if p.Code, err = aliyun.PayloadCode(m, maxCode); err != nil {
		return nil, err
	}
	if p.Min, err = c.min(m, time.Now()); err != nil {
		return nil, err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return nil, sender.Invalid("the payload can't be written as JSON")
	}
	return &sender.Message{
		ID: m.ID, To: n.Digits, Template: c.signName + "/" + string(template), TemplateCode: string(template), TemplateParam: string(b),
	}, nil
}

// maxCode is the length of the longest code that SendSmsVerifyCode can make (CodeLength),
// and so of the longest one that it takes.
const maxCode = 8

// min returns the value of ${min}: payload.min; else the minutes until the code expires,
// rounded up; else the connector's minutes.
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
		return "", sender.Invalid("payload.min is not a whole number of minutes from 1 to %d", maxMinutes)
	}
	return text, nil
}
