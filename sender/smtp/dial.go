package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/tcp"
)

// dialer opens sessions.
type dialer struct {
	host, port string
	name       string
	local      net.Addr
	near       func(net.Conn) bool // reports whether a connection stays on this machine
	resolver   *net.Resolver       // nil for the system's
	tls        *tls.Config
	implicit   bool // TLS from the start
	ignoreTLS  bool
	requireTLS bool

	connect, greeting, silence, dns time.Duration

	kind   kind
	user   string
	pass   sender.Secret
	method Method
	tokens *tokens
}

func (c *Config) dialer(tlsConfig *tls.Config, now func() time.Time) *dialer {
	d := &dialer{
		host: inASCII(c.Host), port: strconv.Itoa(c.Port), name: helloName(c.Name), tls: tlsConfig, near: isLoopback,
		implicit: c.secure(), ignoreTLS: c.IgnoreTLS, requireTLS: c.RequireTLS,
		connect: milliseconds(c.ConnectionTimeout), greeting: milliseconds(c.GreetingTimeout),
		silence: milliseconds(c.SocketTimeout), dns: milliseconds(c.DNSTimeout),
		kind: c.Auth.kind(), user: c.Auth.User, pass: c.Auth.Pass, method: c.AuthMethod,
	}
	if c.LocalAddress != "" {
		d.local = &net.TCPAddr{IP: net.ParseIP(c.LocalAddress)}
	}
	if d.kind == byToken {
		d.tokens = newTokens(c.Auth, now)
	}
	return d
}

// session is a connection that can send a message. Only one goroutine uses it at a time.
type session struct {
	client *gosmtp.Client
	wire   *wire
	// offers are the server's extensions. secured is true if TLS is used.
	offers  offers
	secured bool
	// sent is the number of messages that it has carried.
	sent int
	// rested is true if it was idle in the pool before.
	rested bool
	// broken is set when it can't be used any more.
	broken bool
	// idle closes it when it was idle in the pool for too long.
	idle *time.Timer
}

// open returns a new session that is signed in. If the server refuses the token, open
// renews it once. With any error, no part of a message was sent.
func (d *dialer) open(ctx context.Context) (*session, *sender.Error) {
	var token string
	var fresh bool
	for attempt := 0; ; attempt++ {
		var err *sender.Error
		if d.tokens != nil {
			if token, fresh, err = d.tokens.get(ctx, token); err != nil {
				return nil, err
			}
		}
		s, err := d.try(ctx, token)
		if err == nil || d.tokens == nil || fresh || attempt > 0 || err.Class != sender.AccountDown || !d.tokens.renews() {
			return s, err
		}
	}
}

// try opens one connection and signs in.
func (d *dialer) try(ctx context.Context, token string) (*session, *sender.Error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, d.failed(ctx, atConnect, err, token)
	}
	w := &wire{Conn: conn, silence: d.greeting}
	stop := context.AfterFunc(ctx, w.cut)
	s, at, err := d.greet(ctx, w)
	if err == nil {
		at, err = atAuth, d.signIn(s, token)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		w.cut()
		return nil, d.failed(ctx, at, err, token)
	}
	return s, nil
}

// failed returns the error of a session that broke before a message began.
func (d *dialer) failed(ctx context.Context, at stage, err error, token string) *sender.Error {
	return d.explain(failure(ctx, at, err, private{secrets: []string{d.pass.Reveal(), token}}), at, err)
}

// dial connects. The dialer's Control is called after the name was resolved.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lookedUp := func() {}
	if d.dns > 0 {
		timer := time.AfterFunc(d.dns, func() { cancel(errSlowDNS) })
		lookedUp = func() { timer.Stop() }
		defer lookedUp()
	}
	dialer := net.Dialer{Timeout: d.connect, LocalAddr: d.local, Resolver: d.resolver, KeepAliveConfig: tcp.KeepAlive, Control: func(network, address string, c syscall.RawConn) error {
		lookedUp()
		return tcp.Control(network, address, c)
	}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(d.host, d.port))
	if err != nil && errors.Is(context.Cause(ctx), errSlowDNS) {
		return nil, errSlowDNS
	}
	return conn, err
}

var errSlowDNS = errors.New("its name was not found in time (dnsTimeout)")

// greet reads the greeting and the server's extensions, and starts TLS if it is to be
// used.
func (d *dialer) greet(ctx context.Context, w *wire) (*session, stage, error) {
	s := &session{wire: w}
	if d.implicit {
		if at, err := d.secure(ctx, s, ""); err != nil {
			return nil, at, err
		}
		return s, atHello, nil
	}
	if at, err := d.meet(s, w, ""); err != nil {
		return nil, at, err
	}
	switch {
	case d.ignoreTLS:
		return s, atHello, nil
	case s.offers.has("STARTTLS"):
	case d.requireTLS:
		return nil, atTLS, &refusal{sender.Misconfigured, codeNoTLS, "the server offers no STARTTLS, and requireTLS requires it"}
	default:
		return s, atHello, nil
	}
	if err := s.say(func() error { return command(s.client, codeReady, "STARTTLS") }); err != nil {
		return nil, atTLS, err
	}
	if s.client.Text.R.Buffered() > 0 { // it would count as protected by TLS
		return nil, atTLS, errUnasked
	}
	if at, err := d.secure(ctx, s, noGreeting); err != nil {
		return nil, at, err
	}
	return s, atHello, nil
}

// secure starts TLS, and sends EHLO over it.
func (d *dialer) secure(ctx context.Context, s *session, ahead string) (stage, error) {
	conn := tls.Client(s.wire, d.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		return atTLS, err
	}
	s.secured = true
	return d.meet(s, conn, ahead)
}

// noGreeting replaces the greeting after STARTTLS. A server sends a greeting only before
// it (RFC 3207, 4.2), but go-mail's client always begins by reading one.
const noGreeting = "220 \r\n"

// codeReady is the reply with which a server accepts STARTTLS.
const codeReady = 220

// meet reads the greeting and sends EHLO.
func (d *dialer) meet(s *session, conn net.Conn, ahead string) (at stage, err error) {
	heard := &listener{Conn: conn, ahead: ahead}
	if s.client, err = gosmtp.NewClient(heard, d.host); err != nil {
		return atGreeting, s.wire.why(err)
	}
	s.wire.silence = d.silence
	if err := s.say(func() error { return d.hello(s.client) }); err != nil {
		return atHello, err
	}
	s.offers = heard.offers()
	return atHello, nil
}

// command sends a command that go-mail's client does not have, and reads the reply.
func command(client *gosmtp.Client, expect int, words string) error {
	id, err := client.Text.Cmd("%s", words)
	if err != nil {
		return err
	}
	client.Text.StartResponse(id)
	defer client.Text.EndResponse(id)
	_, _, err = client.Text.ReadResponse(expect)
	return err
}

// hello sends EHLO. If EHLO is refused, go-mail sends HELO, which is right only for a
// server that does not know EHLO (RFC 5321, 3.2). A server that refuses us, or our name,
// may still offer extensions such as STARTTLS.
func (d *dialer) hello(client *gosmtp.Client) error {
	refused := new(keeper)
	client.ErrorHandlerRegistry.RegisterHandler(d.host, "EHLO", refused)
	err := client.Hello(d.name)
	var reply *textproto.Error
	if refused.err != nil && (!errors.As(refused.err, &reply) || reply.Code != 500 && reply.Code != 502) {
		return refused.err
	}
	return err
}

// keeper keeps the error of a command.
type keeper struct{ err error }

// HandleError keeps the error, and does nothing else.
func (k *keeper) HandleError(_, _ string, _ *textproto.Conn, err error) error {
	k.err = bare(err)
	return err
}

// signIn signs in. It never sends credentials unencrypted over a network, with any
// method.
func (d *dialer) signIn(s *session, token string) error {
	if d.kind == nobody {
		return nil
	}
	if !s.secured && !d.near(s.wire) {
		return &refusal{sender.Misconfigured, codeNoTLS, "the server offers no STARTTLS, and credentials are never sent unencrypted; use its port with TLS from the start, usually 465, with secure: true"}
	}
	offered := s.offers["AUTH"]
	if d.kind == byToken {
		if !slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, xoauth2) }) {
			return &refusal{sender.Misconfigured, codeNoAuth, "the server does not take access tokens (XOAUTH2); it offers " + names(offered)}
		}
		return s.say(func() error { return s.client.Auth(gosmtp.XOAuth2Auth(d.user, token)) })
	}
	method := pick(offered, d.method)
	if method == "" {
		return &refusal{sender.Misconfigured, codeNoAuth, "the server offers no known sign-in method" + wanted(d.method) + "; it offers " + names(offered)}
	}
	return s.say(func() error { return s.client.Auth(method.prove(d.user, d.pass.Reveal(), d.host)) })
}

func wanted(m Method) string {
	if m == "" {
		return ""
	}
	return fmt.Sprintf(" as %s (authMethod)", string(m))
}

// names lists what a server offers, without everything that does not look like a name.
func names(offered []string) string {
	var out []string
	for _, o := range offered[:min(len(offered), 10)] {
		if isPlain(o) {
			out = append(out, o)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}

// refusal is our own decision not to go on with a server.
type refusal struct {
	class  sender.Class
	code   string
	detail string
}

func (r *refusal) Error() string { return r.detail }

// errUnasked is a reply that came before its command. The next reply would count for the
// wrong command, so the session ends.
var errUnasked = errors.New("the server replied before there was a command")

// say sends one command and reads its reply.
func (s *session) say(command func() error) error {
	if s.client.Text.R.Buffered() > 0 {
		s.broken = true
		return errUnasked
	}
	err := s.wire.why(bare(command()))
	var reply *textproto.Error
	if err != nil && (!errors.As(err, &reply) || reply.Code == codeClosing || reply.Code < 400) {
		s.broken = true
	}
	return err
}

// shortReply matches textproto's error for a reply without text.
var shortReply = regexp.MustCompile(`^short response: "([2-5][0-9]{2})"$`)

// bare returns the reply for textproto's error about a reply without text, which is valid
// (RFC 5321, 4.2).
func bare(err error) error {
	if protocol, ok := errors.AsType[textproto.ProtocolError](err); ok {
		if m := shortReply.FindStringSubmatch(string(protocol)); m != nil {
			code, _ := strconv.Atoi(m[1])
			return &textproto.Error{Code: code}
		}
	}
	return err
}

// codeClosing is the reply of a server that closes the connection (RFC 5321, 3.8).
const codeClosing = 421

// farewell bounds the time to send QUIT.
const farewell = time.Second

// close sends QUIT if that takes no waiting, and closes the connection.
func (s *session) close() {
	if !s.broken {
		s.wire.silence = farewell
		// The reply to QUIT does not matter, so nothing waits for it.
		_, _ = s.client.Text.W.WriteString("QUIT\r\n")
		_ = s.client.Text.W.Flush()
	}
	s.wire.cut()
}
