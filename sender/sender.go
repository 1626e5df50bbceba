// Package sender is what a worker calls: the interface of a connector, what a
// connector is given and gives back, and the classes of its errors. Each
// provider has a package of its own below this one, its configuration beside it.
package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// Sender is one configured connector. Its methods may be called by many
// goroutines at once. One that keeps connections implements io.Closer too: Close
// is called when nothing is being sent any more.
type Sender interface {
	// Render picks the template for the message's type and fills it in. It does
	// no I/O. Its error is an *Error, in nearly every case of class Permanent: it
	// is the message that does not fit.
	Render(m *messages.SendCode) (*Message, error)
	// Send makes one request, and never a second one by itself. It blocks until
	// the provider has answered, the connector's time-out is over or ctx ends.
	// Its error is an *Error; a request that may have been accepted is of class
	// Unknown.
	Send(ctx context.Context, m *Message) (Receipt, error)
}

// Checker is a connector that can try its credentials and its way to the
// provider without sending anything.
type Checker interface {
	// Check makes one harmless request. Its error is an *Error.
	Check(ctx context.Context) error
}

// Asker is a connector whose provider can be asked about a message.
type Asker interface {
	// Ask tells whether the provider has accepted m since a time. Not found is no
	// proof that it has not: how soon a message shows up is the provider's secret.
	// It blocks as Send does. Its error is an *Error, and means that nothing is
	// known.
	Ask(ctx context.Context, m *Message, since time.Time) (r Receipt, found bool, err error)
}

// Message is one message rendered for one connector. An email has Subject, Text
// and mostly HTML; an SMS has TemplateCode and TemplateParam.
type Message struct {
	// ID is the message's id, given to the provider where it takes one.
	ID string
	// To is the recipient in the provider's own form.
	To string

	Subject string
	// FromAlias is the sender's name; empty where there is none.
	FromAlias string
	HTML      string
	Text      string

	TemplateCode string
	// TemplateParam is a JSON object whose values are strings.
	TemplateParam string

	// Missing names the placeholders for which the payload had nothing.
	Missing []string
}

// String names the message and shows nothing of it: it holds the address and the code.
func (m Message) String() string { return "message " + m.ID }

// Format is String, whatever the verb.
func (m Message) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// MarshalJSON is String, for whatever logs JSON.
func (m Message) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// Receipt is a provider's word that it has accepted a message.
type Receipt struct {
	// ProviderID is the provider's name for the message: Aliyun's BizId or EnvId.
	ProviderID string
	// RequestID is the provider's name for the request.
	RequestID string
}
