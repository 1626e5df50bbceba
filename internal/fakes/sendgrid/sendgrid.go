// Package sendgrid is a fake SendGrid: an http.Handler that accepts only mails that SendGrid
// accepts, keeps them, and refuses others with SendGrid's errors.
package sendgrid

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

	"github.com/codeferry/codeferry/internal/fakes"
)

// The default API key and verified sender of a Server.
const (
	Key  = "SG.id-of-22-characters_.Secret/of+43=characters"
	From = "no-reply@mail.example.com"
)

// Server follows SendGrid's API reference ("Mail Send", "Limitations", "Errors" and the
// OpenAPI description of v3): it refuses fields that SendGrid does not know, and keeps
// accepted mails. The zero value is ready to use.
type Server struct {
	// Key is the API key. Default: Key.
	Key string
	// Scopes are the permissions of the key. Default: to send mail, among others.
	Scopes []string
	// Refuse is called with each valid mail; it refuses the mail by returning a
	// Refusal that is not zero.
	Refuse func(Mail) Refusal

	fakes.Kept[Mail]
	mu sync.Mutex // it serves one request at a time
}

// Refusal is an error of SendGrid's.
type Refusal struct {
	Status         int
	Field, Message string
}

// Mail is the body of POST /v3/mail/send, with the fields that codeferry uses.
type Mail struct {
	Personalizations []struct {
		To []Person `json:"to"`
	} `json:"personalizations"`
	From    Person  `json:"from"`
	ReplyTo *Person `json:"reply_to"`
	Subject string  `json:"subject"`
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
		OpenTracking         Setting `json:"open_tracking"`
		SubscriptionTracking Setting `json:"subscription_tracking"`
		GAnalytics           Setting `json:"ganalytics"`
	} `json:"tracking_settings"`
}

// Setting can be turned on or off.
type Setting struct {
	Enable *bool `json:"enable"`
}

// Person is an address with a name.
type Person struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Request(r.Method + " " + r.URL.String())
	scopes := s.Scopes
	if scopes == nil {
		scopes = []string{"alerts.read", mailSend, "sender_verification_eligible"}
	}
	switch {
	case r.Header.Get("Accept") != "application/json":
		refuse(w, 406, "", "Missing Accept header")
	case r.Header.Get("Authorization") != "Bearer "+cmp.Or(s.Key, Key):
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

// mailSend is the scope that is needed to send.
const mailSend = "mail.send"

func (s *Server) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 30<<20+1))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(body) > 30<<20 {
		refuse(w, 413, "", "Payload too large")
		return
	}
	var m Mail
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
	w.Header().Set("X-Message-Id", fmt.Sprintf("message-%d", s.Accept(m)))
	w.WriteHeader(http.StatusAccepted)
}

// wrong names the first field for which SendGrid would refuse m.
func (m *Mail) wrong() (field, message string) {
	if len(m.Personalizations) != 1 || len(m.Personalizations[0].To) != 1 {
		return "personalizations", "The personalizations field is required and must have at least one personalization."
	}
	if to := m.Personalizations[0].To[0]; !valid(to.Email) {
		return "personalizations.0.to.0.email", fmt.Sprintf("Does not contain a valid address: %s.", to.Email)
	} else if strings.ContainsAny(to.Name, ";,") {
		return "personalizations.0.to.0.name", "The name can't contain ; or ,."
	}
	for field, p := range map[string]*Person{"from.email": &m.From, "reply_to.email": m.ReplyTo} {
		if p != nil && (!valid(p.Email) || strings.ContainsFunc(p.Email, func(r rune) bool { return r > '~' })) {
			return field, "Does not contain a valid address."
		}
	}
	if m.From.Email != From {
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
	_, _ = io.WriteString(w, ErrorBody(field, message))
}

// ErrorBody is the body of a refusal. field may be empty.
func ErrorBody(field, message string) string {
	e := map[string]any{"message": message, "field": nil, "help": nil}
	if field != "" {
		e["field"], e["help"] = field, "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
	}
	text, _ := json.Marshal(map[string]any{"errors": []any{e}})
	return string(text)
}
