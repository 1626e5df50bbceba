package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/codeferry/codeferry/sender"
)

// The codes of what no server said.
const (
	codeConnect  = "SMTP.Connect"
	codeTLS      = "SMTP.TLS"
	codeNoTLS    = "SMTP.NoTLS"
	codeNoAuth   = "SMTP.NoAuth"
	codeNoUTF8   = "SMTP.NoSMTPUTF8"
	codeToken    = "SMTP.Token" //nolint:gosec // a word for what broke
	codeTimeout  = "SMTP.Timeout"
	codeCanceled = "SMTP.Canceled"
	codeBusy     = "SMTP.Busy"
	codeCut      = "SMTP.Cut"
	codeProtocol = "SMTP.Protocol"
)

// stage is how far a message has come.
type stage int

// The stages, in their order.
const (
	atConnect stage = iota
	atGreeting
	atHello
	atTLS
	atAuth
	atMail
	atRcpt
	atData
	atBody // the message leaves; the line that ends it has not
	atEnd  // that line has left, at least in part
)

// phrases begin an error's sentence.
var phrases = map[stage]string{
	atConnect:  "the server can't be reached",
	atGreeting: "the server did not greet",
	atHello:    "the server did not take EHLO",
	atTLS:      "TLS could not be begun",
	atAuth:     "the server did not sign us in",
	atMail:     "the server did not take the sender",
	atRcpt:     "the server did not take the recipient",
	atData:     "the server did not take the message",
	atBody:     "the connection broke before the end of the message",
	atEnd:      "the server did not accept the message",
}

// rule says what an answer means. An empty field fits everything.
type rule struct {
	at []stage
	// reply is the beginning of the reply's code (RFC 5321, 4.2), status that of
	// the enhanced one (RFC 3463).
	reply, status string
	text          *regexp.Regexp
	class         sender.Class
}

var (
	beforeMail = []stage{atConnect, atGreeting, atHello, atTLS}
	theData    = []stage{atData, atBody, atEnd}

	tooFast = regexp.MustCompile(`(?i)\brate\b|too (many|much|fast|quick|often)|throttl|limit|quota|exceed|slow down`)
	relay   = regexp.MustCompile(`(?i)\brelay`)
	ours    = regexp.MustCompile(`(?i)\bsender|client host|\bhelo\b|authenticat|not logged in|log ?in first|starttls|send as|own(ed)? by`)
	full    = regexp.MustCompile(`(?i)mailbox (is )?full|over ?quota|quota exceeded`)
	theirs  = regexp.MustCompile(`(?i)recipient|mailbox|\buser\b`)
)

// rules is the catalogue of answers; the first that fits decides. The last ones
// are the code's first digit, which every server has to get right: 4 and 5 say
// that the message was not accepted. Sources: RFC 5321, RFC 3463, RFC 4954, RFC
// 7504, the IANA registry of enhanced status codes, and what Postfix, Exim,
// Exchange, Gmail and Amazon SES answer.
var rules = []rule{
	// The server closes the connection, whatever was asked.
	{reply: "421", text: tooFast, class: sender.Throttled},
	{reply: "421", class: sender.Unavailable},

	// Before anything of a message.
	{at: beforeMail, reply: "4", text: tooFast, class: sender.Throttled},
	{at: beforeMail, class: sender.Unavailable},

	// Signing in.
	{at: []stage{atAuth}, reply: "432", status: "4.7.12", class: sender.AccountDown}, // the password is to be changed
	{at: []stage{atAuth}, reply: "4", text: tooFast, class: sender.Throttled},
	{at: []stage{atAuth}, reply: "4", class: sender.Unavailable}, // 454: not now
	{at: []stage{atAuth}, reply: "50", class: sender.Misconfigured},
	{at: []stage{atAuth}, reply: "5", class: sender.AccountDown}, // 530, 534, 535, 538

	// From here on: not accepted for now.
	{reply: "4", status: "4.2.2", class: sender.RecipientLimited}, // the mailbox is full
	{at: []stage{atRcpt}, reply: "4", status: "4.2.1", class: sender.RecipientLimited},
	{at: []stage{atEnd}, reply: "4", status: "4.2.1", class: sender.RecipientLimited},
	{at: []stage{atRcpt}, reply: "4", text: full, class: sender.RecipientLimited},
	{reply: "454", text: tooFast, class: sender.Throttled}, // Amazon SES
	{reply: "4", status: "4.5.3", class: sender.Throttled}, // too many recipients
	{at: []stage{atMail}, reply: "4", status: "4.7", class: sender.Throttled},
	{reply: "4", status: "4.3.1", class: sender.Unavailable}, // its disk is full, as "limit" may say
	{reply: "4", text: tooFast, class: sender.Throttled},
	{reply: "4", class: sender.Unavailable}, // greylisting too

	// What every message would meet.
	{reply: "535", class: sender.AccountDown},
	{reply: "534", class: sender.AccountDown},
	{reply: "538", class: sender.Misconfigured},                 // this way to sign in needs TLS
	{reply: "530", class: sender.Misconfigured},                 // it wants AUTH or STARTTLS
	{reply: "5", status: "5.4.5", class: sender.AccountDown},    // Gmail: the day's limit
	{reply: "5", status: "5.7.8", class: sender.AccountDown},    // credentials
	{reply: "5", status: "5.7.57", class: sender.Misconfigured}, // Exchange: not signed in
	{reply: "5", status: "5.7.60", class: sender.Misconfigured}, // Exchange: not allowed to send as
	{reply: "5", status: "5.7.23", class: sender.Misconfigured}, // SPF
	{reply: "5", status: "5.7.26", class: sender.Misconfigured}, // DMARC
	{reply: "5", status: "5.7.27", class: sender.Misconfigured}, // the sender's domain takes no mail
	{reply: "5", status: "5.1.7", class: sender.Misconfigured},  // the sender's address
	{reply: "5", status: "5.1.8", class: sender.Misconfigured},
	{reply: "503", class: sender.Misconfigured}, // it wants something first that is not done

	// The sender.
	{at: []stage{atMail}, reply: "552", class: sender.Permanent}, // too big
	{at: []stage{atMail}, reply: "5", status: "5.3.4", class: sender.Permanent},
	{at: []stage{atMail}, reply: "5", class: sender.Misconfigured},

	// The recipient. Postfix says here what it has against the sender, too.
	{at: []stage{atRcpt}, reply: "5", status: "5.1", class: sender.Permanent}, // no such address
	{at: []stage{atRcpt}, reply: "5", status: "5.2", class: sender.Permanent}, // a mailbox that takes none
	{at: []stage{atRcpt}, reply: "5", text: relay, class: sender.Misconfigured},
	{at: []stage{atRcpt}, reply: "5", text: ours, class: sender.Misconfigured},
	{at: []stage{atRcpt}, reply: "5", status: "5.7.17", class: sender.Permanent}, // the mailbox has another owner now
	{at: []stage{atRcpt}, reply: "5", status: "5.7.18", class: sender.Permanent},
	{at: []stage{atRcpt}, reply: "5", status: "5.7", text: theirs, class: sender.Permanent},
	{at: []stage{atRcpt}, reply: "5", status: "5.7", class: sender.Misconfigured},
	{at: []stage{atRcpt}, reply: "5", class: sender.Permanent},

	// The message.
	{at: theData, reply: "5", class: sender.Permanent},
}

// classify classes an answer that is no success.
func classify(at stage, code int, status, text string) sender.Class {
	reply := strconv.Itoa(code)
	for _, r := range rules {
		if (r.at == nil || slices.Contains(r.at, at)) && strings.HasPrefix(reply, r.reply) &&
			beginsWith(status, r.status) && (r.text == nil || r.text.MatchString(text)) {
			return r.class
		}
	}
	// No reply of an error: whoever answers does not speak SMTP.
	if at == atEnd {
		return sender.Unknown
	}
	return sender.Unavailable
}

// beginsWith compares by parts: 5.7 begins 5.7.1, and 5.7.2 not 5.7.27.
func beginsWith(status, part string) bool {
	rest, ok := strings.CutPrefix(status, part)
	return ok && (part == "" || rest == "" || rest[0] == '.')
}

// enhanced is a status code as each line of a reply may begin with (RFC 2034).
var enhanced = regexp.MustCompile(`^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|$)`)

// splitReply takes a reply's text apart into its enhanced status code, empty
// where it has none, and what is said to a person.
func splitReply(text string) (status, rest string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if m := enhanced.FindStringSubmatch(line); m != nil {
			if status == "" {
				status = m[1]
			}
			lines[i] = line[len(m[0]):]
		}
	}
	return status, strings.Join(lines, " ")
}

// failure classes what broke at a stage.
func failure(ctx context.Context, at stage, err error, hide hider) *sender.Error {
	var no *refusal
	if errors.As(err, &no) {
		return &sender.Error{Class: no.class, Code: no.code, Detail: no.detail}
	}
	e := &sender.Error{Class: sender.Unavailable}
	if at == atEnd {
		e.Class = sender.Unknown
	}
	var reply *textproto.Error
	if errors.As(err, &reply) {
		status, text := splitReply(reply.Msg)
		text = hide.clean(text)
		e.Class = classify(at, reply.Code, status, text)
		e.Code = strings.TrimSpace(fmt.Sprintf("%03d %s", reply.Code, status))
		e.Detail = phrases[at]
		if text != "" {
			e.Detail += ": " + text
		}
		return e
	}
	var word string
	e.Code, word = cause(ctx, at, err)
	e.Detail = phrases[at] + ": " + hide.clean(word)
	if e.Class == sender.Unknown {
		e.Detail = "the server did not say whether it accepted the message: " + hide.clean(word)
	}
	return e
}

// distrust says what is wrong with a certificate, and what to do.
func distrust(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return "its certificate is signed by nobody that is trusted; a private CA's, or its own, goes into caFile"
	case errors.As(err, &name):
		return "its certificate is for another name; servername says for which it is to be"
	}
	return err.Error()
}

// cause names what broke a connection. Errors of the standard library repeat
// what a server said, and are not shown but where they are our own.
func cause(ctx context.Context, at stage, err error) (code, word string) {
	var netErr net.Error
	var untrusted *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	var protocol textproto.ProtocolError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return codeCanceled, "it was called off"
	case ctx.Err() != nil:
		return codeTimeout, "no answer came in time"
	case errors.Is(err, errSlowDNS):
		return codeTimeout, err.Error()
	case errors.As(err, &untrusted):
		return codeTLS, distrust(untrusted.Err)
	case errors.As(err, &dns):
		return codeConnect, "its name can't be looked up"
	case errors.As(err, &netErr) && netErr.Timeout():
		return codeTimeout, "no answer came in time"
	case errors.Is(err, errTooLong), errors.Is(err, errUnasked):
		return codeProtocol, err.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return codeConnect, "connection refused"
	case at == atTLS:
		return codeTLS, err.Error()
	case at == atConnect && errors.As(err, &op):
		return codeConnect, op.Err.Error()
	case at == atConnect:
		return codeConnect, err.Error()
	case errors.As(err, &protocol):
		return codeProtocol, "what it said is no SMTP"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op), errors.Is(err, net.ErrClosed):
		return codeCut, "the connection was cut"
	}
	return codeProtocol, err.Error()
}
