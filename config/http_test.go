package config_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/config"
)

const strong = "0123456789abcdef0123456789abcdef"

func TestHTTPAndEncryptionAreRead(t *testing.T) {
	c := mustParse(t, minimal+`encryptionKey: ${file:store.key}
listen: 0.0.0.0:8443
http:
  token: "`+strong+`"
  tls: {certFile: tls/cert.pem, keyFile: /run/key.pem, clientCAFile: "${TTL}.pem"}
`, map[string]string{"/etc/codeferry/store.key": strong + "\n"})
	want := config.TLS{CertFile: "/etc/codeferry/tls/cert.pem", KeyFile: "/run/key.pem", ClientCAFile: "/etc/codeferry/3m.pem"}
	check.Equal(t, "http.tls", c.HTTP.TLS, want)
	check.Equal(t, "http.token", c.HTTP.Token.Reveal(), strong)
	check.Equal(t, "encryptionKey", c.EncryptionKey.Reveal(), strong)
}

func TestHTTPAndEncryptionMistakes(t *testing.T) {
	const short = "is too short; it takes 32 characters or more, such as openssl rand -hex 32 prints"
	for _, tt := range []struct{ text, want string }{
		{"encryptionKey: " + strong, ""},
		{"encryptionKey: short", "15:16: encryptionKey " + short},
		{"encryptionKey: ${EMPTY}", "15:16: encryptionKey " + short},
		{"encryptionKey: ''", "15:16: encryptionKey " + short},
		{"encryptionKey:", "15:1: encryptionKey " + short},
		{"encryptionKey: 7", "15:16: encryptionKey is not text; put it in quotes"},
		{"encryptionKey: ${GONE}", "15:16: encryptionKey needs the environment variable GONE, which is not set"},
		{"encryptionKey: " + strong + "\nnats: {url: nats://a}", "15:16: encryptionKey encrypts only the embedded server's data, but nats.url names another server; encrypt the data in that server's configuration, and leave this out"},
		{"http: {token: " + strong + "}", ""},
		{"http:", ""},
		{"http: {}", ""},
		{"http: {token: '${EMPTY}'}", "15:15: http.token " + short},
		{"http: {token: " + strong[1:] + "}", "15:15: http.token " + short},
		{"http: {token: " + strong + " x}", "15:15: http.token has characters that an HTTP header can't hold; it takes letters, digits and signs, without spaces"},
		{"http: {token: é" + strong + "}", "15:15: http.token has characters that an HTTP header can't hold; it takes letters, digits and signs, without spaces"},
		{"http: {tls: {certFile: a, keyFile: b}}", ""},
		{"http: {tls: {certFile: a, keyFile: b, clientCAFile: c}}", ""},
		{"http: {tls: {}}", "15:13: http.tls needs certFile and keyFile"},
		{"http: {tls: {certFile: a}}", "15:13: http.tls.keyFile is required if tls is given"},
		{"http: {tls: {keyFile: a}}", "15:13: http.tls.certFile is required if tls is given"},
		{"http: {tls: {clientCAFile: a}}", "15:13: http.tls.certFile is required if tls is given\n15:13: http.tls.keyFile is required if tls is given"},
		{"http: {tls: {certFile: 7, keyFile: b}}", "15:24: http.tls.certFile is not text; put it in quotes"},
	} {
		if tt.want == "" {
			mustParse(t, minimal+tt.text+"\n", nil)
			continue
		}
		want := strings.Split(tt.want, "\n")
		for i := range want {
			want[i] = "codeferry.yaml:" + want[i]
		}
		wantProblems(t, minimal+tt.text+"\n", nil, want...)
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.8.9.1:0": true, "[::1]:8080": true, "localhost:8080": true, "LocalHost:8080": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:8080": false, "10.0.0.1:8080": false, "example.com:8080": false, "localhost.example.com:1": false,
		"127.0.0.1.example.com:1": false, "127.0.0.1": false, "": false, "[::1%lo]:80": false,
	} {
		if got := config.Loopback(addr); got != want {
			t.Errorf("Loopback(%q) = %v, want %v", addr, got, want)
		}
	}
}

func TestWarningOfAnOpenEmbeddedServer(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "nats: {listen: '127.0.0.1:0'}": 0, "nats: {listen: '0.0.0.0:4222'}": 1, "nats: {listen: ':4222', url: nats://a}": 0,
	} {
		c := mustParse(t, minimal+text+"\n", nil)
		if len(c.Warnings) != want {
			t.Errorf("%s: the warnings are %v, want %d", text, c.Warnings, want)
			continue
		}
		const warning = "nats.listen is an address that other machines can reach"
		if want > 0 && !strings.Contains(c.Warnings[0].Error(), warning) {
			t.Errorf("%s: the warning is %v, want %q", text, c.Warnings[0], warning)
		}
	}
}
