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
	"github.com/codeferry/codeferry/sender/internal/expiry"
	"github.com/codeferry/codeferry/sender/internal/providertext"
)

// The codes of errors without a reply of the server.
const (
	codeConnect  = "SMTP.Connect"
	codeTLS      = "SMTP.TLS"
	codeNoTLS    = "SMTP.NoTLS"
	codeNoAuth   = "SMTP.NoAuth"
	codeNoUTF8   = "SMTP.NoSMTPUTF8"
	codeToken    = "SMTP.Token" //nolint:gosec // a code, not a secret
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
	atBody // the message is being sent, but not the line that ends it
	atEnd  // that line was sent, at least in part
)

// phrases begin an error's detail.
var phrases = map[stage]string{
	atConnect:  "the server can't be reached",
	atGreeting: "the server did not greet",
	atHello:    "the server did not take EHLO",
	atTLS:      "TLS could not be started",
	atAuth:     "the server did not sign us in",
	atMail:     "the server did not take the sender",
	atRcpt:     "the server did not take the recipient",
	atData:     "the server did not take the message",
	atBody:     "the connection broke before the end of the message",
	atEnd:      "the server did not accept the message",
}

// rule says what a reply means. An empty field fits everything.
type rule struct {
	at []stage
	// reply is a prefix of the reply's code (RFC 5321, 4.2), and status one of the
	// enhanced status code (RFC 3463).
	reply, status string
	// text matches the server's own words, in lower case.
	text  *regexp.Regexp
	class sender.Class
	// scope is whom it speaks of.
	scope sender.Scope
}

var (
	beforeMail = []stage{atConnect, atGreeting, atHello, atTLS}
	theRcpt    = []stage{atRcpt}
	theData    = []stage{atData, atBody, atEnd}

	tooFast  = regexp.MustCompile(`\brate\b|too (many|much|fast|quick|often)|throttl|limit|quota|slow down`)
	relay    = regexp.MustCompile(`\brelay`)
	ours     = regexp.MustCompile(`\bhelo\b|\bauthenticat|not logged in|log ?in first|starttls|send as|own(ed)? by`)
	ofUs     = regexp.MustCompile(`\bsender|client host`)
	full     = regexp.MustCompile(`mailbox (is )?full|over ?quota|quota exceeded`)
	greylist = regexp.MustCompile(`gr[ae]y-?list`)
	theirs   = regexp.MustCompile(`recipient|mailbox|\buser\b`)
)

// rules is the catalogue of replies. The first rule that fits decides. The last rules use
// only the code's first digit, which every server must send correctly: 4 and 5 mean that
// the message was not accepted. Sources: RFC 5321, RFC 3463, RFC 4954, RFC 7504, the IANA
// registry of enhanced status codes, and the replies of Postfix, Exim, Exchange, Gmail
// and Amazon SES.
//
// From RCPT on, a reply speaks of the recipient, unless it can only speak of us: the
// server may pass on a reply of the recipient's own server. That server's opinion of us
// has the scope of its domain. A missing domain says nothing about us, and has the scope
// of the recipient.
var rules = []rule{
	// The server closes the connection, after any command.
	{reply: "421", text: tooFast, class: sender.Throttled, scope: sender.ScopeConnector},
	{reply: "421", class: sender.Unavailable, scope: sender.ScopeConnector},

	// Before the message begins.
	{at: []stage{atHello}, reply: "5", class: sender.Misconfigured, scope: sender.ScopeConnector}, // our name (Config.Name)
	{at: beforeMail, reply: "4", text: tooFast, class: sender.Throttled, scope: sender.ScopeConnector},
	{at: beforeMail, class: sender.Unavailable, scope: sender.ScopeConnector},

	// Signing in.
	{at: []stage{atAuth}, reply: "432", status: "4.7.12", class: sender.AccountDown, scope: sender.ScopeAccount}, // the password must be changed
	{at: []stage{atAuth}, reply: "4", text: tooFast, class: sender.Throttled, scope: sender.ScopeConnector},
	{at: []stage{atAuth}, reply: "4", class: sender.Unavailable, scope: sender.ScopeConnector}, // 454: not now
	{at: []stage{atAuth}, reply: "50", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{at: []stage{atAuth}, reply: "5", class: sender.AccountDown, scope: sender.ScopeAccount}, // 530, 534, 535, 538

	// The sender: not accepted for now.
	{at: []stage{atMail}, reply: "454", text: tooFast, class: sender.Throttled, scope: sender.ScopeConnector}, // Amazon SES
	{at: []stage{atMail}, reply: "4", status: "4.5.3", class: sender.Throttled, scope: sender.ScopeConnector},
	{at: []stage{atMail}, reply: "4", status: "4.7", class: sender.Throttled, scope: sender.ScopeConnector},
	{at: []stage{atMail}, reply: "4", status: "4.3.1", class: sender.Unavailable, scope: sender.ScopeConnector}, // its disk is full; "limit" can be in the text
	{at: []stage{atMail}, reply: "4", text: tooFast, class: sender.Throttled, scope: sender.ScopeConnector},
	{at: []stage{atMail}, reply: "4", class: sender.Unavailable, scope: sender.ScopeConnector},

	// From here on: not accepted for now. The status decides if there is one.
	{reply: "4", status: "4.2.2", class: sender.RecipientLimited, scope: sender.ScopeRecipient}, // the mailbox is full
	{reply: "4", status: "4.2.1", class: sender.RecipientLimited, scope: sender.ScopeRecipient}, // it gets too many mails
	{at: theRcpt, reply: "4", text: full, class: sender.RecipientLimited, scope: sender.ScopeRecipient},
	{reply: "4", status: "4.1.7", class: sender.Unavailable, scope: sender.ScopeConnector}, // the sender's address
	{reply: "4", status: "4.1.8", class: sender.Unavailable, scope: sender.ScopeConnector},
	{reply: "4", status: "4.1", class: sender.Unavailable, scope: sender.ScopeRecipient},
	{reply: "4", status: "4.2", class: sender.Unavailable, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "4", text: greylist, class: sender.Unavailable, scope: sender.ScopeRecipient}, // it takes this recipient's mail at a second attempt
	// A server behind this one can say it of one recipient. If it is this server's word about
	// every recipient, several domains in a row show that.
	{at: theRcpt, reply: "454", text: relay, class: sender.Misconfigured, scope: sender.ScopeDomain},
	{at: theRcpt, reply: "454", text: tooFast, class: sender.Throttled, scope: sender.ScopeConnector},
	{at: theData, reply: "454", class: sender.Throttled, scope: sender.ScopeConnector},               // Amazon SES
	{at: theData, reply: "432", class: sender.Throttled, scope: sender.ScopeConnector},               // Exchange: too many connections
	{at: theRcpt, reply: "4", status: "4.3.0", class: sender.Unavailable, scope: sender.ScopeDomain}, // the look-up of this recipient failed
	{reply: "4", status: "4.3", class: sender.Unavailable, scope: sender.ScopeConnector},             // its disk is full, or another fault
	{reply: "4", status: "4.4", class: sender.Unavailable, scope: sender.ScopeDomain},                // the domain's servers can't be reached
	{reply: "4", status: "4.5.3", class: sender.Throttled, scope: sender.ScopeDomain},                // too many recipients
	{reply: "4", text: tooFast, class: sender.Throttled, scope: sender.ScopeDomain},                  // of this server or of the domain's
	{reply: "4", status: "4.7", class: sender.Unavailable, scope: sender.ScopeDomain},                // a policy
	{at: theRcpt, reply: "4", class: sender.Unavailable, scope: sender.ScopeRecipient},               // greylisting too
	{at: theData, reply: "4", class: sender.Unavailable, scope: sender.ScopeDomain},

	// Refusals that every message would get.
	{reply: "535", class: sender.AccountDown, scope: sender.ScopeAccount},
	{reply: "534", class: sender.AccountDown, scope: sender.ScopeAccount},
	{reply: "538", class: sender.Misconfigured, scope: sender.ScopeConnector},                 // this sign-in method needs TLS
	{reply: "530", class: sender.Misconfigured, scope: sender.ScopeConnector},                 // it requires AUTH or STARTTLS
	{reply: "5", status: "5.4.5", class: sender.AccountDown, scope: sender.ScopeAccount},      // Gmail: the day's limit
	{reply: "5", status: "5.7.8", class: sender.AccountDown, scope: sender.ScopeAccount},      // credentials
	{reply: "5", status: "5.7.57", class: sender.Misconfigured, scope: sender.ScopeConnector}, // Exchange: not signed in
	{reply: "5", status: "5.7.60", class: sender.Misconfigured, scope: sender.ScopeConnector}, // Exchange: not allowed to send as
	{reply: "5", status: "5.1.7", class: sender.Misconfigured, scope: sender.ScopeConnector},  // the sender's address
	{reply: "5", status: "5.1.8", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{reply: "503", class: sender.Misconfigured, scope: sender.ScopeConnector}, // another command must come first

	// The sender.
	{at: []stage{atMail}, reply: "552", class: sender.Permanent, scope: sender.ScopeMessage}, // too big
	{at: []stage{atMail}, reply: "5", status: "5.3.4", class: sender.Permanent, scope: sender.ScopeMessage},
	{at: []stage{atMail}, reply: "5", class: sender.Misconfigured, scope: sender.ScopeConnector},

	// The opinion of a domain's servers about the sender's domain.
	{reply: "5", status: "5.7.23", class: sender.Misconfigured, scope: sender.ScopeDomain}, // SPF
	{reply: "5", status: "5.7.26", class: sender.Misconfigured, scope: sender.ScopeDomain}, // DMARC
	{reply: "5", status: "5.7.27", class: sender.Misconfigured, scope: sender.ScopeDomain}, // it takes no mail

	// The recipient. Postfix refuses senders here, too.
	{at: theRcpt, reply: "5", status: "5.1", class: sender.Permanent, scope: sender.ScopeRecipient},    // no such address
	{at: theRcpt, reply: "5", status: "5.2", class: sender.Permanent, scope: sender.ScopeRecipient},    // a mailbox that takes no mail
	{at: theRcpt, reply: "5", status: "5.7.17", class: sender.Permanent, scope: sender.ScopeRecipient}, // the mailbox has another owner now
	{at: theRcpt, reply: "5", status: "5.7.18", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", status: "5.7.124", class: sender.Permanent, scope: sender.ScopeRecipient}, // Exchange: it takes mail only from some senders
	{at: theRcpt, reply: "5", status: "5.7.129", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", status: "5.7.133", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", status: "5.7.134", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", status: "5.7.135", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", status: "5.7.136", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", text: relay, class: sender.Misconfigured, scope: sender.ScopeDomain},
	{at: theRcpt, reply: "5", text: ours, class: sender.Misconfigured, scope: sender.ScopeConnector},
	{at: theRcpt, reply: "5", text: ofUs, class: sender.Misconfigured, scope: sender.ScopeDomain}, // or a user's own block list
	{at: theRcpt, reply: "5", status: "5.7", text: theirs, class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theRcpt, reply: "5", status: "5.7", class: sender.Misconfigured, scope: sender.ScopeDomain},
	{at: theRcpt, reply: "5", class: sender.Permanent, scope: sender.ScopeRecipient},

	// The message. Its content can be the reason, whatever the policy.
	{at: theData, reply: "5", status: "5.1", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theData, reply: "5", status: "5.2", class: sender.Permanent, scope: sender.ScopeRecipient},
	{at: theData, reply: "5", class: sender.Permanent, scope: sender.ScopeMessage},
}

// noReply says what it means if a server does not reply, or not with an error. At RCPT it
// may be waiting for the recipient's server.
var noReply = map[stage]rule{
	atConnect:  {class: sender.Unavailable, scope: sender.ScopeConnector},
	atGreeting: {class: sender.Unavailable, scope: sender.ScopeConnector},
	atHello:    {class: sender.Unavailable, scope: sender.ScopeConnector},
	atTLS:      {class: sender.Unavailable, scope: sender.ScopeConnector},
	atAuth:     {class: sender.Unavailable, scope: sender.ScopeConnector},
	atMail:     {class: sender.Unavailable, scope: sender.ScopeConnector},
	atRcpt:     {class: sender.Unavailable, scope: sender.ScopeDomain},
	atData:     {class: sender.Unavailable, scope: sender.ScopeConnector},
	atBody:     {class: sender.Unavailable, scope: sender.ScopeConnector},
	atEnd:      {class: sender.Unknown, scope: sender.ScopeConnector},
}

// classify returns the meaning of a failed reply.
func classify(at stage, code int, status string, words providertext.Words) rule {
	reply := strconv.Itoa(code)
	for _, r := range rules {
		if (r.at == nil || slices.Contains(r.at, at)) && strings.HasPrefix(reply, r.reply) &&
			beginsWith(status, r.status) && (r.text == nil || words.Match(r.text)) {
			return r
		}
	}
	return noReply[at] // the reply is not an error, so this is not SMTP
}

// anotherServer matches where a server begins to repeat another server's reply, or the
// result of asking it. A recipient's name alone neither makes such a phrase nor breaks
// one.
var anotherServer = regexp.MustCompile(`(?is)\b(?:host \S*[.[]\S* (?:said|says|replied|refused)|callout verification|verification failed|(?:remote|response)(?: \w+)*:).*`)

// words returns the server's own words in a text. Before the message has left, the server
// knows only the recipient.
func (p private) words(at stage, text string) providertext.Words {
	text = anotherServer.ReplaceAllString(text, "")
	m := p.message
	switch {
	case m == nil:
		return providertext.Of(text, "")
	case at < atBody:
		return providertext.Of(text, m.To)
	}
	return providertext.Of(text, m.To, m.Subject, m.FromAlias, m.Text, m.HTML)
}

// beginsWith compares whole parts: 5.7 is a prefix of 5.7.1, but 5.7.2 is not one of
// 5.7.27.
func beginsWith(status, part string) bool {
	rest, ok := strings.CutPrefix(status, part)
	return ok && (part == "" || rest == "" || rest[0] == '.')
}

// enhanced matches the status code that can begin each line of a reply (RFC 2034).
var enhanced = regexp.MustCompile(`^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|$)`)

// splitReply splits a reply's text into its enhanced status code, empty if it has none,
// and the text for a person.
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

// failure classes an error at a stage.
func failure(ctx context.Context, at stage, err error, private private) *sender.Error {
	var no *refusal
	switch {
	case errors.As(err, &no):
		return &sender.Error{Class: no.class, Scope: no.scope(), Code: no.code, Detail: no.detail}
	case errors.Is(err, expiry.ErrExpired):
		return expired()
	}
	r := noReply[at]
	e := &sender.Error{Class: r.class, Scope: r.scope}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		status, text := splitReply(reply.Msg)
		r := classify(at, reply.Code, status, private.words(at, text))
		e.Class, e.Scope = r.class, r.scope
		text = private.redact(text)
		e.Code = strings.TrimSpace(fmt.Sprintf("%03d %s", reply.Code, status))
		e.Detail = phrases[at]
		if text != "" {
			e.Detail += ": " + text
		}
		return e
	}
	var word string
	if e.Code, word = cause(ctx, at, err); e.Code == codeCanceled && e.Class != sender.Unknown {
		e.Scope = sender.ScopeMessage // we ended it ourselves
	}
	e.Detail = phrases[at] + ": " + private.redact(word)
	if e.Class == sender.Unknown {
		e.Detail = "the server did not say whether it accepted the message: " + private.redact(word)
	}
	return e
}

// scope returns whom our own refusal speaks of: the recipient, if the server can't take
// the address, or else the connector.
func (r *refusal) scope() sender.Scope {
	if r.class == sender.Permanent {
		return sender.ScopeRecipient
	}
	return sender.ScopeConnector
}

// expired returns the error of a message whose time was over before its end was sent.
func expired() *sender.Error {
	return sender.Expired("the code expired before the server had the whole message")
}

// distrust says what is wrong with a certificate. The error's advice says what to do about it.
func distrust(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return "no trusted CA signed its certificate"
	case errors.As(err, &name):
		return "its certificate is for another name"
	}
	return err.Error()
}

// cause returns a code and a text for the error that broke a connection. Errors of the
// standard library can repeat the server's text, so they are shown only if we made them.
func cause(ctx context.Context, at stage, err error) (code, word string) {
	var netErr net.Error
	var untrusted *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	var protocol textproto.ProtocolError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return codeCanceled, "the send was canceled"
	case ctx.Err() != nil:
		return codeTimeout, "no answer came in time"
	case errors.Is(err, errSlowDNS):
		return codeTimeout, err.Error()
	case errors.As(err, &untrusted):
		return codeTLS, distrust(untrusted.Err)
	case errors.As(err, &dns):
		return codeConnect, "its name can't be resolved"
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
		return codeProtocol, "its answer is not SMTP"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op), errors.Is(err, net.ErrClosed):
		return codeCut, "the connection was cut"
	}
	return codeProtocol, err.Error()
}
