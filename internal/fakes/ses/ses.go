// Package ses is a fake Amazon SES: an http.Handler that accepts only requests that are signed
// and written as SES requires, keeps the mails, and refuses others with SES's errors.
package ses

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codeferry/codeferry/internal/fakes"
)

// Mail is the body of SendEmail, as in the API reference, with the fields that codeferry uses.
type Mail struct {
	Content struct {
		Simple struct {
			Subject Content
			Body    struct{ HTML, Text Content }
		}
	}
	Destination                               struct{ ToAddresses []string }
	FromEmailAddress                          string
	FromEmailAddressIdentityArn               string
	FeedbackForwardingEmailAddress            string
	FeedbackForwardingEmailAddressIdentityArn string
	ConfigurationSetName                      string
	ReplyToAddresses                          []string
	EmailTags                                 []Tag
}

// Content is a part of a mail, or its subject.
type Content struct{ Data, Charset string }

// Tag is a message tag.
type Tag struct{ Name, Value string }

// Server is a fake SES. It checks signatures, accepts only what the API reference allows, and
// keeps accepted mails. The zero value is ready to use.
type Server struct {
	// Keys are the accepted keys. Default: KeyID and KeySecret.
	Keys Keys
	// Region is the server's region. Default: us-east-1.
	Region string
	// Ahead is how far its clock is ahead.
	Ahead time.Duration
	// Account is the answer to GetAccount. Default: Account.
	Account string
	// Identities are the answers to GetEmailIdentity by name; any other name is not
	// found. Default: the domain mail.example.com, verified.
	Identities map[string]string
	// Refuse holds errors by path; a request with the path gets the error.
	Refuse map[string]Refusal
	// RefuseMail is called with each valid mail; it refuses the mail by returning a
	// Refusal that is not zero.
	RefuseMail func(Mail) Refusal

	fakes.Kept[Mail]
	mu sync.Mutex // it serves one request at a time
}

// Refusal is an error of SES's.
type Refusal struct{ Code, Message string }

// Unverified is the start of the error message for addresses that are not verified; the
// addresses follow.
const Unverified = "Email address is not verified. The following identities failed the check in region US-EAST-1: "

// Account is GetAccount's answer for an account that may send.
const Account = `{"DedicatedIpAutoWarmupEnabled":true,"EnforcementStatus":"HEALTHY","ProductionAccessEnabled":true,"SendingEnabled":true,` +
	`"SendQuota":{"Max24HourSend":50000.0,"MaxSendRate":14.0,"SentLast24Hours":12.0}}`

// Verified is GetEmailIdentity's answer for a domain that may send.
const Verified = `{"IdentityType":"DOMAIN","VerifiedForSendingStatus":true}`

// The paths of the API.
const (
	SendPath     = "/v2/email/outbound-emails"
	AccountPath  = "/v2/email/account"
	IdentityPath = "/v2/email/identities/"
)

func (s *Server) keys() Keys {
	if s.Keys == (Keys{}) {
		return Keys{ID: KeyID, Secret: KeySecret}
	}
	return s.Keys
}

func (s *Server) identities() map[string]string {
	if s.Identities == nil {
		return map[string]string{"mail.example.com": Verified}
	}
	return s.Identities
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("R-%d", s.Request(r.Method+" "+r.URL.Path)))
	w.Header().Set("Content-Type", "application/json")
	now := time.Now().Add(s.Ahead)
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	no := verify(r, body, s.keys(), cmp.Or(s.Region, "us-east-1"), now)
	if refused, ok := s.Refuse[r.URL.Path]; no == nil && ok {
		no = &refused
	}
	if no != nil {
		AnswerError(w, http.StatusForbidden, *no)
		return
	}
	switch name, isIdentity := strings.CutPrefix(r.URL.Path, IdentityPath); {
	case r.Method == http.MethodPost && r.URL.Path == SendPath:
		n, why := s.take(r, body)
		if why != nil {
			AnswerError(w, http.StatusBadRequest, *why)
			return
		}
		_, _ = fmt.Fprintf(w, `{"MessageId":"M-%d"}`, n)
	case r.Method == http.MethodGet && r.URL.Path == AccountPath:
		_, _ = io.WriteString(w, cmp.Or(s.Account, Account))
	case r.Method == http.MethodGet && isIdentity && s.identities()[name] != "":
		_, _ = io.WriteString(w, s.identities()[name])
	case r.Method == http.MethodGet && isIdentity:
		AnswerError(w, http.StatusNotFound, Refusal{"NotFoundException", "Email identity " + name + " does not exist."})
	default:
		AnswerError(w, http.StatusNotFound, Refusal{"UnknownOperationException", ""})
	}
}

// take checks a SendEmail and keeps it. It returns the number of mails so far, or the error.
func (s *Server) take(r *http.Request, body []byte) (n int, why *Refusal) {
	var m Mail
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return 0, &Refusal{"BadRequestException", err.Error()}
	}
	wrong := m.wrong()
	if r.Header.Get("Content-Type") != "application/json" {
		wrong = "Content-Type"
	}
	if wrong != "" {
		return 0, &Refusal{"BadRequestException", wrong}
	}
	if !s.maySend(m) {
		return 0, &Refusal{"MessageRejected", Unverified + m.FromEmailAddress}
	}
	if s.RefuseMail != nil {
		if no := s.RefuseMail(m); no != (Refusal{}) {
			return 0, &no
		}
	}
	return s.Accept(m), nil
}

// wrong names the first reason for which SES would refuse m.
func (m *Mail) wrong() string {
	simple := m.Content.Simple
	switch {
	case simple.Subject.Data == "" || simple.Subject.Charset != "UTF-8":
		return "Subject"
	case simple.Body.HTML.Data == "" && simple.Body.Text.Data == "":
		return "Body"
	case len(m.Destination.ToAddresses) != 1:
		return "Destination"
	case m.FromEmailAddress == "":
		return "Missing required header 'From'."
	}
	for _, p := range []Content{simple.Body.HTML, simple.Body.Text} {
		if p.Data != "" && p.Charset != "UTF-8" {
			return "Charset"
		}
	}
	for _, a := range slices.Concat(m.Destination.ToAddresses, m.ReplyToAddresses, []string{m.FromEmailAddress, m.FeedbackForwardingEmailAddress}) {
		if strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "There are non-ASCII characters in the email address"
		}
	}
	for _, t := range m.EmailTags {
		if !tagText.MatchString(t.Name) || !tagText.MatchString(t.Value) {
			return "Invalid tag"
		}
	}
	return ""
}

// maySend reports whether the sender's address or its domain is verified, or belongs to
// another account that lets this one send.
func (s *Server) maySend(m Mail) bool {
	from, err := mail.ParseAddress(m.FromEmailAddress)
	if err != nil {
		return false
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return m.FromEmailAddressIdentityArn != "" || s.identities()[from.Address] != "" || s.identities()[domain] != ""
}

var tagText = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// AnswerError answers as AWS's JSON services do.
func AnswerError(w http.ResponseWriter, status int, r Refusal) {
	w.Header().Set("X-Amzn-Errortype", r.Code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": r.Message})
}
