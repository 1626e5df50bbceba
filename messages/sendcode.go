package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// SendCode asks for a code to be sent. Its JSON is Logto's SendMessageData with
// id, createdAt and expiresAt added. To, Type and Payload are required.
type SendCode struct {
	// ID names the message in outcomes, dead letters and logs. At providers that take a
	// correlation id, that one begins with it. 1 to 200 printable ASCII characters without
	// spaces. Default: a Publisher makes a new one (NewID). If a message on the wire has
	// none, a worker takes the Nats-Msg-Id header, and without that <stream>-<sequence>.
	//
	// Messages of other apps, channels, types or keys can have the same ID. For one
	// subject it identifies one code: within five minutes the stream drops a second
	// message with the same ID as a duplicate (Ack.Duplicate). So do not use a session's
	// id as the ID of each of its codes. Leave the ID empty, and use the session's id as
	// Subject.Key: outcomes have the key too.
	ID string
	// To is the recipient's address: an email address, or a phone number in any form that
	// [CheckAddress] takes.
	To   string
	Type Type
	// Payload holds the values for the template.
	Payload Payload
	// IP is the end user's, if the auth server knows it.
	IP string
	// CreatedAt is when the auth server made the code.
	CreatedAt time.Time
	// ExpiresAt is when the code expires: it is never sent at or after that time. Default:
	// the time when the stream stored the message, plus the app's codeTTL (10m).
	ExpiresAt time.Time
	// Sealed holds To, Payload, IP and Extra if they are encrypted: a Sealer makes it,
	// and the workers open it. Default: none.
	Sealed *Sealed
	// Extra holds the fields that this version does not know. Encode writes them again.
	Extra map[string]json.RawMessage
}

// Payload holds the values for a template: "code" or "link", "locale", and others of the
// auth server ("application", "organization" and "user" are objects). Numbers read from
// JSON are json.Number.
type Payload map[string]any

// Text returns the string at a name, and "" if there is none.
func (p Payload) Text(name string) string {
	s, _ := p[name].(string)
	return s
}

// UnmarshalJSON reads an object. It keeps numbers as they are written.
func (p *Payload) UnmarshalJSON(data []byte) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	return p.read(data)
}

// read is UnmarshalJSON for valid JSON.
func (p *Payload) read(data []byte) error {
	if m, ok := texts(data); ok {
		*p = m
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return err
	}
	*p = m
	return nil
}

// texts reads an object whose values are all strings: nearly every payload is one.
func texts(data []byte) (m Payload, ok bool) {
	m = make(Payload)
	err := eachMemberOf(data, func(name string, value json.RawMessage) error {
		if value[0] != '"' {
			return errNoObject
		}
		s, err := text(value)
		m[name] = s
		return err
	})
	return m, err == nil
}

// String shows how many values there are, and no value: a payload holds the code.
func (p Payload) String() string { return fmt.Sprintf("[payload of %d]", len(p)) }

// Format writes String for each verb.
func (p Payload) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// MarshalJSON writes String, so that a log in JSON shows no value. SendCode.Encode writes
// the values.
func (p Payload) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// openPayload is a payload whose JSON has the values.
type openPayload map[string]any

// opened returns a payload whose JSON has the values, also of payloads inside it.
func opened(p Payload) openPayload {
	if p == nil {
		return nil
	}
	out := make(openPayload, len(p))
	for name, v := range p {
		out[name] = openedValue(v)
	}
	return out
}

func openedValue(v any) any {
	switch x := v.(type) {
	case Payload:
		return opened(x)
	case map[string]any:
		return opened(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = openedValue(x[i])
		}
		return out
	case []Payload:
		out := make([]openPayload, len(x))
		for i := range x {
			out[i] = opened(x[i])
		}
		return out
	}
	return v
}

func (p *openPayload) UnmarshalJSON(data []byte) error { return (*Payload)(p).UnmarshalJSON(data) }

// String shows the message without its code and its whole address, for logs.
func (m SendCode) String() string {
	return fmt.Sprintf("SendCode %s %s to %s", m.ID, m.Type, Mask(m.To))
}

// Format writes String for each verb.
func (m SendCode) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// MarshalJSON writes the message without its code and its whole address, for logs in JSON.
// UnmarshalJSON can't read the result as a message. A sealed message hides both already: its
// JSON is complete except for Extra. Encode writes the wire format.
func (m SendCode) MarshalJSON() ([]byte, error) {
	m.Extra = nil
	if m.Sealed != nil {
		return m.Encode()
	}
	return json.Marshal(struct {
		ID        string     `json:"id,omitempty"`
		To        string     `json:"to"`
		Type      Type       `json:"type"`
		Payload   Payload    `json:"payload"`
		CreatedAt *time.Time `json:"createdAt,omitempty"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	}{m.ID, Mask(m.To), m.Type, m.Payload, timeOrNil(m.CreatedAt), timeOrNil(m.ExpiresAt)})
}

// Encode writes the wire format: the known fields that are set, and then the unknown ones.
// UnmarshalJSON reads it. The error is a *[FieldError].
func (m SendCode) Encode() ([]byte, error) {
	payload := opened(m.Payload)
	known := struct {
		ID        string       `json:"id,omitempty"`
		To        *string      `json:"to,omitempty"`
		Type      Type         `json:"type"`
		Payload   *openPayload `json:"payload,omitempty"`
		IP        string       `json:"ip,omitempty"`
		CreatedAt *time.Time   `json:"createdAt,omitempty"`
		ExpiresAt *time.Time   `json:"expiresAt,omitempty"`
		Sealed    *Sealed      `json:"sealed,omitempty"`
	}{m.ID, &m.To, m.Type, &payload, m.IP, timeOrNil(m.CreatedAt), timeOrNil(m.ExpiresAt), m.Sealed}
	if m.Sealed != nil {
		known.To, known.Payload, known.IP = nil, nil, ""
	}
	b, err := json.Marshal(known)
	if err != nil {
		return nil, encodeError(err)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Extra)) {
		if _, ok := fieldIndex(name); ok {
			continue // Extra must not replace a known field
		}
		if !json.Valid(m.Extra[name]) { // or add one, as 1,"to":"…" would
			return nil, &FieldError{"extra", "holds a value that is not JSON"}
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, encodeError(err)
		}
		b = append(b[:len(b)-1], ',')
		b = append(append(append(b, key...), ':'), m.Extra[name]...)
		b = append(b, '}')
	}
	return b, nil
}

// encodeError says what can't be encoded. Some errors of encoding/json show the value
// itself, and that can be a code.
func encodeError(err error) error {
	if unsupported, ok := errors.AsType[*json.UnsupportedTypeError](err); ok {
		return &FieldError{"payload", fmt.Sprintf("holds a %s, which JSON can't hold", unsupported.Type)}
	}
	return &FieldError{"payload", "holds a value that JSON can't hold, or a time of the message is out of range"}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// fields are the known fields in the order of their names, with the function that reads
// each and the form that it takes.
var fields = [...]struct {
	name string
	read func(*SendCode, json.RawMessage) error
	want string
}{
	{"createdAt", func(m *SendCode, v json.RawMessage) error { return readTime(v, &m.CreatedAt) }, rfc3339},
	{"expiresAt", func(m *SendCode, v json.RawMessage) error { return readTime(v, &m.ExpiresAt) }, rfc3339},
	{"id", func(m *SendCode, v json.RawMessage) (err error) { m.ID, err = text(v); return err }, "a string"},
	{"ip", func(m *SendCode, v json.RawMessage) (err error) { m.IP, err = text(v); return err }, "a string"},
	{"payload", func(m *SendCode, v json.RawMessage) error { return m.Payload.read(v) }, "an object"},
	{"sealed", func(m *SendCode, v json.RawMessage) error { return json.Unmarshal(v, &m.Sealed) }, "an object of key and box"},
	{"to", func(m *SendCode, v json.RawMessage) (err error) { m.To, err = text(v); return err }, "a string"},
	{"type", func(m *SendCode, v json.RawMessage) error { s, err := text(v); m.Type = Type(s); return err }, "a usage type such as \"SignIn\""},
}

// fieldIndex returns a known field's place in fields; ok is false for any other name.
func fieldIndex(name string) (i int, ok bool) {
	for i := range fields {
		if fields[i].name == name {
			return i, true
		}
	}
	return 0, false
}

const rfc3339 = "a time such as \"2026-11-21T12:00:00Z\" (RFC 3339)"

func readTime(v json.RawMessage, t *time.Time) error {
	if string(v) == `""` {
		return nil
	}
	if err := t.UnmarshalJSON(v); err != nil {
		return err
	}
	if y := t.UTC().Year(); y < 0 || y > 9999 { // possible only because of the time zone
		return errors.New("the year is out of range")
	}
	return nil
}

// UnmarshalJSON reads the wire format. It checks the form of each field, not
// the message as a whole: [SendCode.Validate] does that. The error is a *[FieldError].
func (m *SendCode) UnmarshalJSON(data []byte) error {
	*m = SendCode{}
	var known [len(fields)]json.RawMessage // if a name comes twice, the last one
	err := eachMember(data, func(name string, value json.RawMessage) error {
		if i, ok := fieldIndex(name); ok {
			known[i] = value
			return nil
		}
		if m.Extra == nil {
			m.Extra = make(map[string]json.RawMessage)
		}
		m.Extra[name] = bytes.Clone(value)
		return nil
	})
	if err != nil {
		return &FieldError{"body", "is not a JSON object" + jsonPosition(err)}
	}
	for i, value := range known {
		if value == nil {
			continue
		}
		if err := fields[i].read(m, value); err != nil {
			return &FieldError{fields[i].name, "is not " + fields[i].want}
		}
	}
	return nil
}

// jsonPosition says where the syntax error is. It does not show the text there: that can be
// a code.
func jsonPosition(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf(" (syntax error at byte %d)", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return " (it ends too early)"
	}
	return ""
}

// Validate checks a message for a channel. The error is a *[FieldError]. If several fields
// are wrong, it names the first in the order to, type, payload, id. Before a sealed message
// is opened, it can check only type, id and the form of sealed.
func (m *SendCode) Validate(c Channel) error {
	if m.Sealed != nil {
		return m.validateSealed()
	}
	if err := CheckAddress(c, m.To); err != nil {
		return err
	}
	if err := checkType(m.Type); err != nil {
		return err
	}
	if m.Payload == nil {
		return &FieldError{"payload", "is missing; it is an object such as {\"code\":\"123456\"}"}
	}
	for _, name := range []string{"code", "link"} {
		v, ok := m.Payload[name]
		if _, isText := v.(string); ok && !isText {
			return &FieldError{"payload." + name, "is not a string; a number loses its leading zeros"}
		}
	}
	return fieldError("id", protocol.IDProblem(m.ID))
}

func (m *SendCode) validateSealed() error {
	if m.To != "" || m.Payload != nil || m.IP != "" {
		return &FieldError{"sealed", "can't be set together with to, payload or ip, because it holds them"}
	}
	if err := checkType(m.Type); err != nil {
		return err
	}
	if m.ID == "" {
		return &FieldError{"id", "is missing; a sealed message needs one"}
	}
	if err := fieldError("id", protocol.IDProblem(m.ID)); err != nil {
		return err
	}
	return m.Sealed.validate()
}
