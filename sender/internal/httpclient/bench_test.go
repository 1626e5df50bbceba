package httpclient

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// asServer makes the test binary serve the benchmarks in another process, so that they
// report the CPU time of the client alone.
const asServer = "CODEFERRY_TEST_AS_SERVER"

// serveBenchmarks serves over TCP and over TLS until its input ends: it prints both
// addresses, and the certificate.
func serveBenchmarks() {
	some := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer some.Close()
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: some.TLS.Certificates}
	var addresses []string
	for _, secure := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		addresses = append(addresses, l.Addr().String())
		if secure {
			l = tls.NewListener(l, config)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go answerAll(c)
			}
		}()
	}
	_, _ = fmt.Fprintln(os.Stdout, strings.Join(addresses, " "))
	_ = pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: some.Certificate().Raw})
	_ = os.Stdout.Close()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// answerAll answers every request, and closes if the request asks for it.
func answerAll(c net.Conn) {
	defer func() { _ = c.Close() }()
	body := `{"Message":"OK","RequestId":"F655A8D5-B967-440B-8683-DAD6FF8DE990","Code":"OK","BizId":"900619746936498440^0"}`
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for r := bufio.NewReader(c); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if req.Close {
			_, _ = io.WriteString(c, strings.Replace(answer, "\r\n", "\r\nConnection: close\r\n", 1))
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// benchServer starts the server in its own process.
func benchServer(b testing.TB) (plain, secure string, config *tls.Config) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	said, err := io.ReadAll(stdout)
	if err != nil {
		b.Fatal(err)
	}
	addresses, certificate, _ := strings.Cut(string(said), "\n")
	plain, secure, _ = strings.Cut(addresses, " ")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(certificate)) {
		b.Fatalf("the server has no certificate: %q", said)
	}
	return "http://" + plain, "https://" + secure, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// processorTime returns the CPU time that this process has used.
func processorTime(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// exchanges makes b.N exchanges, slots at a time, and reports their CPU time.
func exchanges(b *testing.B, c *Client, r *Request, slots int) {
	ask := func() {
		if answer, err := c.Do(b.Context(), r); err != nil || answer.Status != 200 || answer.Broken != nil {
			b.Errorf("%+v, %v", answer, err)
		}
	}
	both := func(n int) {
		var left atomic.Int64
		left.Store(int64(n))
		var all sync.WaitGroup
		for range slots {
			all.Go(func() {
				for left.Add(-1) >= 0 && !b.Failed() {
					ask()
				}
			})
		}
		all.Wait()
	}
	both(4 * slots) // the connections are open now
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	both(b.N)
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func benchRequest(b testing.TB, endpoint string) *Request {
	r := post(b, endpoint+"?AccessKeyId=testid&Action=SendSms&Signature=x", strings.Repeat("x", 500))
	r.Header.Set("User-Agent", "codeferry")
	return r
}

// noProxy is a Proxy that chooses none.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.Transport has it

// TestAllocations limits the allocations of an exchange over a kept connection. The server is
// another process.
func TestAllocations(t *testing.T) {
	plain, secure, config := benchServer(t)
	for _, c := range []struct {
		name, endpoint string
		allocs         float64
	}{{"an exchange over TCP", plain, 24}, {"an exchange over TLS", secure, 28}} {
		client, r := New(Options{TLS: config, Proxy: noProxy}), benchRequest(t, c.endpoint)
		check.Allocs(t, c.name, c.allocs, func() {
			if answer, err := client.Do(t.Context(), r); err != nil || answer.Status != http.StatusOK {
				t.Fatalf("%+v, %v", answer, err)
			}
		})
	}
}

// BenchmarkDo: an exchange over kept connections, on either path.
func BenchmarkDo(b *testing.B) {
	plain, secure, config := benchServer(b)
	for _, way := range []struct{ name, endpoint string }{{"tcp", plain}, {"tls", secure}} {
		for _, slots := range []int{1, 64} {
			for _, path := range []string{"own", "nethttp"} {
				b.Run(fmt.Sprintf("%s/slots=%d/%s", way.name, slots, path), func(b *testing.B) {
					c := New(Options{NetHTTP: path == "nethttp", TLS: config, Proxy: noProxy})
					exchanges(b, c, benchRequest(b, way.endpoint), slots)
				})
			}
		}
	}
}

// forgetful is a session cache that keeps nothing.
type forgetful struct{}

func (forgetful) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (forgetful) Put(string, *tls.ClientSessionState)        {}

// BenchmarkNewConnection: an exchange with a connection of its own, over TLS.
func BenchmarkNewConnection(b *testing.B) {
	_, secure, config := benchServer(b)
	for _, session := range []string{"resumed", "full"} {
		b.Run(session, func(b *testing.B) {
			config := config.Clone()
			if session == "full" {
				config.ClientSessionCache = forgetful{}
			}
			c := direct(Options{TLS: config})
			r := benchRequest(b, secure)
			r.Header.Set("Connection", "close")
			exchanges(b, c, r, 1)
		})
	}
}
