package smtp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// rsaKey returns a key in PEM, made once.
var rsaKey = sync.OnceValue(func() sender.Secret {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return sender.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
})

func pkcs8(t testing.TB, key any) sender.Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return sender.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func TestValidate(t *testing.T) {
	ca := testca.New(t)
	cert, key := ca.Pair("client")
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type config = smtp.Config
	header := func(name string, values ...string) func(*config) {
		return func(c *config) { c.CustomHeaders = map[string]smtp.HeaderValues{name: values} }
	}
	for _, c := range []struct {
		name   string
		change func(*config)
		want   []string // paths
	}{
		{"good", func(*config) {}, nil},
		{"empty", func(c *config) { *c = config{} }, []string{"host", "fromEmail", "port", "templates"}},
		{"host, a URL", func(c *config) { c.Host = "smtp://smtp.example.com" }, []string{"host"}},
		{"host with a port", func(c *config) { c.Host = "smtp.example.com:25" }, []string{"host"}},
		{"host, IPv6", func(c *config) { c.Host = "2001:db8::1" }, nil},
		{"host, international", func(c *config) { c.Host = "smtp.bücher.example" }, nil},
		{"host, no name", func(c *config) { c.Host = "smtp.bü_cher.example" }, []string{"host"}},
		{"servername, no name", func(c *config) { c.ServerName = "bü cher.example" }, []string{"servername"}},
		{"tls.servername, no name", func(c *config) { c.TLS.ServerName = "bü cher.example" }, []string{"tls.servername"}},
		{"port", func(c *config) { c.Port = 70000 }, []string{"port"}},
		{"port below 0", func(c *config) { c.Port = -1 }, []string{"port"}},
		{"no auth", noAuth, nil},
		{"no user", func(c *config) { c.Auth.User = "" }, []string{"auth.user"}},
		{"no pass", func(c *config) { c.Auth.Pass = sender.NewSecret("") }, []string{"auth.pass"}},
		{"auth.type login", func(c *config) { c.Auth.Type = "login" }, nil},
		{"auth.type Login, and nobody", func(c *config) { c.Auth = smtp.Auth{Type: "Login"} }, nil},
		{"auth.type", func(c *config) { c.Auth.Type = "ntlm" }, []string{"auth.type"}},
		{"oauth2, empty", func(c *config) { c.Auth = smtp.Auth{Type: "OAuth2"} }, []string{"auth.user", "auth.accessToken"}},
		{"oauth2, a token", func(c *config) { c.Auth = smtp.Auth{Type: "oauth2", User: "u", AccessToken: sender.NewSecret("t")} }, nil},
		{"oauth2 by its fields", func(c *config) { c.Auth = smtp.Auth{User: "u", AccessToken: sender.NewSecret("t")} }, nil},
		{"oauth2, half a renewal", func(c *config) { c.Auth = smtp.Auth{Type: "oauth2", User: "u", RefreshToken: sender.NewSecret("r")} }, []string{"auth.clientId", "auth.clientSecret"}},
		{"oauth2, a service without a key", func(c *config) { c.Auth = smtp.Auth{Type: "oauth2", User: "u", ServiceClient: "s"} }, []string{"auth.privateKey"}},
		{"oauth2, a key without a service", func(c *config) {
			c.Auth = smtp.Auth{Type: "oauth2", User: "u", PrivateKey: smtp.PrivateKey{Key: rsaKey()}}
		}, []string{"auth.serviceClient"}},
		{"oauth2, a service", func(c *config) {
			c.Auth = smtp.Auth{Type: "oauth2", User: "u", ServiceClient: "s", PrivateKey: smtp.PrivateKey{Key: rsaKey()}}
		}, nil},
		{"oauth2, no PEM", func(c *config) {
			c.Auth = smtp.Auth{User: "u", ServiceClient: "s", PrivateKey: smtp.PrivateKey{Key: sender.NewSecret("a-secret-key")}}
		}, []string{"auth.privateKey"}},
		{"oauth2, another kind of key", func(c *config) {
			c.Auth = smtp.Auth{User: "u", ServiceClient: "s", PrivateKey: smtp.PrivateKey{Key: pkcs8(t, elliptic256)}}
		}, []string{"auth.privateKey"}},
		{"oauth2, an encrypted key", func(c *config) {
			c.Auth = smtp.Auth{User: "u", ServiceClient: "s", PrivateKey: smtp.PrivateKey{Passphrase: sender.NewSecret("a-secret-phrase"), Key: sender.NewSecret("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")}}
		}, []string{"auth.privateKey"}},
		{"accessUrl", func(c *config) {
			c.Auth = smtp.Auth{User: "u", AccessToken: sender.NewSecret("t"), AccessURL: "http://tokens.example.com"}
		}, []string{"auth.accessUrl"}},
		{"accessUrl, a fake", func(c *config) {
			c.Auth = smtp.Auth{User: "u", AccessToken: sender.NewSecret("t"), AccessURL: "http://127.0.0.1:1/t"}
		}, nil},
		{"expires", func(c *config) { c.Auth = smtp.Auth{User: "u", AccessToken: sender.NewSecret("t"), Expires: -1} }, []string{"auth.expires"}},
		{"authMethod", func(c *config) { c.AuthMethod = "NTLM" }, []string{"authMethod"}},
		{"authMethod without a password", func(c *config) { c.Auth, c.AuthMethod = smtp.Auth{}, "PLAIN" }, []string{"authMethod"}},
		{"fromEmail, bare", func(c *config) { c.FromEmail = "a@example.com" }, nil},
		{"fromEmail, placeholders", func(c *config) { c.FromEmail = "{{application.name}}, Inc. <a@example.com>" }, nil},
		{"fromEmail, no address", func(c *config) { c.FromEmail = "Example" }, []string{"fromEmail"}},
		{"fromEmail, a placeholder in the address", func(c *config) { c.FromEmail = "A <{{x}}@{{user.domain}}>" }, []string{"fromEmail"}},
		{"fromEmail, two", func(c *config) { c.FromEmail = "a@example.com, b@example.com" }, []string{"fromEmail"}},
		{"replyTo", func(c *config) { c.ReplyTo = "A <a@example.com>, b@example.com" }, nil},
		{"replyTo, none", func(c *config) { c.ReplyTo = "nobody" }, []string{"replyTo"}},
		{"replyTo, a domain that is none", func(c *config) { c.ReplyTo = "a@-ü.example" }, []string{"replyTo"}},
		{"name", func(c *config) { c.Name = "a b" }, []string{"name"}},
		{"name, a line break", func(c *config) { c.Name = "a\r\nRSET" }, []string{"name"}},
		{"localAddress", func(c *config) { c.LocalAddress = "here" }, []string{"localAddress"}},
		{"limits", func(c *config) { c.DNSTimeout, c.MaxMessages = -1, -1 }, []string{"dnsTimeout", "maxMessages"}},
		{"ignoreTLS with credentials", func(c *config) { c.Host, c.IgnoreTLS = "smtp.example.com", true }, []string{"ignoreTLS"}},
		{"ignoreTLS on this machine", func(c *config) { c.IgnoreTLS = true }, nil},
		{"ignoreTLS without credentials", func(c *config) { c.Host, c.IgnoreTLS, c.Auth = "smtp.example.com", true, smtp.Auth{} }, nil},
		{"ignoreTLS and requireTLS", func(c *config) { c.IgnoreTLS, c.RequireTLS = true, true }, []string{"ignoreTLS"}},
		{"rejectUnauthorized: true", func(c *config) { c.TLS.RejectUnauthorized = new(true) }, nil},
		{"rejectUnauthorized: false", func(c *config) { c.TLS.RejectUnauthorized = new(false) }, []string{"tls.rejectUnauthorized"}},
		{"an old maxVersion", func(c *config) { c.TLS.MaxVersion = "TLSv1.1" }, []string{"tls.maxVersion"}},
		{"minVersion above maxVersion", func(c *config) { c.TLS.MinVersion, c.TLS.MaxVersion = "TLSv1.3", "TLSv1.2" }, []string{"tls.minVersion"}},
		{"caFile", func(c *config) { c.CAFile = sender.TextFile(string(ca.Root())) }, nil},
		{"caFile, no PEM", func(c *config) { c.CAFile = "string(ca.Root())" }, []string{"caFile"}},
		{"tls.ca", func(c *config) { c.TLS.CA = smtp.PEM{string(ca.Root()), string(ca.Root())} }, nil},
		{"tls.ca and caFile", func(c *config) { c.TLS.CA, c.CAFile = smtp.PEM{string(ca.Root())}, sender.TextFile(string(ca.Root())) }, []string{"caFile"}},
		{"tls.cert", func(c *config) { c.TLS.Cert, c.TLS.Key = smtp.PEM{string(cert)}, sender.NewSecret(string(key)) }, nil},
		{"tls.cert without key", func(c *config) { c.TLS.Cert = smtp.PEM{string(cert)} }, []string{"tls.key"}},
		{"tls.key without cert", func(c *config) { c.TLS.Key = sender.NewSecret(string(key)) }, []string{"tls.cert"}},
		{"tls.key of another", func(c *config) { c.TLS.Cert, c.TLS.Key = smtp.PEM{string(cert)}, rsaKey() }, []string{"tls.cert"}},

		{"headers", header("X-Entity-Ref-ID", "1", "zwei 二"), nil},
		{"Auto-Submitted", header("auto-submitted", "auto-replied"), nil},
		{"a header twice", func(c *config) {
			c.CustomHeaders = map[string]smtp.HeaderValues{"X-A": {"1"}, "x-a": {"2"}}
		}, []string{"customHeaders.x-a"}},
		{"Subject", header("Subject", "x"), []string{"customHeaders.Subject"}},
		{"bcc", header("bcc", "x"), []string{"customHeaders.bcc"}},
		{"Message-ID", header("Message-ID", "x"), []string{"customHeaders.Message-ID"}},
		{"Content-Type", header("Content-Type", "x"), []string{"customHeaders.Content-Type"}},
		{"Resent-To", header("Resent-To", "x"), []string{"customHeaders.Resent-To"}},
		{"a header without a name", header("", "x"), []string{"customHeaders"}},
		{"a name with a colon", header("X: y\r\nBcc", "x"), []string{"customHeaders"}},
		{"a name with a space", header("X Y", "x"), []string{"customHeaders"}},
		{"a name beyond ASCII", header("X-名", "x"), []string{"customHeaders"}},
		{"a long name", header(strings.Repeat("X", 65), "x"), []string{"customHeaders"}},
		{"a value with a line break", header("X-A", "fine", "x\r\nBcc: y@example.com"), []string{"customHeaders.X-A[1]"}},
		{"a value with a lone CR", header("X-A", "x\ry"), []string{"customHeaders.X-A[0]"}},
		{"a value with a NUL", header("X-A", "x\x00y"), []string{"customHeaders.X-A[0]"}},
		{"a value of one long word", header("X-A", strings.Repeat("x", 901)), []string{"customHeaders.X-A[0]"}},

		{"a header's domain that is none", header("Errors-To", "a@-ü.example"), []string{"customHeaders.Errors-To[0]"}},

		{"templates", func(c *config) { c.Templates = c.Templates[1:] }, []string{"templates"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good()
			c.change(config)
			problems := config.Validate()
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
				if p.Text == "" || strings.Contains(p.Text, pass) || strings.Contains(p.Text, "a-secret") {
					t.Errorf("%s: %q", p.Path, p.Text)
				}
			}
			if !slices.Equal(paths, c.want) {
				t.Errorf("got %v, want problems of %v", problems, c.want)
			}
			if len(problems) > 0 {
				return
			}
			connector(t, config)
			_ = config.Warnings()
		})
	}
}

func TestWarnings(t *testing.T) {
	for want, change := range map[string]func(*smtp.Config){
		"":               func(*smtp.Config) {},
		"secure":         func(c *smtp.Config) { c.Port, c.Secure = 465, new(false) },
		"ignoreTLS":      func(c *smtp.Config) { c.IgnoreTLS = true },
		"tls.minVersion": func(c *smtp.Config) { c.TLS.MinVersion = "TLSv1" },
		"fromEmail":      func(c *smtp.Config) { c.FromEmail = "a@localhost" },
		"templates[0].content": func(c *smtp.Config) {
			c.Templates[0].Content, c.Templates[0].Subject = "nothing", "nothing"
		},
	} {
		c := good()
		change(c)
		var got []string
		for _, p := range c.Warnings() {
			got = append(got, p.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %v, want %q", got, want)
		}
	}
}

func TestChannel(t *testing.T) {
	sendertest.Equal(t, "the channel", good().Channel(), messages.Email)
}

func TestSplitFrom(t *testing.T) {
	for from, want := range map[string][2]string{
		"a@example.com":                    {"", "a@example.com"},
		" <a@example.com> ":                {"", "a@example.com"},
		"A B <a@example.com>":              {"A B", "a@example.com"},
		`"A \"B\", C" <a@example.com>`:     {`A "B", C`, "a@example.com"},
		"{{user.name}} 渡 <a@example.com>":  {"{{user.name}} 渡", "a@example.com"},
		"A < B <a@example.com>":            {"A < B", "a@example.com"},
		"a@example.com> <b@example.com":    {"", "a@example.com> <b@example.com"},
		"A <a@example.com> <b@example.com": {"", "A <a@example.com> <b@example.com"},
	} {
		if name, addr := smtp.SplitFrom(from); name != want[0] || addr != want[1] {
			t.Errorf("%q: %q %q", from, name, addr)
		}
	}
}

func TestScalars(t *testing.T) {
	var v smtp.TLSVersion
	if err := v.UnmarshalText([]byte("TLSv1.3")); err != nil {
		t.Error(err)
	}
	sendertest.Equal(t, "the version", v, "TLSv1.3")
	if v.UnmarshalText([]byte("SSLv3")) == nil {
		t.Error("SSLv3 is read as a version")
	}
	var m smtp.Method
	if err := m.UnmarshalText([]byte("cram-md5")); err != nil {
		t.Error(err)
	}
	sendertest.Equal(t, "the method", m, "CRAM-MD5")
	var h smtp.HeaderValues
	if err := h.UnmarshalText([]byte("x")); err != nil {
		t.Error(err)
	}
	if !slices.Equal(h, smtp.HeaderValues{"x"}) {
		t.Errorf("the header's values are %q, want x alone", h)
	}
	var p smtp.PEM
	if err := p.UnmarshalText([]byte("x")); err != nil {
		t.Error(err)
	}
	if !slices.Equal(p, smtp.PEM{"x"}) {
		t.Errorf("the PEM is %q, want x alone", p)
	}
	var k smtp.PrivateKey
	if err := k.UnmarshalText([]byte("x")); err != nil {
		t.Error(err)
	}
	sendertest.Equal(t, "the key", k.Key.Reveal(), "x")
	if text := fmt.Sprintf("%+v %#v", k, k); strings.Contains(text, `"x"`) {
		t.Errorf("printing shows the key: %s", text)
	}
}

// TestServerName: an international name is ASCII in DNS and in certificates.
func TestServerName(t *testing.T) {
	const ascii = "smtp.xn--bcher-kva.example"
	for name, tt := range map[string]struct {
		change            func(*smtp.Config)
		host, certificate string
	}{
		"ASCII":           {func(c *smtp.Config) { c.Host = "smtp.example.com" }, "smtp.example.com", "smtp.example.com"},
		"international":   {func(c *smtp.Config) { c.Host = "smtp.bücher.example" }, ascii, ascii},
		"a servername":    {func(c *smtp.Config) { c.Host, c.ServerName = "127.0.0.1", "smtp.bücher.example" }, "127.0.0.1", ascii},
		"an IPv6 address": {func(c *smtp.Config) { c.Host = "2001:db8::1" }, "2001:db8::1", "2001:db8::1"},
	} {
		c := good()
		tt.change(c)
		s, err := c.New()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if host, certificate := smtp.Server(s); host != tt.host || certificate != tt.certificate {
			t.Errorf("%s: the connector dials %q and wants a certificate for %q, want %q and %q", name, host, certificate, tt.host, tt.certificate)
		}
	}
}
