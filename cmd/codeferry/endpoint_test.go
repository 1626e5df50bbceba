package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// sendgridConfig is a configuration that sends by SendGrid at an endpoint.
func sendgridConfig(t *testing.T, endpoint, more string) string {
	t.Helper()
	text := fmt.Sprintf("dataDir: %s\napps: {default: {email: [mail]}}\nconnectors:\n  mail: {type: sendgrid, endpoint: %q, apiKey: SG.x, fromEmail: no-reply@example.com, %stemplates: [", t.TempDir(), endpoint, more)
	for _, usage := range []string{"Register", "SignIn", "ForgotPassword", "Generic"} {
		text += fmt.Sprintf("{usageType: %s, subject: s, content: \"{{code}}\"}, ", usage)
	}
	return write(t, "sendgrid.yaml", text+"]}\n")
}

// rawEndpoint is a server that answers without net/http. After each request it calls talk with
// the number of the connection, from 0, until talk returns false.
func rawEndpoint(t *testing.T, talk func(n int, w io.Writer) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talks sync.WaitGroup
	talks.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talks.Go(func() {
				defer func() { _ = c.Close() }()
				for r := bufio.NewReader(c); ; {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil || !talk(n, c) {
						_, _ = io.Copy(io.Discard, r) // until the client goes away
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		talks.Wait()
	})
	return "http://" + l.Addr().String()
}

// TestCheckReportsABadEndpoint with codeferry's own connections and with net/http.
func TestCheckReportsABadEndpoint(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(int, io.Writer) bool {
		return func(_ int, w io.Writer) bool {
			_, _ = io.WriteString(w, text)
			return false
		}
	}
	for name, c := range map[string]struct {
		talk func(int, io.Writer) bool
		want []string
	}{
		"a header that stalls": {answer("HTTP/1.1 200 OK\r\nConte"), []string{"unknown: read-timeout", "no answer came in time"}},
		"a body that stalls":   {answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"), []string{"unknown: read-timeout", "no answer came in time"}},
		"a header without end": {answer("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20)), []string{"unknown: read-error", "the answer is too long"}},
		"HTTP/2":               {answer("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\r\n"), []string{"misconfigured: connect-error", "HTTP/2", "Set the connector's endpoint"}},
		"TLS":                  {answer("\x15\x03\x01\x00\x02\x02\x46\r\n"), []string{"misconfigured: connect-error", "https://"}},
	} {
		for _, path := range []string{"", "netHTTP: true, "} {
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				r := call(t, "check", "-c", sendgridConfig(t, rawEndpoint(t, c.talk), "timeout: 500ms, "+path)).want(t, exitFailed)
				for _, want := range c.want {
					if !strings.Contains(r.out+r.err, want) {
						t.Errorf("the output lacks %q:\n%s%s", want, r.out, r.err)
					}
				}
			})
		}
	}
}

// TestUnaskedAnswersAreNotShown: net/http writes them to Go's standard logger.
func TestUnaskedAnswersAreNotShown(t *testing.T) {
	t.Parallel()
	const secret = "ann.other@example.com"
	scopes := `{"scopes":["mail.send"]}`
	noticed := false
	for try := 0; !noticed && try < 10; try++ { // net/http can take it as the next answer
		noticed = checkUnsolicited(t, scopes, secret)
	}
	if !noticed {
		t.Error("there was no second connection, so net/http noticed no unsolicited answer")
	}
}

// checkUnsolicited reports whether net/http has noticed an unsolicited answer.
func checkUnsolicited(t *testing.T, scopes, secret string) (noticed bool) {
	t.Helper()
	var conns atomic.Int32
	endpoint := rawEndpoint(t, func(n int, w io.Writer) bool {
		conns.Store(int32(n) + 1)
		if n == 0 {
			_, _ = fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 400 %s\r\n\r\n", len(scopes), scopes, secret)
			return true
		}
		_, _ = io.WriteString(w, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	r := call(t, "check", "-c", sendgridConfig(t, endpoint, "netHTTP: true, "), "--send-to", "a@example.com")
	if strings.Contains(r.out+r.err, secret) || strings.Contains(r.out+r.err, "Unsolicited") {
		t.Errorf("the output shows the unsolicited answer:\n%s%s", r.out, r.err)
	}
	return conns.Load() == 2
}
