package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/providertext"
)

// hint is advice about an error. An empty field fits everything.
type hint struct {
	at []stage
	// codes are prefixes of the error's code.
	codes []string
	// said matches the server's own words, in lower case and without addresses.
	said *regexp.Regexp
	// fits checks the error. implicit is true if TLS is used from the start.
	fits   func(err error, implicit bool) bool
	advice string
}

var (
	theName     = regexp.MustCompile(`\b(helo|ehlo)\b`)
	mailAndRcpt = []stage{atMail, atRcpt}
)

// hints name the setting that an error is about. The first hint that fits is used.
// Without one, the error has its class's advice.
var hints = []hint{
	// The wrong kind of port. A server that waits for TLS does not greet. A server that
	// greets does not speak TLS yet.
	{
		at: []stage{atGreeting}, codes: []string{codeTimeout, codeCut}, fits: inTheClear,
		advice: "If the port speaks TLS from the start, as 465 does, set secure: true. Otherwise check host and port, and the network between.",
	},
	{
		at: []stage{atTLS}, fits: notTLS,
		advice: "The port does not speak TLS from the start: set secure: false for STARTTLS, as on 587 and 25, or use the port for TLS, usually 465.",
	},
	{
		at: []stage{atTLS}, fits: silentAtTLS,
		advice: "If the port speaks STARTTLS, as 587 and 25 do, set secure: false. Otherwise check host and port, and the network between.",
	},

	// The certificate.
	{fits: because[x509.UnknownAuthorityError], advice: "Set caFile to the certificate of the CA that signed the server's certificate, or to the server's certificate itself."},
	{fits: because[x509.HostnameError], advice: "Set host, or servername, to a name that the certificate is for."},
	{fits: because[*tls.CertificateVerificationError], advice: "If the server's certificate has expired, have it renewed; if not, check this machine's clock."},
	{at: []stage{atTLS}, fits: speaksOf("protocol version"), advice: "Check tls.minVersion and tls.maxVersion. codeferry does not use TLS before 1.2: a server with only older versions must be updated."},
	{fits: speaksOf("tls: certificate required", "tls: bad certificate"), advice: "Set tls.cert and tls.key to a client certificate that the server accepts."},
	{at: []stage{atTLS}, fits: speaksOf("handshake failure"), advice: "Check tls.minVersion and tls.maxVersion. If the server requires a client certificate, set tls.cert and tls.key."},
	{codes: []string{codeNoTLS}, advice: "Use the port with TLS from the start, usually 465, and set secure: true; or have STARTTLS turned on at the server."},

	// Our name in EHLO. Postfix refuses it only at RCPT.
	{codes: []string{"4", "5"}, said: theName, advice: adviceName},
	{at: []stage{atHello}, codes: []string{"5"}, advice: adviceName},

	// Signing in.
	{at: []stage{atAuth}, codes: []string{"504"}, advice: "Set authMethod to another method that the server offers; codeferry knows " + methodNames() + "."},
	{codes: []string{codeNoAuth}, advice: "Set authMethod, or auth.type, to a method that the server offers, or remove it. A server that offers none has no sign-in on this port: remove auth, or use the server's submission port, usually 587."},
	{at: []stage{atAuth}, codes: []string{"503", "530", "538"}, advice: "Set secure: true or requireTLS: true, with a port that speaks TLS: the server requires TLS for signing in."},
	{at: []stage{atAuth}, codes: []string{"5", "432"}, advice: "Check auth.user and auth.pass. If the account has a second factor, use an app password or OAuth2 instead of the account's own password."},

	// Who may send.
	{at: mailAndRcpt, codes: []string{"530"}, advice: "Set auth: the server takes mail only after signing in. If auth is set, set requireTLS: true."},
	{at: []stage{atRcpt}, codes: []string{"5"}, said: relay, advice: "Set auth: without it the server relays no mail from this machine. If auth is set, its user may not send to this recipient."},
	{codes: []string{"550 5.7.23", "550 5.7.26", "554 5.7.26"}, advice: "Set up SPF, DKIM and DMARC for the domain of fromEmail."},
	{at: []stage{atMail}, codes: []string{"550", "551", "553", "554", "501"}, advice: "Set fromEmail to an address with an existing domain that auth.user may send as."},
	{codes: []string{codeNoUTF8}, advice: "Use an address that is ASCII before the @, or a server that supports SMTPUTF8."},
}

const adviceName = "Set name, the name in EHLO, to a host name that the server accepts: one with a domain that resolves to this machine's address."

// explain sets the advice of an error.
func (d *dialer) explain(e *sender.Error, at stage, err error) *sender.Error {
	if e.Code == codeCanceled {
		return e
	}
	var words providertext.Words
	var reply *textproto.Error
	if errors.As(err, &reply) && e.Scope != sender.ScopeRecipient {
		words = providertext.Of(reply.Msg, "") // words that a recipient chose must not select the advice
	}
	for _, h := range hints {
		if (h.at == nil || slices.Contains(h.at, at)) &&
			(h.codes == nil || slices.ContainsFunc(h.codes, func(c string) bool { return strings.HasPrefix(e.Code, c) })) &&
			(h.said == nil || words.Match(h.said)) && (h.fits == nil || h.fits(err, d.implicit)) {
			e.Advice = h.advice
			return e
		}
	}
	return e
}

func inTheClear(_ error, implicit bool) bool { return !implicit }

// notTLS reports whether the server answered the start of TLS with something else.
func notTLS(err error, implicit bool) bool {
	return implicit && because[tls.RecordHeaderError](err, implicit)
}

// silentAtTLS reports whether the server did not answer the start of TLS, or closed the
// connection.
func silentAtTLS(err error, implicit bool) bool {
	var netErr net.Error
	return implicit && (errors.As(err, &netErr) && netErr.Timeout() || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded))
}

func because[E error](err error, _ bool) bool {
	var e E
	return errors.As(err, &e)
}

// speaksOf returns a function that looks for texts of crypto/tls in an error.
func speaksOf(words ...string) func(error, bool) bool {
	return func(err error, _ bool) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(err.Error(), w) })
	}
}
