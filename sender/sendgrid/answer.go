package sendgrid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// answer is what came back, and what is not to be said of it.
type answer struct {
	*exchange.Answer
	private private
}

// messageID returns SendGrid's name for the mail: the beginning of the sg_message_id
// of its events.
func (a *answer) messageID() string { return line(a.Header.Get("X-Message-Id")) }

// accepted tells whether SendGrid has taken the mail: a 202 that names the mail or
// has no body, as SendGrid's has none. A 200 is none: it is SendGrid's answer in
// sandbox mode, where it delivers nothing, and everyone else's to anything.
func (a *answer) accepted() bool {
	if a.Status != http.StatusAccepted {
		return false
	}
	return a.messageID() != "" || a.Broken == nil && len(bytes.TrimSpace(a.Body)) == 0
}

// fault is one of the errors in an answer.
type fault struct {
	// field is the part of the request that it is about, such as
	// personalizations.0.to.0.email; empty for none.
	field   string
	message string
}

// faults reads the errors of an answer: {"errors": [{"message", "field", "help"}]}.
// In some answers of older parts of the API an error is a mere string. There are
// none where the answer is not SendGrid's.
func (a *answer) faults() []fault {
	var body struct {
		Errors []any `json:"errors"`
	}
	if a.Broken != nil || json.Unmarshal(a.Body, &body) != nil {
		return nil
	}
	var out []fault
	for _, e := range body.Errors {
		switch e := e.(type) {
		case string:
			out = append(out, fault{message: e})
		case map[string]any:
			message, ok := e["message"].(string)
			if field, _ := e["field"].(string); ok {
				out = append(out, fault{field: field, message: message})
			}
		}
	}
	return out
}

// refusal classes an answer that is no success.
func (a *answer) refusal() *sender.Error {
	faults := a.faults()
	row, about := classify(a.Status, faults)
	if row == nil {
		return a.strange()
	}
	e := &sender.Error{Class: row.class, Code: row.code, Detail: a.private.clean(about.String())}
	if e.Detail == "" {
		e.Detail = a.said()
	}
	if e.Class == sender.Throttled {
		e.RetryAfter = a.retryAfter(time.Now())
	}
	return e
}

func (f fault) String() string {
	if f.field == "" || f.message == "" {
		return f.message
	}
	return f.field + ": " + f.message
}

// strange is doubt: the answer is not one that SendGrid gives, or not one that
// says whether the mail was taken.
func (a *answer) strange() *sender.Error {
	detail := a.said() + ", which says nothing of what became of the request"
	if faults := a.faults(); len(faults) > 0 {
		detail = a.private.clean(a.said() + ": " + faults[0].String())
	}
	return &sender.Error{Class: sender.Unknown, Code: fmt.Sprintf("HTTP.%d", a.Status), Detail: detail}
}

func (a *answer) said() string {
	return fmt.Sprintf("the answer is %d %s", a.Status, http.StatusText(a.Status))
}

// retryAfter reads how long to wait: from Retry-After, seconds or a date (RFC 9110,
// 10.2.3), and from X-RateLimit-Reset, the second since 1970 in which the limit is
// over; by the provider's clock where it tells it.
func (a *answer) retryAfter(now time.Time) time.Duration {
	if at, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		now = at
	}
	d := exchange.RetryAfter(a.Header, now)
	if second, err := strconv.ParseInt(a.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		d = max(d, time.Unix(second, 0).Sub(now))
	}
	return min(d, exchange.MaxRetryAfter)
}
