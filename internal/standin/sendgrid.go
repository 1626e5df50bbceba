package standin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"sync"
)

// What a SendGrid lets in and knows, unless it is told otherwise.
const (
	SendGridKey  = "SG.id-of-22-characters_.Secret/of+43=characters"
	SendGridFrom = "no-reply@mail.example.com"
)

// SendGrid is SendGrid as its API reference has it ("Mail Send", "Limitations",
// "Errors" and the OpenAPI description of v3): it takes no field that SendGrid does
// not know, and keeps what it accepts. The zero value is ready to use.
type SendGrid struct {
	// Key is the API key. Default: SendGridKey.
	Key string
	// Scopes are what the key may do. Default: to send mail, among others.
	Scopes []string
	// Refuse is asked about a mail that is right in itself; an answer other than
	// the zero one refuses it.
	Refuse func(SendGridMail) SendGridRefusal

	mu       sync.Mutex
	mails    []SendGridMail
	requests []string
}

// SendGridRefusal is an error of SendGrid's.
type SendGridRefusal struct {
	Status         int
	Field, Message string
}

// SendGridMail is the body of POST /v3/mail/send, as far as codeferry has use for
// it.
type SendGridMail struct {
	Personalizations []struct {
		To []SendGridPerson `json:"to"`
	} `json:"personalizations"`
	From    SendGridPerson  `json:"from"`
	ReplyTo *SendGridPerson `json:"reply_to"`
	Subject string          `json:"subject"`
	Content []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"content"`
	CustomArgs       map[string]string `json:"custom_args"`
	TrackingSettings struct {
		ClickTracking struct {
			Enable     *bool `json:"enable"`
			EnableText *bool `json:"enable_text"`
		} `json:"click_tracking"`
		OpenTracking         SendGridSetting `json:"open_tracking"`
		SubscriptionTracking SendGridSetting `json:"subscription_tracking"`
		GAnalytics           SendGridSetting `json:"ganalytics"`
	} `json:"tracking_settings"`
}

// SendGridSetting is what can be turned on or off.
type SendGridSetting struct {
	Enable *bool `json:"enable"`
}

// SendGridPerson is an address and the name before it.
type SendGridPerson struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Inbox returns what was accepted so far.
func (s *SendGrid) Inbox() []SendGridMail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Requests returns what it was asked so far, as "POST /v3/mail/send".
func (s *SendGrid) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP serves the API.
func (s *SendGrid) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.String())
	scopes := s.Scopes
	if scopes == nil {
		scopes = []string{"alerts.read", mailSend, "sender_verification_eligible"}
	}
	switch {
	case r.Header.Get("Accept") != "application/json":
		refuse(w, 406, "", "Missing Accept header")
	case r.Header.Get("Authorization") != "Bearer "+cmp.Or(s.Key, SendGridKey):
		refuse(w, 401, "", "The provided authorization grant is invalid, expired, or revoked")
	case r.URL.String() == "/v3/scopes" && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"scopes": scopes})
	case r.URL.String() != "/v3/mail/send":
		refuse(w, 404, "", "not found")
	case r.Method != http.MethodPost:
		refuse(w, 405, "", "POST method allowed only")
	case !slices.Contains(scopes, mailSend):
		refuse(w, 401, "", "Authenticated user is not authorized to send mail")
	case r.Header.Get("Content-Type") != "application/json":
		refuse(w, 415, "", "Content-Type should be application/json.")
	default:
		s.take(w, r)
	}
}

// mailSend is the scope without which nothing is sent.
const mailSend = "mail.send"

func (s *SendGrid) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 30<<20+1))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(body) > 30<<20 {
		refuse(w, 413, "", "Payload too large")
		return
	}
	var m SendGridMail
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || d.More() {
		refuse(w, 400, "", fmt.Sprint("Bad Request: ", err))
		return
	}
	if field, message := m.wrong(); message != "" {
		status := 400
		if field == "from" {
			status = 403
		}
		refuse(w, status, field, message)
		return
	}
	if s.Refuse != nil {
		if no := s.Refuse(m); no.Status != 0 {
			refuse(w, no.Status, no.Field, no.Message)
			return
		}
	}
	s.mails = append(s.mails, m)
	w.Header().Set("X-Message-Id", fmt.Sprintf("message-%d", len(s.mails)))
	w.WriteHeader(http.StatusAccepted)
}

// wrong names the first field with which SendGrid would not take m.
func (m *SendGridMail) wrong() (field, message string) {
	if len(m.Personalizations) != 1 || len(m.Personalizations[0].To) != 1 {
		return "personalizations", "The personalizations field is required and must have at least one personalization."
	}
	if to := m.Personalizations[0].To[0]; !valid(to.Email) {
		return "personalizations.0.to.0.email", fmt.Sprintf("Does not contain a valid address: %s.", to.Email)
	} else if strings.ContainsAny(to.Name, ";,") {
		return "personalizations.0.to.0.name", "The name can't contain ; or ,."
	}
	for field, p := range map[string]*SendGridPerson{"from.email": &m.From, "reply_to.email": m.ReplyTo} {
		if p != nil && (!valid(p.Email) || strings.ContainsFunc(p.Email, func(r rune) bool { return r > '~' })) {
			return field, "Does not contain a valid address."
		}
	}
	if m.From.Email != SendGridFrom {
		return "from", "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."
	}
	if m.Subject == "" {
		return "subject", "The subject is required."
	}
	if len(m.Content) == 0 {
		return "content", "Unless a valid template_id is provided, the content parameter is required."
	}
	for i, c := range m.Content {
		switch {
		case c.Value == "":
			return fmt.Sprintf("content.%d.value", i), "The content value must be a string at least one character in length."
		case i == 0 && c.Type != "text/plain" && c.Type != "text/html", i == 1 && (c.Type != "text/html" || m.Content[0].Type != "text/plain"), i > 1:
			return "content", "If present, text/plain and text/html may only be provided once, and in this order."
		}
	}
	args, _ := json.Marshal(m.CustomArgs)
	if len(args) >= 10000 {
		return "custom_args", "The custom_args must not exceed 10000 bytes."
	}
	return "", ""
}

func valid(email string) bool {
	a, err := mail.ParseAddress(email)
	local, domain, _ := strings.Cut(email, "@")
	return err == nil && a.Address == email && len(local) <= 64 && len(domain) <= 255 && strings.Contains(domain, ".")
}

// refuse answers as SendGrid does.
func refuse(w http.ResponseWriter, status int, field, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, SendGridError(field, message))
}

// SendGridError is the body of a refusal that is about a field, or about none.
func SendGridError(field, message string) string {
	e := map[string]any{"message": message, "field": nil, "help": nil}
	if field != "" {
		e["field"], e["help"] = field, "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
	}
	text, _ := json.Marshal(map[string]any{"errors": []any{e}})
	return string(text)
}
