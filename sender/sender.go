// Package sender is what a worker calls: the interface of a connector, its input and
// output, and the classes of its errors. Each provider has its own package below this
// one, together with its configuration.
package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// Sender is one configured connector. Many goroutines can call its methods at once. A
// Sender that keeps connections also implements io.Closer; Close is called when no
// message is being sent any more.
type Sender interface {
	// Render selects the template for the message's type and fills it in. It does no I/O.
	// Its error is an *Error, nearly always of class Permanent: the message does not fit.
	Render(m *messages.SendCode) (*Message, error)
	// Send makes one request, and never a second one by itself. It blocks until the
	// provider has answered, the connector's time-out is over or ctx ends. Until the
	// message is handed over, it also blocks no longer than m.NotAfter. Its error is an
	// *Error. It is of class Unknown if the message may have been accepted, and of class
	// Unavailable with CodeExpired if the message was not handed over before m.NotAfter.
	Send(ctx context.Context, m *Message) (Receipt, error)
}

// Checker is a connector that can check its credentials and its connection to the
// provider without sending anything.
type Checker interface {
	// Check makes one harmless request. Its error is an *Error.
	Check(ctx context.Context) error
}

// Mailer is a connector for email that says where its mail comes from.
type Mailer interface {
	// From returns the sender's address, without a name.
	From() string
}

// Asker is a connector whose provider can be asked about a message.
type Asker interface {
	// Ask reports whether the provider has accepted m since a time. A message that is not
	// found may still have been accepted: no provider says how soon a message shows up.
	// Ask blocks as Send does. Its error is an *Error, and means that nothing is known.
	Ask(ctx context.Context, m *Message, since time.Time) (r Receipt, found bool, err error)
}

// Message is one message, rendered for one connector. An email has Subject, Text and
// usually HTML; an SMS has TemplateCode and TemplateParam.
type Message struct {
	// ID is the message's name at the provider, if the provider takes one. It begins with
	// the publisher's id and belongs to one stored message.
	ID string
	// To is the recipient in the provider's own form.
	To string
	// Template names the template and signature within the connector: what an error of
	// ScopeTemplate speaks of. Render sets it; the same template always has the same name,
	// and two templates never share one. It is an email template's usage type, with its
	// language if it has one ("SignIn in zh-CN"), or an SMS's signature and template code,
	// with "/overseas" for numbers outside the mainland
	// ("Example/SMS_123456789/overseas"): Aliyun may have approved them for only one of
	// the two.
	Template string
	// NotAfter is when the message is too late: Send hands it over before this time or not
	// at all. It is handed over with the first byte of an HTTP request, or of the line
	// that ends an SMTP mail's data. NotAfter does not bound the wait for the answer. Zero
	// means no bound.
	NotAfter time.Time

	Subject string
	// FromAlias is the sender's name; empty if there is none.
	FromAlias string
	HTML      string
	Text      string

	TemplateCode string
	// TemplateParam is a JSON object whose values are strings.
	TemplateParam string

	// Missing names the placeholders for which the payload has no value.
	Missing []string
}

// String returns the message's ID alone, since the message holds the address and the
// code.
func (m Message) String() string { return "message " + m.ID }

// Format writes String, whatever the verb.
func (m Message) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// MarshalJSON returns String, for loggers that write JSON.
func (m Message) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// Receipt is a provider's confirmation that it has accepted a message.
type Receipt struct {
	// ProviderID is the provider's ID of the message, such as Aliyun's BizId or EnvId.
	ProviderID string
	// RequestID is the provider's ID of the request.
	RequestID string
}
