// Package smtp sends email through any SMTP server (RFC 5321), over
// github.com/wneessen/go-mail.
//
// The mails are made by go-mail; they travel over its smtp.Client, a step at a
// time. Its high-level client does not tell whether a connection broke before
// the end of the data or after it, and that is what tells a message that surely
// was not accepted from one in doubt.
package smtp

import (
	"fmt"
	"net"
	"net/mail"
	"os"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// Config is Logto's smtp connector, field for field, and what codeferry adds to
// it. Logto's fields mean what they mean to nodemailer's SMTP transport, which
// is where Logto passes them on to. Numbers that are times are milliseconds.
type Config struct {
	// Host is the server's name or IP address.
	Host string `yaml:"host"`
	// Port is the server's: 587 for STARTTLS, 465 for TLS from the start.
	Port int `yaml:"port"`
	// Auth is who signs in. Default: nobody, for a relay that knows its clients.
	Auth Auth `yaml:"auth"`
	// FromEmail is the sender: a@example.com or Name <a@example.com>. The name may
	// hold placeholders.
	FromEmail string `yaml:"fromEmail"`
	// ReplyTo is where replies go, one address or several with commas between.
	// Default: to the sender.
	ReplyTo string `yaml:"replyTo"`
	// Secure speaks TLS from the start; where it is false, the connection begins in
	// the clear and is upgraded by STARTTLS where the server offers it. Default:
	// true on port 465, otherwise false.
	Secure *bool `yaml:"secure"`
	// IgnoreTLS leaves STARTTLS alone even where it is offered. It goes only
	// without Auth, or with a server on this machine.
	IgnoreTLS bool `yaml:"ignoreTLS"`
	// RequireTLS refuses a server without STARTTLS.
	RequireTLS bool `yaml:"requireTLS"`
	// ServerName is the name that the certificate must have. Default: Host.
	ServerName string `yaml:"servername"`
	TLS        TLS    `yaml:"tls"`
	// Name is who we are in EHLO. Default: the machine's name where that has a
	// domain, otherwise [127.0.0.1].
	Name string `yaml:"name"`
	// LocalAddress is the IP address to connect from.
	LocalAddress string `yaml:"localAddress"`
	// ConnectionTimeout bounds the look-up of Host and the connect, together.
	// Timeout stands above this one and the next three.
	ConnectionTimeout int `yaml:"connectionTimeout"`
	// GreetingTimeout bounds the wait for the server's first line.
	GreetingTimeout int `yaml:"greetingTimeout"`
	// SocketTimeout bounds any silence after the greeting.
	SocketTimeout int `yaml:"socketTimeout"`
	// DNSTimeout bounds the look-up of Host alone.
	DNSTimeout int `yaml:"dnsTimeout"`
	// CustomHeaders are put into every mail, each name with one value or several.
	CustomHeaders map[string]HeaderValues `yaml:"customHeaders"`
	Templates     []sender.MailTemplate   `yaml:"templates"`

	Logger            sender.Ignored `yaml:"logger"`
	Debug             sender.Ignored `yaml:"debug"`
	DisableFileAccess sender.Ignored `yaml:"disableFileAccess"`
	DisableURLAccess  sender.Ignored `yaml:"disableUrlAccess"`

	// AuthMethod is how to sign in with a password: SCRAM-SHA-256, SCRAM-SHA-1,
	// CRAM-MD5, PLAIN or LOGIN. Default: the first of these that the server offers.
	AuthMethod Method `yaml:"authMethod"`
	// CAFile is a PEM file with the certificates to trust in place of the system's:
	// a private CA's, or the server's own where it is self-signed.
	CAFile sender.TextFile `yaml:"caFile"`
	// Timeout bounds a message, from the wait for a connection to the server's last
	// word. Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
	// MaxConnections is how many connections may be open at once; a message that
	// finds none free waits. Default: 10.
	MaxConnections int `yaml:"maxConnections"`
	// MaxMessages is how many messages a connection carries. Default: 100.
	MaxMessages int `yaml:"maxMessages"`
	// IdleTimeout is how long a connection is kept open for the next message.
	// Default: 30s.
	IdleTimeout time.Duration `yaml:"idleTimeout"`

	now func() time.Time
}

// The defaults.
const (
	DefaultTimeout        = 10 * time.Second
	DefaultMaxConnections = 10
	DefaultMaxMessages    = 100
	DefaultIdleTimeout    = 30 * time.Second
)

// implicitTLSPort is where TLS is spoken from the start (RFC 8314, 7.3).
const implicitTLSPort = 465

// Channel returns email.
func (*Config) Channel() messages.Channel { return messages.Email }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	p := problems(sender.Required("host", c.Host, "fromEmail", c.FromEmail))
	if strings.ContainsAny(c.Host, " \t\r\n/@[]") || strings.Contains(c.Host, ":") && net.ParseIP(c.Host) == nil {
		p.add("host", "%q is no host; it takes a name such as smtp.example.com, without scheme and port", c.Host)
	}
	switch {
	case c.Port == 0:
		p.add("port", "is required: mostly 587, or 465 with secure: true")
	case c.Port < 0 || c.Port > 65535:
		p.add("port", "is %d; it takes 1 to 65535", c.Port)
	}
	c.validateAddresses(&p)
	c.validateTLS(&p)
	c.validateLimits(&p)
	c.Auth.validate(&p)
	if !c.AuthMethod.known() {
		p.add("authMethod", "%q is none that is known; it is one of %s", string(c.AuthMethod), methodNames())
	} else if c.AuthMethod != "" && c.Auth.kind() != byPassword {
		p.add("authMethod", "is for auth with user and pass")
	}
	validateHeaders(&p, c.CustomHeaders)
	name, _ := splitFrom(c.FromEmail)
	_, wrong := sender.ParseMails(name, c.Templates)
	return append(p, wrong...)
}

// problems are what is wrong in a configuration.
type problems []sender.Problem

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, sender.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *Config) validateAddresses(p *problems) {
	if _, addr := splitFrom(c.FromEmail); c.FromEmail != "" {
		switch _, _, err := envelope(addr); {
		case strings.Contains(addr, "{{"):
			p.add("fromEmail", "has a placeholder in its address; the name alone may hold some")
		case err != nil:
			p.add("fromEmail", "%v; it takes a@example.com or Name <a@example.com>", err)
		}
	}
	if _, err := mail.ParseAddressList(c.ReplyTo); c.ReplyTo != "" && err != nil {
		p.add("replyTo", "%q is no address such as a@example.com or Name <a@example.com>", c.ReplyTo)
	}
	if strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		p.add("name", "%q is no name to say in EHLO; it takes a host name such as mail.example.com", c.Name)
	}
	if c.LocalAddress != "" && net.ParseIP(c.LocalAddress) == nil {
		p.add("localAddress", "%q is no IP address", c.LocalAddress)
	}
}

func (c *Config) validateLimits(p *problems) {
	for _, limit := range []struct {
		path  string
		value int
	}{
		{"connectionTimeout", c.ConnectionTimeout},
		{"greetingTimeout", c.GreetingTimeout},
		{"socketTimeout", c.SocketTimeout},
		{"dnsTimeout", c.DNSTimeout},
		{"maxConnections", c.MaxConnections},
		{"maxMessages", c.MaxMessages},
	} {
		if limit.value < 0 {
			p.add(limit.path, "is negative")
		}
	}
}

// splitFrom takes a sender apart into a name, which may hold placeholders, and
// an address.
func splitFrom(from string) (name, addr string) {
	from = strings.TrimSpace(from)
	i := strings.LastIndexByte(from, '<')
	if i < 0 || !strings.HasSuffix(from, ">") {
		return "", from
	}
	name = strings.TrimSpace(from[:i])
	if len(name) >= 2 && name[0] == '"' && name[len(name)-1] == '"' {
		name = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(name[1 : len(name)-1])
	}
	return name, from[i+1 : len(from)-1]
}

func isAddress(addr string) bool {
	a, err := mail.ParseAddress(addr)
	return err == nil && a.Address == addr && a.Name == ""
}

// secure tells whether TLS is spoken from the start.
func (c *Config) secure() bool {
	if c.Secure == nil {
		return c.Port == implicitTLSPort
	}
	return *c.Secure
}

// Warnings reports what is allowed and yet hardly meant.
func (c *Config) Warnings() []sender.Problem {
	p := problems(sender.MailWarnings(c.Templates))
	if c.Secure != nil && !*c.Secure && c.Port == implicitTLSPort {
		p.add("secure", "is false, yet port 465 mostly speaks TLS from the start")
	}
	if c.IgnoreTLS && !c.secure() {
		p.add("ignoreTLS", "lets codes cross the network in the clear")
	}
	p = append(p, c.TLS.warnings()...)
	if _, addr := splitFrom(c.FromEmail); strings.EqualFold(domainOf(addr), "localhost") {
		p.add("fromEmail", "has the domain localhost, which hardly any server takes")
	}
	return p
}

// New makes the connector. It holds connections, and so it is an io.Closer too.
func (c *Config) New() (sender.Sender, error) {
	name, addr := splitFrom(c.FromEmail)
	mails, wrong := sender.ParseMails(name, c.Templates)
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s %s", wrong[0].Path, wrong[0].Text)
	}
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	from, utf8, err := envelope(addr)
	if err != nil {
		return nil, fmt.Errorf("fromEmail %w", err)
	}
	m := &maker{from: from, utf8: utf8, headers: renderHeaders(c.CustomHeaders), now: c.now}
	if m.now == nil {
		m.now = time.Now
	}
	if c.ReplyTo != "" {
		if m.replyTo, err = mail.ParseAddressList(c.ReplyTo); err != nil {
			return nil, fmt.Errorf("replyTo %q is no address", c.ReplyTo)
		}
	}
	out := &connector{mails: mails, maker: m, timeout: positive(c.Timeout, DefaultTimeout)}
	d := c.dialer(tlsConfig, m.now)
	out.pool = newPool(d, limits{
		connections: positive(c.MaxConnections, DefaultMaxConnections),
		messages:    positive(c.MaxMessages, DefaultMaxMessages),
		idle:        positive(c.IdleTimeout, DefaultIdleTimeout),
	})
	return out, nil
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// helloName is who we are in EHLO: a name with a domain, or an address literal
// (RFC 5321, 4.1.3), as nodemailer has it.
func helloName(configured string) string {
	if configured != "" {
		return configured
	}
	if host, err := os.Hostname(); err == nil && strings.Contains(host, ".") {
		return host
	}
	return "[127.0.0.1]"
}
