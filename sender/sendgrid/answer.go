package sendgrid

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
	"github.com/codeferry/codeferry/sender/redact"
)

// answer is an answer of SendGrid, and what its errors must not hold.
type answer struct {
	*httpclient.Answer
	private private
}

// messageID returns SendGrid's ID of the mail: the beginning of the sg_message_id of its
// events.
func (a *answer) messageID() string { return redact.OneLine(a.Header.Get("X-Message-Id")) }

// accepted reports whether SendGrid has accepted the mail: the answer is a 202 that names
// the mail or, like SendGrid's own, has no body. A 200 does not count. It is SendGrid's
// answer in sandbox mode, where it delivers nothing, and any other server's answer to
// anything.
func (a *answer) accepted() bool {
	if a.Status != http.StatusAccepted {
		return false
	}
	return a.messageID() != "" || a.Broken == nil && len(bytes.TrimSpace(a.Body)) == 0
}

// fault is one of the errors in an answer.
type fault struct {
	// field is the field of the request that is wrong, such as
	// personalizations.0.to.0.email; empty if there is none.
	field   string
	message string
}

// faults reads the errors of an answer: {"errors": [{"message", "field", "help"}]}. In
// some answers of older parts of the API an error is a string. An answer that is not
// SendGrid's has none.
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

// refusal classes a failed answer.
func (a *answer) refusal() *sender.Error {
	faults := a.faults()
	row, about := classify(a.Status, faults, a.private)
	if row == nil {
		return a.strange()
	}
	e := &sender.Error{Class: row.class, Scope: row.scope, Code: row.code, Detail: a.private.redact(about.String())}
	if e.Detail == "" {
		e.Detail = a.said()
	}
	if e.Code == codeBadKey || e.Code == codeUnauthorized {
		e.Advice = "Check the connector's apiKey."
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

// strange returns doubt: SendGrid does not give such an answer, or the answer does not
// say whether the mail was accepted.
func (a *answer) strange() *sender.Error {
	if a.Status < 300 && a.Broken != nil {
		return a.Failure(noAnswer)
	}
	detail := a.said() + ", which does not say whether the mail was accepted"
	if faults := a.faults(); len(faults) > 0 {
		detail = a.private.redact(a.said() + ": " + faults[0].String())
	}
	return &sender.Error{Class: sender.Unknown, Scope: sender.ScopeConnector, Code: fmt.Sprintf("HTTP.%d", a.Status), Detail: detail}
}

// ofCheck returns the error of a request that sends no mail.
func (a *answer) ofCheck(e *sender.Error) *sender.Error {
	if a.Broken != nil {
		return e
	}
	own := a.Status >= http.StatusMultipleChoices && len(a.faults()) > 0
	return httpclient.ForCheck(e, a.Status, own, a.private.redact(a.Message()))
}

func (a *answer) said() string {
	return fmt.Sprintf("the answer is %d %s", a.Status, http.StatusText(a.Status))
}

// retryAfter returns how long to wait. It reads Retry-After, in seconds or as a date (RFC
// 9110, 10.2.3), and X-RateLimit-Reset, the Unix time at which the limit ends. It uses
// the provider's clock if the answer has a Date.
func (a *answer) retryAfter(now time.Time) time.Duration {
	if at, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		now = at
	}
	d := httpclient.RetryAfter(a.Header, now)
	if second, err := strconv.ParseInt(a.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		d = max(d, time.Unix(second, 0).Sub(now))
	}
	return min(d, httpclient.MaxRetryAfter)
}
