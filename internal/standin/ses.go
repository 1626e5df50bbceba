package standin

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
)

// SESMail is the body of SendEmail as the API reference has it, of what a mail of
// ours may hold.
type SESMail struct {
	Content struct {
		Simple struct {
			Subject SESContent
			Body    struct{ HTML, Text SESContent }
		}
	}
	Destination                               struct{ ToAddresses []string }
	FromEmailAddress                          string
	FromEmailAddressIdentityArn               string
	FeedbackForwardingEmailAddress            string
	FeedbackForwardingEmailAddressIdentityArn string
	ConfigurationSetName                      string
	ReplyToAddresses                          []string
	EmailTags                                 []SESTag
}

// SESContent is a part of a mail, or its subject.
type SESContent struct{ Data, Charset string }

// SESTag is a message tag.
type SESTag struct{ Name, Value string }

// SES is a stand-in for SES that lets in only what is signed as it has to be,
// takes only what the API reference allows, and keeps what it took. The zero value
// is ready to use.
type SES struct {
	// Keys are the caller's. Default: SESKeyID and SESKeySecret.
	Keys SESKeys
	// Region is where it is. Default: us-east-1.
	Region string
	// Ahead is how much its clock is.
	Ahead time.Duration
	// Account answers GetAccount. Default: SESAccount.
	Account string
	// Identities answers GetEmailIdentity by name; one that is not there is not
	// found. Default: the domain mail.example.com, verified.
	Identities map[string]string
	// Refuse answers a path with an error.
	Refuse map[string]SESRefusal
	// RefuseMail is asked about a mail that is right in itself; an answer other than
	// the zero one refuses it.
	RefuseMail func(SESMail) SESRefusal

	mu    sync.Mutex
	mails []SESMail
	asked []string
}

// SESRefusal is an error of SES's.
type SESRefusal struct{ Code, Message string }

// SESUnverified begins the message of the error for addresses that are not
// verified, which stand behind it.
const SESUnverified = "Email address is not verified. The following identities failed the check in region US-EAST-1: "

// SESAccount is GetAccount's answer of an account that may send.
const SESAccount = `{"DedicatedIpAutoWarmupEnabled":true,"EnforcementStatus":"HEALTHY","ProductionAccessEnabled":true,"SendingEnabled":true,` +
	`"SendQuota":{"Max24HourSend":50000.0,"MaxSendRate":14.0,"SentLast24Hours":12.0}}`

// SESVerified is GetEmailIdentity's answer of a domain that may send.
const SESVerified = `{"IdentityType":"DOMAIN","VerifiedForSendingStatus":true}`

// The paths of the API.
const (
	SESSendPath     = "/v2/email/outbound-emails"
	SESAccountPath  = "/v2/email/account"
	SESIdentityPath = "/v2/email/identities/"
)

func (s *SES) keys() SESKeys {
	if s.Keys == (SESKeys{}) {
		return SESKeys{ID: SESKeyID, Secret: SESKeySecret}
	}
	return s.Keys
}

func (s *SES) identities() map[string]string {
	if s.Identities == nil {
		return map[string]string{"mail.example.com": SESVerified}
	}
	return s.Identities
}

// ServeHTTP serves the API.
func (s *SES) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("R-%d", len(s.asked)))
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
		AnswerSESError(w, http.StatusForbidden, *no)
		return
	}
	switch name, isIdentity := strings.CutPrefix(r.URL.Path, SESIdentityPath); {
	case r.Method == http.MethodPost && r.URL.Path == SESSendPath:
		if why := s.take(r, body); why != nil {
			AnswerSESError(w, http.StatusBadRequest, *why)
			return
		}
		_, _ = fmt.Fprintf(w, `{"MessageId":"M-%d"}`, len(s.mails))
	case r.Method == http.MethodGet && r.URL.Path == SESAccountPath:
		_, _ = io.WriteString(w, cmp.Or(s.Account, SESAccount))
	case r.Method == http.MethodGet && isIdentity && s.identities()[name] != "":
		_, _ = io.WriteString(w, s.identities()[name])
	case r.Method == http.MethodGet && isIdentity:
		AnswerSESError(w, http.StatusNotFound, SESRefusal{"NotFoundException", "Email identity " + name + " does not exist."})
	default:
		AnswerSESError(w, http.StatusNotFound, SESRefusal{"UnknownOperationException", ""})
	}
}

// take checks a SendEmail and keeps it. It returns what is wrong.
func (s *SES) take(r *http.Request, body []byte) *SESRefusal {
	var m SESMail
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return &SESRefusal{"BadRequestException", err.Error()}
	}
	why := m.wrong()
	if r.Header.Get("Content-Type") != "application/json" {
		why = "Content-Type"
	}
	if why != "" {
		return &SESRefusal{"BadRequestException", why}
	}
	if !s.maySend(m) {
		return &SESRefusal{"MessageRejected", SESUnverified + m.FromEmailAddress}
	}
	if s.RefuseMail != nil {
		if no := s.RefuseMail(m); no != (SESRefusal{}) {
			return &no
		}
	}
	s.mails = append(s.mails, m)
	return nil
}

// wrong names the first thing with which SES would not take m.
func (m *SESMail) wrong() string {
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
	for _, p := range []SESContent{simple.Body.HTML, simple.Body.Text} {
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

// maySend tells whether the sender's address or its domain is verified, or is
// another account's that lets this one send.
func (s *SES) maySend(m SESMail) bool {
	from, err := mail.ParseAddress(m.FromEmailAddress)
	if err != nil {
		return false
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return m.FromEmailAddressIdentityArn != "" || s.identities()[from.Address] != "" || s.identities()[domain] != ""
}

var tagText = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// Inbox returns what was taken so far.
func (s *SES) Inbox() []SESMail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Requests returns what it was asked so far, as "POST /v2/email/outbound-emails".
func (s *SES) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// AnswerSESError answers as the services of AWS that speak JSON do.
func AnswerSESError(w http.ResponseWriter, status int, r SESRefusal) {
	w.Header().Set("X-Amzn-Errortype", r.Code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": r.Message})
}
