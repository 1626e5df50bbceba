package sendertest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// Caller makes the call under test: one request to an endpoint. What it returns
// may be called again.
type Caller func(endpoint string, timeout time.Duration) (call func(context.Context) error)

// fault is a way for a call to fail.
type fault struct {
	serve func(testing.TB) *Server
	class sender.Class
	// requests is how many have come once the call is over: never a second one.
	requests int
	// ends by the client's time-out.
	slow bool
	// a first call is a success, and leaves its connection behind.
	warm bool
}

// Faults makes the call against everything that can go wrong with Aliyun, and
// checks the error's class, that there was one request at most, and that no error
// holds anything of what is private.
func Faults(t *testing.T, caller Caller, private ...string) {
	TransportFaults(t, caller, private...)
	run(t, answerFaults, caller, private)
}

// TransportFaults is Faults for any provider's call over HTTP: against all that can
// go wrong on the way there and back.
func TransportFaults(t *testing.T, caller Caller, private ...string) {
	run(t, transportFaults, caller, private)
}

func run(t *testing.T, faults map[string]fault, caller Caller, private []string) {
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := faults[name]
			srv := f.serve(t)
			timeout := time.Minute
			if f.slow {
				timeout = 500 * time.Millisecond
			}
			call := caller(srv.Endpoint, timeout)
			if f.warm {
				if err := call(t.Context()); err != nil {
					t.Fatalf("the first call: %v", err)
				}
			}
			began := time.Now()
			err := call(t.Context())
			if took := time.Since(began); f.slow && took > 10*timeout {
				t.Errorf("it took %s, with a time-out of %s", took, timeout)
			}
			Want(t, err, f.class)
			Hides(t, err, slices.Concat(private, []string{"Signature=", "AccessKeyId="})...) // and nothing of the URL
			if n := len(srv.Requests()); n != f.requests {
				t.Errorf("%d requests came, want %d", n, f.requests)
			}
		})
	}
}

var transportFaults = map[string]fault{
	// The way there: nothing was written.
	"refused": {class: sender.Unavailable, serve: func(t testing.TB) *Server {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		return &Server{Endpoint: "http://" + l.Addr().String()}
	}},
	"no such host":            {class: sender.Unavailable, serve: func(testing.TB) *Server { return &Server{Endpoint: "dm.invalid"} }},
	"a certificate of nobody": {class: sender.Unavailable, serve: ServeTLS},
	"a bare host means TLS": {class: sender.Unavailable, serve: func(t testing.TB) *Server {
		s := Serve(t, Answer(http.StatusOK, OK))
		s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
		return s
	}},
	"cut in the handshake": {class: sender.Unavailable, serve: overTLS(func(c *Conn) {
		c.AwaitByte()
		c.Reset()
	})},
	"a handshake without end": {class: sender.Unavailable, slow: true, serve: overTLS((*Conn).Wait)},

	// The way back: something was written.
	"cut before it is read": {class: sender.Unknown, serve: raw(func(c *Conn) { c.AwaitByte() })},
	"reset before it is read": {class: sender.Unknown, serve: raw(func(c *Conn) {
		c.AwaitByte()
		c.Reset()
	})},
	"cut after it is read": {class: sender.Unknown, requests: 1, serve: raw(func(c *Conn) { c.ReadRequest() })},
	"reset after it is read": {class: sender.Unknown, requests: 1, serve: raw(func(c *Conn) {
		c.ReadRequest()
		c.Reset()
	})},
	"no answer": {class: sender.Unknown, requests: 1, slow: true, serve: raw(func(c *Conn) {
		c.ReadRequest()
		c.Wait()
	})},
	"a header and no body": {class: sender.Unknown, requests: 1, slow: true, serve: raw(func(c *Conn) {
		c.ReadRequest()
		c.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
		c.Wait()
	})},
	"half a status line":   answers("HTTP/1.1 20"),
	"half a header":        answers("HTTP/1.1 200 OK\r\nContent-"),
	"half a body":          answers("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + OK),
	"half an error's body": answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n" + `{"Code":"InvalidBody"}`),
	"no HTTP":              answers("220 smtp.example.com ESMTP\r\n"),
	"the request itself": {class: sender.Unknown, requests: 1, serve: raw(func(c *Conn) {
		c.ReadRequest()
		r := c.server.last()
		c.Say("HTTP/1.1 " + r.URL.String() + string(r.Raw) + "\r\n\r\n")
	})},
	"the request as a header": {class: sender.Unknown, requests: 1, serve: raw(func(c *Conn) {
		c.ReadRequest()
		r := c.server.last()
		c.Say("HTTP/1.1 200 OK\r\n" + r.URL.String() + string(r.Raw) + "\r\n\r\n")
	})},
	"a kept connection is cut": {class: sender.Unknown, requests: 2, warm: true, serve: raw(func(c *Conn) {
		c.oneAnswer()
		c.ReadRequest()
	})},
	"a kept connection is reset": {class: sender.Unknown, requests: 2, warm: true, serve: raw(func(c *Conn) {
		c.oneAnswer()
		c.ReadRequest()
		c.Reset()
	})},
}

var answerFaults = map[string]fault{
	// Answers that say nothing, or nothing that can be relied on.
	"200, empty":           status(200, "", sender.Unknown),
	"200, HTML":            status(200, "<html><body>welcome</body></html>", sender.Unknown),
	"200, half a JSON":     status(200, OK[:len(OK)-2], sender.Unknown),
	"200, JSON and more":   status(200, OK+"<!-- -->", sender.Unknown),
	"200, null":            status(200, "null", sender.Unknown),
	"200, a list":          status(200, "[]", sender.Unknown),
	"200, a string":        status(200, `"OK"`, sender.Unknown),
	"200, no code":         status(200, `{"RequestId":"R-1"}`, sender.Unknown),
	"200, a code of null":  status(200, `{"Code":null,"RequestId":"R-1"}`, sender.Unknown),
	"200, a numeric code":  status(200, `{"Code":500}`, sender.Unknown),
	"200, a code of {}":    status(200, `{"Code":{"OK":"OK"}}`, sender.Unknown),
	"204":                  status(204, "", sender.Unknown),
	"302":                  redirect(http.StatusFound),
	"302, a success":       status(302, OK, sender.Unknown),
	"307":                  redirect(http.StatusTemporaryRedirect),
	"308":                  redirect(http.StatusPermanentRedirect),
	"400, HTML":            status(400, "<html></html>", sender.Unknown),
	"400, a numeric code":  status(400, `{"Code":400,"Message":"no"}`, sender.Unknown),
	"400, a code of {}":    status(400, `{"Code":{},"Message":[]}`, sender.Unknown),
	"404, empty":           status(404, "", sender.Unknown),
	"500, an empty code":   status(500, `{"Code":"","Message":"no"}`, sender.Unknown),
	"500, a numeric code":  status(500, `{"Code":500,"Message":"no"}`, sender.Unknown),
	"502, HTML":            status(502, "<html>bad gateway</html>", sender.Unknown),
	"503, empty":           status(503, "", sender.Unknown),
	"503, null":            status(503, "null", sender.Unknown),
	"500, an unknown code": status(500, `{"Code":"SomethingNew"}`, sender.Unknown),
	"400, an unknown code": status(400, `{"Code":"SomethingNew"}`, sender.Permanent),

	// Answers that repeat the request.
	"the string to sign": repeats("SignatureDoesNotMatch", sender.AccountDown, func(form url.Values) string {
		return "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&" + url.QueryEscape(form.Encode())
	}),
	"the StringToSign": repeats("IncompleteSignature", sender.AccountDown, func(form url.Values) string {
		return "The signature is incomplete.\nserver StringToSign is [POST&%2F&" + url.QueryEscape(form.Encode()) + "]"
	}),
	"the values": repeats("InvalidParameter", sender.Permanent, func(form url.Values) string { return fmt.Sprint("unfit: ", form) }),
	"the values in lower case": repeats("InvalidParameter", sender.Permanent, func(form url.Values) string {
		return strings.ToLower(fmt.Sprint("unfit: ", form))
	}),
	"the form":                repeats("InvalidParameter", sender.Permanent, url.Values.Encode),
	"the form, with %20":      repeats("InvalidParameter", sender.Permanent, func(form url.Values) string { return strings.ReplaceAll(form.Encode(), "+", "%20") }),
	"the form, encoded twice": repeats("InvalidParameter", sender.Permanent, func(form url.Values) string { return url.QueryEscape(form.Encode()) }),
}

func raw(talk func(*Conn)) func(testing.TB) *Server {
	return func(t testing.TB) *Server { return Raw(t, talk) }
}

func overTLS(talk func(*Conn)) func(testing.TB) *Server {
	return func(t testing.TB) *Server {
		s := Raw(t, talk)
		s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
		return s
	}
}

// oneAnswer answers what every provider's client takes for a success.
func (c *Conn) oneAnswer() {
	c.ReadRequest()
	c.Say(fmt.Sprintf("HTTP/1.1 202 Accepted\r\nX-Message-Id: M-1\r\nContent-Length: %d\r\n\r\n%s", len(OK), OK))
}

// answers gives an answer that breaks off.
func answers(text string) fault {
	return fault{class: sender.Unknown, requests: 1, serve: raw(func(c *Conn) {
		c.ReadRequest()
		c.Say(text)
	})}
}

func status(status int, body string, class sender.Class) fault {
	return fault{class: class, requests: 1, serve: func(t testing.TB) *Server { return Serve(t, Answer(status, body)) }}
}

// redirect sends the client to where it would have success.
func redirect(status int) fault {
	return fault{class: sender.Unknown, requests: 1, serve: func(t testing.TB) *Server {
		return Serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, status)
				return
			}
			Answer(http.StatusOK, OK)(w, r)
		})
	}}
}

// repeats gives a gateway's error whose Message holds what was sent.
func repeats(code string, class sender.Class, message func(url.Values) string) fault {
	return fault{class: class, requests: 1, serve: func(t testing.TB) *Server {
		return Serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := json.Marshal(map[string]string{"Code": code, "Message": message(r.Form), "RequestId": "R-1"})
			if err != nil {
				panic(err)
			}
			Answer(http.StatusBadRequest, string(body))(w, r)
		})
	}}
}

// Want checks that err is a *sender.Error of a class, in one line, and returns it.
func Want(t testing.TB, err error, class sender.Class) *sender.Error {
	t.Helper()
	e, ok := err.(*sender.Error) //nolint:errorlint // it is to be one, not to hold one
	if !ok || e == nil {
		t.Fatalf("got %T %v, want a *sender.Error of class %s", err, err, class)
	}
	if e.Class != class {
		t.Errorf("got class %s, want %s: %v", e.Class, class, err)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("the error has more than one line: %q", err)
	}
	return e
}

// Hides checks that an error holds none of the values, as they are, in lower
// case, or as a URL has them.
func Hides(t testing.TB, err error, values ...string) {
	t.Helper()
	text := strings.ToLower(fmt.Sprintf("%v %+v", err, *sender.AsError(err)))
	for _, v := range values {
		once := url.QueryEscape(v)
		for _, form := range []string{v, once, strings.ReplaceAll(once, "+", "%20"), url.QueryEscape(once)} {
			if strings.Contains(text, strings.ToLower(form)) {
				t.Errorf("the error holds %q: %s", form, text)
			}
		}
	}
}
