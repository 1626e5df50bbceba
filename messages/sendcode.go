package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// MaxBody is the most bytes that a message's body may have.
const MaxBody = 16 << 10

// maxID bounds an id, below what Aliyun's OutId takes (255 bytes).
const maxID = 200

// SendCode asks for a code to be sent. Its JSON is Logto's SendMessageData with
// id, createdAt and expiresAt added. To, Type and Payload are required.
type SendCode struct {
	// ID names the message in outcomes, dead letters and logs, and is the
	// correlation id at providers that take one. Default: the Nats-Msg-Id
	// header, and without one <stream>-<sequence>. A Publisher sets it.
	ID string
	// To is the recipient's address: an email address, or a phone number in any
	// of the forms that CheckAddress takes.
	To   string
	Type Type
	// Payload holds what the template may use.
	Payload Payload
	// IP is the end user's, where the auth server knows it.
	IP string
	// CreatedAt is when the auth server made the code.
	CreatedAt time.Time
	// ExpiresAt is when the code stops being good: it is never sent at or after
	// that time. Default: the time the stream stored the message plus the app's
	// codeTTL (10m).
	ExpiresAt time.Time
	// Sealed holds To, Payload, IP and Extra where they are encrypted: a Sealer makes
	// it, an Opener opens it.
	Sealed *Sealed
	// Extra holds the fields that this version does not know. They are kept.
	Extra map[string]json.RawMessage
}

// Payload is what a template may use: "code" or "link", "locale", and whatever
// else the auth server gives ("application", "organization" and "user" are
// objects). Numbers read from JSON are json.Number.
type Payload map[string]any

// Text returns the string at a name, and "" where there is none.
func (p Payload) Text(name string) string {
	s, _ := p[name].(string)
	return s
}

// UnmarshalJSON reads an object and keeps its numbers as they were written.
func (p *Payload) UnmarshalJSON(data []byte) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	return p.read(data)
}

// read is UnmarshalJSON for what is known to be JSON.
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

// texts reads an object that holds text alone, as nearly every payload does.
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

// String shows that there is something, and not what: a payload holds the code.
func (p Payload) String() string { return fmt.Sprintf("[payload of %d]", len(p)) }

// Format is String, whatever the verb.
func (p Payload) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// MarshalJSON is String, for whatever logs JSON. SendCode.Encode writes what is there.
func (p Payload) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// openPayload is a payload whose JSON shows it.
type openPayload map[string]any

// opened returns a payload whose JSON shows it, and so that of those within.
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

// String shows the message without its code and its whole address, for whoever
// logs one.
func (m SendCode) String() string {
	return fmt.Sprintf("SendCode %s %s to %s", m.ID, m.Type, Mask(m.To))
}

// Format is String, whatever the verb.
func (m SendCode) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// MarshalJSON shows what String does, for whatever logs JSON; what it writes can't be
// read as a message. A sealed message hides what it holds already: its JSON is whole,
// but for Extra. Encode writes what goes on the wire.
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

// FieldError says what is wrong with a part of a message. It never holds an
// address or a code.
type FieldError struct {
	Field   string
	Problem string
}

// Error returns one line such as `to is missing; it is the recipient's address`.
func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

// Encode writes the message as it goes on the wire: the known fields that are set,
// and then the unknown ones. Decode reads it. The error is a *FieldError.
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
			continue // an unknown field cannot stand for a known one
		}
		if !json.Valid(m.Extra[name]) { // nor bring one along, as 1,"to":"…" would
			return nil, &FieldError{"extra", "holds a value that is no JSON"}
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

// encodeError says what can't be written. encoding/json would show the value
// itself for some, and that may be a code.
func encodeError(err error) error {
	var unsupported *json.UnsupportedTypeError
	if errors.As(err, &unsupported) {
		return &FieldError{"payload", fmt.Sprintf("holds a %s, which JSON can't", unsupported.Type)}
	}
	return &FieldError{"payload", "holds what JSON can't, or a time is out of its range"}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// fields are the known fields in the order of their names, how each is read, and
// what it has to be.
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
	if y := t.UTC().Year(); y < 0 || y > 9999 { // only because of its time zone
		return errors.New("the year can't be written")
	}
	return nil
}

// UnmarshalJSON reads the wire format. It checks the form of each field, not
// the message as a whole: that is Validate's. The error is a *FieldError.
func (m *SendCode) UnmarshalJSON(data []byte) error {
	*m = SendCode{}
	var known [len(fields)]json.RawMessage // of a name that comes twice, the last
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
		return &FieldError{"body", "is no JSON object" + jsonPosition(err)}
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

// jsonPosition says where the JSON broke, and nothing of what stood there: that
// may be a code.
func jsonPosition(err error) string {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf(" (it breaks at byte %d)", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return " (it ends too early)"
	}
	return ""
}

// Decode reads a message's body and checks it for a channel: what a worker does
// first. The error is a *FieldError.
func Decode(body []byte, c Channel) (*SendCode, error) {
	if len(body) > MaxBody {
		return nil, &FieldError{"body", fmt.Sprintf("has %d bytes; it takes at most %d", len(body), MaxBody)}
	}
	m := new(SendCode)
	if err := m.UnmarshalJSON(body); err != nil {
		return m, err
	}
	err := m.Validate(c)
	return m, err
}

// Validate says what is wrong with a message for a channel, as a *FieldError.
// Where several things are, it names the first in the order to, type, payload,
// id. Of one that is sealed it can say less until it is opened.
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
	return checkID(m.ID)
}

func (m *SendCode) validateSealed() error {
	if m.To != "" || m.Payload != nil || m.IP != "" {
		return &FieldError{"sealed", "stands beside to, payload or ip, which it holds"}
	}
	if err := checkType(m.Type); err != nil {
		return err
	}
	if m.ID == "" {
		return &FieldError{"id", "is missing; what is sealed is bound to it"}
	}
	if err := checkID(m.ID); err != nil {
		return err
	}
	return m.Sealed.validate()
}

// ValidID tells whether id can name a message: 1 to 200 printable ASCII
// characters without spaces.
func ValidID(id string) bool { return id != "" && checkID(id) == nil }

func checkID(id string) error {
	if len(id) > maxID {
		return &FieldError{"id", fmt.Sprintf("has %d bytes; it takes at most %d", len(id), maxID)}
	}
	if strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &FieldError{"id", "holds something other than printable ASCII without spaces"}
	}
	return nil
}
