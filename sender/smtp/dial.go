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
)

// dialer opens sessions.
type dialer struct {
	host, port string
	name       string
	local      net.Addr
	near       func(net.Conn) bool // whether a connection stays on this machine
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
		host: c.Host, port: strconv.Itoa(c.Port), name: helloName(c.Name), tls: tlsConfig, near: isLoopback,
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

// session is a connection on which a message can be sent. One goroutine uses it
// at a time.
type session struct {
	client *gosmtp.Client
	wire   *wire
	// sent is how many messages it has carried.
	sent int
	// broken is set when nothing more can be said on it.
	broken bool
	// idle is the end of its rest in the pool.
	idle *time.Timer
}

// open returns a new session, signed in. A token that the server refuses is
// renewed once. Nothing of a message is sent here, whatever the error.
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

// failed makes an error of what broke before a message had begun.
func (d *dialer) failed(ctx context.Context, at stage, err error, token string) *sender.Error {
	return failure(ctx, at, err, hider{secrets: []string{d.pass.Reveal(), token}})
}

// dial connects. The dialer's Control is called once the name is looked up.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lookedUp := func() {}
	if d.dns > 0 {
		timer := time.AfterFunc(d.dns, func() { cancel(errSlowDNS) })
		lookedUp = func() { timer.Stop() }
		defer lookedUp()
	}
	dialer := net.Dialer{Timeout: d.connect, LocalAddr: d.local, Resolver: d.resolver, Control: func(string, string, syscall.RawConn) error {
		lookedUp()
		return nil
	}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(d.host, d.port))
	if err != nil && errors.Is(context.Cause(ctx), errSlowDNS) {
		return nil, errSlowDNS
	}
	return conn, err
}

var errSlowDNS = errors.New("its name was not found in time (dnsTimeout)")

// greet goes as far as the server's word of what it can do, over TLS where that
// is to be.
func (d *dialer) greet(ctx context.Context, w *wire) (*session, stage, error) {
	var conn net.Conn = w
	if d.implicit {
		secured := tls.Client(w, d.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, atTLS, err
		}
		conn = secured
	}
	client, err := gosmtp.NewClient(conn, d.host)
	if err != nil {
		return nil, atGreeting, err
	}
	w.silence = d.silence
	s := &session{client: client, wire: w}
	if err := s.say(func() error { return d.hello(client) }); err != nil {
		return nil, atHello, err
	}
	if d.implicit || d.ignoreTLS {
		return s, atHello, nil
	}
	if offered, _ := client.Extension("STARTTLS"); !offered {
		if d.requireTLS {
			return nil, atTLS, &refusal{sender.Misconfigured, codeNoTLS, "the server offers no STARTTLS, and requireTLS asks for it"}
		}
		return s, atHello, nil
	}
	if err := s.say(func() error { return client.StartTLS(d.tls) }); err != nil {
		return nil, atTLS, err
	}
	return s, atHello, nil
}

// hello says EHLO. go-mail says HELO where that is refused, which is right only
// for a server that does not know it (RFC 5321, 3.2): one that refuses us is not
// one that offers nothing.
func (d *dialer) hello(client *gosmtp.Client) error {
	refused := new(keeper)
	client.ErrorHandlerRegistry.RegisterHandler(d.host, "EHLO", refused)
	err := client.Hello(d.name)
	var reply *textproto.Error
	if refused.err != nil && (!errors.As(refused.err, &reply) || reply.Code < 500 || reply.Code > 504) {
		return refused.err
	}
	return err
}

// keeper keeps the error that a command met.
type keeper struct{ err error }

// HandleError keeps the error, and leaves it at that.
func (k *keeper) HandleError(_, _ string, _ *textproto.Conn, err error) error {
	k.err = bare(err)
	return err
}

// signIn proves who we are. Credentials never cross a network in the clear,
// whatever the method.
func (d *dialer) signIn(s *session, token string) error {
	if d.kind == nobody {
		return nil
	}
	if _, secured := s.client.TLSConnectionState(); !secured && !d.near(s.wire) {
		return &refusal{sender.Misconfigured, codeNoTLS, "the server offers no STARTTLS, and credentials never cross a network in the clear; its port with TLS from the start is mostly 465, with secure: true"}
	}
	_, list := s.client.Extension("AUTH")
	offered := strings.Fields(list)
	if d.kind == byToken {
		if !slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, xoauth2) }) {
			return &refusal{sender.Misconfigured, codeNoAuth, "the server takes no access tokens (XOAUTH2); it offers " + names(offered)}
		}
		return s.say(func() error { return s.client.Auth(gosmtp.XOAuth2Auth(d.user, token)) })
	}
	method := pick(offered, d.method)
	if method == "" {
		return &refusal{sender.Misconfigured, codeNoAuth, "the server offers no way to sign in that is known here" + wanted(d.method) + "; it offers " + names(offered)}
	}
	return s.say(func() error { return s.client.Auth(method.prove(d.user, d.pass.Reveal(), d.host)) })
}

func wanted(m Method) string {
	if m == "" {
		return ""
	}
	return fmt.Sprintf(" as %s (authMethod)", string(m))
}

// names lists what a server offers, as far as it looks like names.
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

// refusal is our own no to a server.
type refusal struct {
	class  sender.Class
	code   string
	detail string
}

func (r *refusal) Error() string { return r.detail }

// errUnasked is an answer before its question. What comes next would be taken
// for the answer to something else, and so no more is said.
var errUnasked = errors.New("the server answered what was not asked")

// say has one command said and its answer read.
func (s *session) say(command func() error) error {
	if s.client.Text.R.Buffered() > 0 {
		s.broken = true
		return errUnasked
	}
	err := bare(command())
	var reply *textproto.Error
	if err != nil && (!errors.As(err, &reply) || reply.Code == codeClosing || reply.Code < 400) {
		s.broken = true
	}
	return err
}

// shortReply is what textproto makes of a reply without any text.
var shortReply = regexp.MustCompile(`^short response: "([2-5][0-9]{2})"$`)

// bare gives a reply without any text its due: it is one (RFC 5321, 4.2), and
// textproto takes it for none.
func bare(err error) error {
	var protocol textproto.ProtocolError
	if errors.As(err, &protocol) {
		if m := shortReply.FindStringSubmatch(string(protocol)); m != nil {
			code, _ := strconv.Atoi(m[1])
			return &textproto.Error{Code: code}
		}
	}
	return err
}

// codeClosing is a server's word that it closes the connection (RFC 5321, 3.8).
const codeClosing = 421

// farewell is how long a polite end may take.
const farewell = time.Second

// close says goodbye where it can be said at once, and hangs up.
func (s *session) close() {
	if !s.broken {
		s.wire.silence = farewell
		// The answer says nothing: nobody waits for it.
		_, _ = s.client.Text.W.WriteString("QUIT\r\n")
		_ = s.client.Text.W.Flush()
	}
	s.wire.cut()
}
