package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/sender"
)

func TestMain(m *testing.M) {
	testmain.Wide(2)
	testmain.NoLeaks(m)
}

const (
	token = "0123456789abcdef0123456789abcdef"
	day   = 24 * time.Hour
)

// put replaces a file.
func put(t *testing.T, path config.Path, text []byte) {
	t.Helper()
	testca.Replace(t, string(path), text)
}

// files writes a server's files.
func files(t *testing.T, a *testca.CA, until time.Time, clients *testca.CA) config.TLS {
	t.Helper()
	dir := t.TempDir()
	files := config.TLS{CertFile: config.Path(filepath.Join(dir, "cert.pem")), KeyFile: config.Path(filepath.Join(dir, "key.pem"))}
	cert, key := a.PairUntil(until, "127.0.0.1")
	put(t, files.CertFile, cert)
	put(t, files.KeyFile, key)
	if clients != nil {
		files.ClientCAFile = config.Path(filepath.Join(dir, "clients.pem"))
		put(t, files.ClientCAFile, clients.Root())
	}
	return files
}

func withHTTP(listen string, h config.HTTP) *config.Config {
	c := config.Default()
	c.Listen, c.HTTP = listen, h
	return c
}

// serve serves until the test ends, and returns the address.
func serve(t *testing.T, h config.HTTP, log io.Writer) string {
	t.Helper()
	w, err := newWeb(withHTTP("127.0.0.1:0", h), prometheus.NewRegistry(), zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	w.start(l)
	t.Cleanup(w.stop)
	return l.Addr().String()
}

// client trusts an authority, and shows a certificate if it has one.
func client(t *testing.T, trusts *testca.CA, cert, key []byte) *http.Client {
	t.Helper()
	c := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if trusts != nil {
		c.RootCAs = trusts.Pool()
	}
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		// It is shown even if the server asks for another one.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type reply struct {
	status    int
	text      string
	challenge string
	tls       *tls.ConnectionState
}

func ask(t *testing.T, c *http.Client, method, url string, body io.Reader, auth ...string) (reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Authorization"] = auth
	resp, err := c.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, string(text), resp.Header.Get("WWW-Authenticate"), resp.TLS}, err
}

func TestToken(t *testing.T) {
	t.Parallel()
	const (
		bare  = `Bearer realm="codeferry"`
		wrong = `Bearer realm="codeferry", error="invalid_token"`
	)
	var log syncbuf.Buffer
	base := "http://" + serve(t, config.HTTP{Token: sender.NewSecret(token)}, &log)
	c := client(t, nil, nil, nil)
	for _, tt := range []struct {
		method, path string
		auth         []string
		status       int
		challenge    string
	}{
		{"GET", "/livez", nil, 200, ""},
		{"GET", "/readyz", nil, 503, ""},
		{"HEAD", "/livez", nil, 200, ""},
		{"GET", "/metrics", []string{"Bearer " + token}, 200, ""},
		{"GET", "/metrics", []string{"bearer  " + token}, 200, ""},
		{"GET", "/metrics", nil, 401, bare},
		{"GET", "/metrics", []string{""}, 401, bare},
		{"GET", "/metrics", []string{"Bearer"}, 401, bare},
		{"GET", "/metrics", []string{token}, 401, bare},
		{"GET", "/metrics", []string{"Basic " + token}, 401, bare},
		{"GET", "/metrics", []string{"Bearer "}, 401, bare},
		{"GET", "/metrics", []string{"Bearer " + token[1:]}, 401, wrong},
		{"GET", "/metrics", []string{"Bearer " + token + "0"}, 401, wrong},
		{"GET", "/metrics", []string{"Bearer " + strings.ToUpper(token)}, 401, wrong},
		{"GET", "/metrics", []string{"Bearer " + token, "Bearer " + token}, 401, bare},
		{"GET", "/metrics?token=" + token, nil, 401, bare},
		{"POST", "/metrics", nil, 401, bare},
		{"POST", "/livez", nil, 401, bare},
		{"GET", "/", nil, 401, bare},
		{"GET", "/debug/pprof/", nil, 401, bare},
		{"GET", "/livez/x", nil, 401, bare},
		{"GET", "/nothing", []string{"Bearer " + token}, 404, ""},
		{"POST", "/metrics", []string{"Bearer " + token}, 405, ""},
	} {
		got, err := ask(t, c, tt.method, base+tt.path, nil, tt.auth...)
		if err != nil || got.status != tt.status || got.challenge != tt.challenge {
			t.Errorf("%s %s %q: %v, %d, %q", tt.method, tt.path, tt.auth, err, got.status, got.challenge)
		}
		if strings.Contains(got.text, "go_goroutines") != (tt.status == 200 && tt.path == "/metrics") || strings.Contains(got.text, token) {
			t.Errorf("%s %s %q shows %.200s", tt.method, tt.path, tt.auth, got.text)
		}
	}
	if strings.Contains(log.String(), token[1:]) {
		t.Errorf("the log holds the token: %s", log.String())
	}
}

// TestPathsDontPassTheGuard: no spelling of a path gets past the guard.
func TestPathsDontPassTheGuard(t *testing.T) {
	t.Parallel()
	addr := serve(t, config.HTTP{Token: sender.NewSecret(token)}, io.Discard)
	for _, target := range []string{"/livez/../metrics", "//metrics", "/./metrics", "/metrics/", "/%6detrics", "/livez%2f..%2fmetrics", "/readyz;/metrics", "http://x/metrics", "*"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target); err != nil {
			t.Errorf("%s: ask for it: %v", target, err)
		}
		text, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 ") || strings.Contains(string(text), "go_goroutines") {
			t.Errorf("%s: %v, %.100s", target, err, text)
		}
		_ = conn.Close()
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	base := "http://" + serve(t, config.HTTP{}, io.Discard)
	c := client(t, nil, nil, nil)
	for size, want := range map[int]int{maxBody: 405, maxBody + 1: 413} {
		if got, err := ask(t, c, "POST", base+"/metrics", bytes.NewReader(make([]byte, size))); err != nil || got.status != want {
			t.Errorf("a body of %d bytes: %v, %d", size, err, got.status)
		}
	}
	if got, err := ask(t, c, "GET", base+"/livez", nil, strings.Repeat("x", 2*maxHeader)); err != nil || got.status != 431 {
		t.Errorf("a large header: %v, %d", err, got.status)
	}
	read := make(chan error, 1)
	handler := small(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		read <- err
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.MultiReader(bytes.NewReader(make([]byte, maxBody+1)))) // of no known length
	if err != nil {
		t.Fatal(err)
	}
	handler.ServeHTTP(nopWriter{}, r)
	if err := <-read; err == nil {
		t.Error("a body without a length is read to its end")
	}
}

type nopWriter struct{}

func (nopWriter) Header() http.Header         { return http.Header{} }
func (nopWriter) Write(b []byte) (int, error) { return len(b), nil }
func (nopWriter) WriteHeader(int)             {}

func TestTLSAndClientCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := testca.NewUntil(t, time.Now().Add(100*day)), testca.NewUntil(t, time.Now().Add(100*day))
	good := func(a *testca.CA) *http.Client {
		cert, key := a.PairUntil(time.Now().Add(day), "127.0.0.1")
		return client(t, ours, cert, key)
	}
	oldCert, oldKey := ours.PairUntil(time.Now().Add(-day), "127.0.0.1")
	bearer := "Bearer " + token
	for _, tt := range []struct {
		name    string
		clients *testca.CA
		token   bool
		client  *http.Client
		auth    []string
		path    string
		status  int // 0 for no answer
	}{
		{name: "TLS alone", client: client(t, ours, nil, nil), path: "/metrics", status: 200},
		{name: "a client that does not trust the server", client: client(t, theirs, nil, nil), path: "/livez"},
		{name: "TLS and token", token: true, client: client(t, ours, nil, nil), auth: []string{bearer}, path: "/metrics", status: 200},
		{name: "TLS, and no token", token: true, client: client(t, ours, nil, nil), path: "/metrics", status: 401},
		{name: "a certificate", clients: ours, client: good(ours), path: "/metrics", status: 200},
		{name: "no certificate", clients: ours, client: client(t, ours, nil, nil), path: "/metrics", status: 403},
		{name: "no certificate, and health", clients: ours, client: client(t, ours, nil, nil), path: "/livez", status: 200},
		{name: "another root's", clients: ours, client: good(theirs), path: "/metrics"},
		{name: "an expired one", clients: ours, client: client(t, ours, oldCert, oldKey), path: "/metrics"},
		{name: "both", clients: ours, token: true, client: good(ours), auth: []string{bearer}, path: "/metrics", status: 200},
		{name: "both are asked for, and a certificate given", clients: ours, token: true, client: good(ours), path: "/metrics", status: 401},
		{name: "both are asked for, and a token given", clients: ours, token: true, client: client(t, ours, nil, nil), auth: []string{bearer}, path: "/metrics", status: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := config.HTTP{TLS: files(t, ours, time.Now().Add(50*day), tt.clients)}
			if tt.token {
				h.Token = sender.NewSecret(token)
			}
			addr := serve(t, h, io.Discard)
			got, err := ask(t, tt.client, "GET", "https://"+addr+tt.path, nil, tt.auth...)
			if answered := err == nil; answered != (tt.status != 0) {
				t.Errorf("answered is %v, error %v; want status %d", answered, err, tt.status)
			}
			if got.status != tt.status {
				t.Errorf("the status is %d (%s), want %d", got.status, got.text, tt.status)
			}
			if plain, err := ask(t, tt.client, "GET", "http://"+addr+tt.path, nil); err == nil && plain.status != 400 {
				t.Errorf("plain HTTP is answered: %d", plain.status)
			}
		})
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	a := testca.NewUntil(t, time.Now().Add(100*day))
	addr := serve(t, config.HTTP{TLS: files(t, a, time.Now().Add(50*day), nil)}, io.Discard)
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: version}}
		conn, err := d.DialContext(t.Context(), "tcp", addr)
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

// TestCertificatesAreReadAgain: a renewed certificate and another root of clients take effect
// without a restart; files that do not belong together, or are missing, change nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	a, b := testca.NewUntil(t, time.Now().Add(100*day)), testca.NewUntil(t, time.Now().Add(100*day))
	files := files(t, a, time.Now().Add(50*day), a)
	var log syncbuf.Buffer
	base := "https://" + serve(t, config.HTTP{TLS: files}, &log)
	with := func(issuer *testca.CA) *http.Client {
		cert, key := issuer.PairUntil(time.Now().Add(day), "127.0.0.1")
		return client(t, a, cert, key) // a new one each time, because it would resume its session
	}
	ofA, ofB := with(a), with(b)
	serial := func() int64 {
		t.Helper()
		got, err := ask(t, client(t, a, nil, nil), "GET", base+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.tls.PeerCertificates[0].SerialNumber.Int64()
	}
	letsIn := func(c *http.Client) bool {
		got, err := ask(t, c, "GET", base+"/metrics", nil)
		if err == nil && got.tls.DidResume {
			t.Error("a session was resumed")
		}
		return err == nil && got.status == 200
	}
	first := serial()
	cert, key := a.PairUntil(time.Now().Add(60*day), "127.0.0.1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	renewed := pair.Leaf.SerialNumber.Int64()
	put(t, files.CertFile, cert)
	for range 3 {
		if n := serial(); n != first {
			t.Errorf("with a new certificate and the old key: %d", n)
		}
	}
	if n := strings.Count(log.String(), "can't be used"); n != 1 {
		t.Errorf("it is logged %d times: %s", n, log.String())
	}
	put(t, files.KeyFile, key)
	if n := serial(); n != renewed {
		t.Errorf("with the new key: %d, not %d", n, renewed)
	}
	if err := os.Remove(string(files.CertFile)); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != renewed {
		t.Errorf("without the file: %d", n)
	}
	put(t, files.CertFile, cert)

	if !letsIn(ofA) || letsIn(ofB) {
		t.Error("the first root has no effect")
	}
	put(t, files.ClientCAFile, b.Root())
	if letsIn(ofA) || !letsIn(ofB) {
		t.Error("the second root has no effect")
	}
	put(t, files.ClientCAFile, []byte("nothing"))
	if letsIn(ofA) || !letsIn(ofB) {
		t.Error("a file without roots changes who is let in")
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Errorf("the log holds the key: %s", log.String())
	}
}

func TestCheckHTTP(t *testing.T) {
	t.Parallel()
	a := testca.NewUntil(t, time.Now().Add(100*day))
	old := testca.NewUntil(t, time.Now().Add(-day))
	gone := config.Path(filepath.Join(t.TempDir(), "gone.pem"))
	good := files(t, a, time.Now().Add(50*day), a)
	bad := config.Path(filepath.Join(t.TempDir(), "bad.pem"))
	put(t, bad, []byte("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"))
	const all = "0.0.0.0:8080"
	for _, tt := range []struct {
		name    string
		listen  string
		http    config.HTTP
		err     string
		warning string
	}{
		{name: "this machine's alone", listen: "127.0.0.1:8080"},
		{name: "everyone's", listen: all, err: "listen is 0.0.0.0:8080, which other machines can reach"},
		{name: "everyone's, without a host", listen: ":8080", err: "listen is :8080"},
		{name: "TLS keeps nobody out", listen: all, http: config.HTTP{TLS: files(t, a, time.Now().Add(50*day), nil)}, err: "set http.token or http.tls.clientCAFile"},
		{name: "a token in the clear", listen: all, http: config.HTTP{Token: sender.NewSecret(token)}, warning: "http.token goes over the network in the clear"},
		{name: "a token on this machine", listen: "localhost:8080", http: config.HTTP{Token: sender.NewSecret(token)}},
		{name: "all is well", listen: all, http: config.HTTP{Token: sender.NewSecret(token), TLS: good}},
		{name: "certificates alone", listen: all, http: config.HTTP{TLS: good}},
		{name: "an expired certificate", listen: all, http: config.HTTP{TLS: files(t, a, time.Now().Add(-day), a)}, warning: "cert.pem has expired on " + time.Now().Add(-day).UTC().Format(time.DateOnly)},
		{name: "one that soon expires", listen: all, http: config.HTTP{TLS: files(t, a, time.Now().Add(5*day), a)}, warning: "cert.pem expires on"},
		{name: "an expired root", listen: all, http: config.HTTP{TLS: files(t, a, time.Now().Add(50*day), old)}, warning: "(CN=test root) has expired on"},
		{name: "no file", listen: all, http: config.HTTP{TLS: config.TLS{CertFile: gone, KeyFile: good.KeyFile, ClientCAFile: good.ClientCAFile}}, err: "gone.pem: no such file"},
		{name: "another's key", listen: all, http: config.HTTP{TLS: config.TLS{CertFile: good.CertFile, KeyFile: files(t, a, time.Now(), nil).KeyFile, ClientCAFile: good.ClientCAFile}}, err: "private key does not match"},
		{name: "no certificate", listen: all, http: config.HTTP{TLS: config.TLS{CertFile: bad, KeyFile: good.KeyFile, ClientCAFile: good.ClientCAFile}}, err: "bad.pem and"},
		{name: "no roots", listen: all, http: config.HTTP{TLS: config.TLS{CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: good.KeyFile}}, err: "key.pem holds no certificate"},
		{name: "a broken root", listen: all, http: config.HTTP{TLS: config.TLS{CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: bad}}, err: "bad.pem: x509"},
		{name: "no file of roots", listen: all, http: config.HTTP{TLS: config.TLS{CertFile: good.CertFile, KeyFile: good.KeyFile, ClientCAFile: gone}}, err: "gone.pem: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := withHTTP(tt.listen, tt.http)
			warnings, err := CheckHTTP(c, time.Now())
			if (err == nil) != (tt.err == "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error %v", err)
			}
			if text := strings.Join(warnings, "\n"); (text == "") != (tt.warning == "") || !strings.Contains(text, tt.warning) {
				t.Errorf("warnings %q", text)
			}
			if tt.err == "" {
				return
			}
			c.DataDir, c.NATS.Listen = t.TempDir(), "127.0.0.1:0"
			if started := Run(stopped(t), Options{Config: c, Log: zerolog.Nop()}); started == nil || started.Error() != err.Error() {
				t.Errorf("Run: %v", started)
			}
		})
	}
}

func stopped(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
