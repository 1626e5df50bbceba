// Package smtp sends email through any SMTP server (RFC 5321), over
// github.com/wneessen/go-mail.
//
// go-mail makes the mails, and its smtp.Client sends them, one step at a time. go-mail's
// high-level client does not report whether a connection broke before or after the end of
// the data. That decides whether a message was surely not accepted, or is in doubt.
package smtp

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/address"
)

// Config is Logto's smtp connector, field for field, and what codeferry adds to it.
// Logto's fields have the same meaning as in nodemailer's SMTP transport, to which Logto
// passes them. Times given as numbers are in milliseconds.
type Config struct {
	// Host is the server's name or IP address.
	Host string `yaml:"host"`
	// Port is the server's: 587 for STARTTLS, 465 for TLS from the start.
	Port int `yaml:"port"`
	// Auth says how to sign in. Default: not at all, for a relay that knows its clients.
	Auth Auth `yaml:"auth"`
	// FromEmail is the sender: a@example.com or Name <a@example.com>. The name can hold
	// placeholders.
	FromEmail string `yaml:"fromEmail"`
	// ReplyTo is the address for replies, or several separated by commas. Default: the
	// sender.
	ReplyTo string `yaml:"replyTo"`
	// Secure uses TLS from the start. If it is false, the connection begins unencrypted,
	// and is upgraded by STARTTLS if the server offers it. Default: true on port 465,
	// otherwise false.
	Secure *bool `yaml:"secure"`
	// IgnoreTLS does not use STARTTLS even if the server offers it. It is allowed only
	// without Auth, or with a server on this machine.
	IgnoreTLS bool `yaml:"ignoreTLS"`
	// RequireTLS does not send to a server without STARTTLS.
	RequireTLS bool `yaml:"requireTLS"`
	// ServerName is the name that the certificate must have. Default: Host.
	ServerName string `yaml:"servername"`
	TLS        TLS    `yaml:"tls"`
	// Name is our name in EHLO. Default: the machine's name if that has a domain,
	// otherwise [127.0.0.1].
	Name string `yaml:"name"`
	// LocalAddress is the IP address to connect from.
	LocalAddress string `yaml:"localAddress"`
	// ConnectionTimeout bounds the look-up of Host and the connect together. Timeout
	// limits this one and the next three.
	ConnectionTimeout int `yaml:"connectionTimeout"`
	// GreetingTimeout bounds the wait for the server's first line.
	GreetingTimeout int `yaml:"greetingTimeout"`
	// SocketTimeout bounds each wait for the server after the greeting.
	SocketTimeout int `yaml:"socketTimeout"`
	// DNSTimeout bounds the look-up of Host alone.
	DNSTimeout int `yaml:"dnsTimeout"`
	// CustomHeaders are added to every mail, each name with one or more values.
	CustomHeaders map[string]HeaderValues `yaml:"customHeaders"`
	Templates     []sender.MailTemplate   `yaml:"templates"`

	Logger            sender.Ignored `yaml:"logger"`
	Debug             sender.Ignored `yaml:"debug"`
	DisableFileAccess sender.Ignored `yaml:"disableFileAccess"`
	DisableURLAccess  sender.Ignored `yaml:"disableUrlAccess"`

	// AuthMethod is how to sign in with a password: SCRAM-SHA-256, SCRAM-SHA-1,
	// CRAM-MD5, PLAIN or LOGIN. Default: the first of these that the server offers.
	AuthMethod Method `yaml:"authMethod"`
	// CAFile is a PEM file with the certificates to trust instead of the system's: that of
	// a private CA, or the server's own if it is self-signed.
	CAFile sender.TextFile `yaml:"caFile"`
	// Timeout bounds a message, from the wait for a connection to the server's last reply.
	// Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
	// MaxConnections is how many connections can be open at once. A message waits if none
	// is free. Default: 10.
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

// implicitTLSPort is the port with TLS from the start (RFC 8314, 7.3).
const implicitTLSPort = 465

// Channel returns email.
func (*Config) Channel() messages.Channel { return messages.Email }

// inASCII returns a host's name in the form for DNS and TLS. Validate has checked that it
// has one.
func inASCII(host string) string {
	name, err := address.Domain(host)
	if err != nil {
		return host
	}
	return name
}

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	p := problems(sender.Required("host", c.Host, "fromEmail", c.FromEmail))
	if strings.ContainsAny(c.Host, " \t\r\n/@[]") || strings.Contains(c.Host, ":") && net.ParseIP(c.Host) == nil {
		p.add("host", "%q is not a host; it takes a name such as smtp.example.com, without scheme and port", c.Host)
	}
	for _, name := range []struct{ field, value string }{
		{"host", c.Host}, {"servername", c.ServerName}, {"tls.servername", c.TLS.ServerName},
	} {
		if _, err := address.Domain(name.value); err != nil {
			p.add(name.field, "%q is not a server's name", name.value)
		}
	}
	switch {
	case c.Port == 0:
		p.add("port", "is required: usually 587, or 465 with secure: true")
	case c.Port < 0 || c.Port > 65535:
		p.add("port", "is %d; it takes 1 to 65535", c.Port)
	}
	c.validateAddresses(&p)
	c.validateTLS(&p)
	c.validateLimits(&p)
	c.Auth.validate(&p)
	if !c.AuthMethod.known() {
		p.add("authMethod", "%q is not known; it takes one of %s", string(c.AuthMethod), methodNames())
	} else if c.AuthMethod != "" && c.Auth.kind() != byPassword {
		p.add("authMethod", "is only for auth with user and pass")
	}
	validateHeaders(&p, c.CustomHeaders)
	name, _ := splitFrom(c.FromEmail)
	_, wrong := sender.ParseMails(name, c.Templates)
	return append(p, wrong...)
}

// problems are the problems of a configuration.
type problems []sender.Problem

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, sender.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *Config) validateAddresses(p *problems) {
	if _, addr := splitFrom(c.FromEmail); c.FromEmail != "" {
		switch _, err := address.Bare(addr); {
		case strings.Contains(addr, "{{"):
			p.add("fromEmail", "has a placeholder in its address; only the name can have placeholders")
		case err != nil:
			p.add("fromEmail", "%v; it takes a@example.com or Name <a@example.com>", err)
		}
	}
	if _, err := address.ParseList(c.ReplyTo); c.ReplyTo != "" && err != nil {
		p.add("replyTo", "%q %v; it takes a@example.com or Name <a@example.com>", c.ReplyTo, err)
	}
	if strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		p.add("name", "%q is not a name for EHLO; it takes a host name such as mail.example.com", c.Name)
	}
	if c.LocalAddress != "" && net.ParseIP(c.LocalAddress) == nil {
		p.add("localAddress", "%q is not an IP address", c.LocalAddress)
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

// splitFrom splits a sender into a name, which can hold placeholders, and an address.
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

// secure reports whether TLS is used from the start.
func (c *Config) secure() bool {
	if c.Secure == nil {
		return c.Port == implicitTLSPort
	}
	return *c.Secure
}

// Warnings reports valid settings that are probably mistakes.
func (c *Config) Warnings() []sender.Problem {
	p := problems(sender.MailWarnings(c.Templates))
	if c.Secure != nil && !*c.Secure && c.Port == implicitTLSPort {
		p.add("secure", "is false, but port 465 usually requires TLS from the start")
	}
	if c.IgnoreTLS && !c.secure() {
		p.add("ignoreTLS", "sends codes unencrypted")
	}
	p = append(p, c.TLS.warnings()...)
	if _, addr := splitFrom(c.FromEmail); strings.EqualFold(domainOf(addr), "localhost") {
		p.add("fromEmail", "has the domain localhost, which most servers refuse")
	}
	return p
}

// New makes the connector. It keeps connections, so it is also an io.Closer.
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
	m, err := c.maker(addr)
	if err != nil {
		return nil, err
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

// maker makes the maker of the mails.
func (c *Config) maker(fromEmail string) (*maker, error) {
	m := &maker{now: c.now}
	if m.now == nil {
		m.now = time.Now
	}
	from, err := address.Bare(fromEmail)
	if err != nil {
		return nil, fmt.Errorf("fromEmail %w", err)
	}
	m.from = from.Addr
	if from.UTF8 {
		m.utf8 = "fromEmail"
	}
	if c.ReplyTo != "" {
		all, err := address.ParseList(c.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("replyTo %w", err)
		}
		for _, a := range all {
			m.replyTo = append(m.replyTo, a.Mail())
			if a.UTF8 {
				m.utf8 = cmp.Or(m.utf8, "replyTo")
			}
		}
	}
	headers, utf8, err := renderHeaders(c.CustomHeaders)
	m.headers, m.utf8 = headers, cmp.Or(m.utf8, utf8)
	return m, err
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// helloName returns our name in EHLO: a name with a domain, or an address literal (RFC
// 5321, 4.1.3), as in nodemailer.
func helloName(configured string) string {
	if configured != "" {
		return configured
	}
	if host, err := os.Hostname(); err == nil && strings.Contains(host, ".") {
		return host
	}
	return "[127.0.0.1]"
}
