package sendertest

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
)

// HTTP describes how a provider answers over HTTP. It makes the parts that a Provider
// needs.
type HTTP struct {
	// Accepted is the answer to an accepted message.
	Accepted HTTPAnswer
	// Refusal returns the answer to a refused message, with a text.
	Refusal func(said string) HTTPAnswer
	// Codes are the connector's error codes for requests without an answer.
	Codes HTTPCodes
}

// HTTPCodes are a connector's codes for a request without an answer. It has the fields of
// httpclient.Codes, a type that this package can't use, since the tests of httpclient
// import it.
type HTTPCodes struct{ Connect, ConnectTimeout, Read, ReadTimeout string }

// HTTPAnswer is an answer over HTTP.
type HTTPAnswer struct {
	Status int
	Header map[string]string
	Body   string
}

// text returns the answer as it is sent.
func (a HTTPAnswer) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.Status, http.StatusText(a.Status))
	for name, value := range a.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(a.Body), a.Body)
	return b.String()
}

// ServeHTTP sends the answer.
func (a HTTPAnswer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	faulty.Answer(a.Status, a.Body)(w, nil)
}

// Means makes an Answer of a. If a has a Retry-After in seconds, the error must have it too,
// unless the error is a doubt.
func (a HTTPAnswer) Means(meaning Meaning, code string) Answer {
	all := Answer{Serve: serves(a.ServeHTTP), Meaning: meaning, Code: code}
	if seconds, err := strconv.Atoi(a.Header["Retry-After"]); err == nil && meaning.Class != sender.Unknown {
		all.RetryAfter = time.Duration(seconds) * time.Second
	}
	return all
}

// Means makes an Answer from a status and a body.
func Means(status int, body string, meaning Meaning, code string) Answer {
	return Answer{Serve: serves(faulty.Answer(status, body)), Meaning: meaning, Code: code}
}

// Late serves a provider that accepts a request when Answer is closed.
func (h HTTP) Late(t testing.TB) *Served {
	answer := make(chan struct{})
	s := talks(func(c *faulty.Conn, arrived func()) {
		if c.ReadRequest() {
			arrived()
			<-answer
			c.Say(h.Accepted.text())
		}
	})(t)
	s.Answer = answer
	return s
}

// Repeats serves a provider that refuses with a text made from the request: its URL, its
// key and its body.
func (h HTTP) Repeats(t testing.TB, words func(request string) string) *Served {
	var s *faulty.Server
	s = faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		last := s.Last()
		h.Refusal(words(fmt.Sprint(last.URL, " ", last.Header.Get("Authorization"), " ", string(last.Raw)))).ServeHTTP(w, r)
	})
	return served(s)
}

// Failures returns all ways in which a request or its answer can fail.
func (h HTTP) Failures() map[string]Failure {
	accepted := h.Accepted.text()
	ok := h.Accepted.Body
	all := map[string]Failure{
		// Before the request: nothing was written.
		NobodyListens:             {Serve: func(t testing.TB) *Served { return served(faulty.Refused(t)) }, Class: sender.Unavailable, Code: h.Codes.Connect},
		NoSuchHost:                {Serve: nowhere, Class: sender.Unavailable, Code: h.Codes.Connect},
		"a certificate of nobody": {Serve: h.untrusted, Class: sender.Unavailable, Code: h.Codes.Connect},
		"a bare host means TLS":   {Serve: h.plain, Class: sender.Unavailable, Code: h.Codes.Connect},
		CutBefore: {Serve: overTLS(func(c *faulty.Conn, _ func()) {
			c.AwaitByte()
			c.Reset()
		}), Class: sender.Unavailable, Code: h.Codes.Connect},
		StallBefore: {Serve: overTLS(func(c *faulty.Conn, arrived func()) {
			arrived()
			c.Wait()
		}), Class: sender.Unavailable, Slow: true, Code: h.Codes.ConnectTimeout},

		// After the request: something was written.
		"cut before it is read": {Serve: talks(func(c *faulty.Conn, _ func()) { c.AwaitByte() }), Class: sender.Unknown, Code: h.Codes.Read},
		"reset before it is read": {Serve: talks(func(c *faulty.Conn, _ func()) {
			c.AwaitByte()
			c.Reset()
		}), Class: sender.Unknown, Code: h.Codes.Read},
		CutAfter: {Serve: talks(func(c *faulty.Conn, _ func()) { c.ReadRequest() }), Class: sender.Unknown, Requests: 1, Code: h.Codes.Read},
		ResetAfter: {Serve: talks(func(c *faulty.Conn, _ func()) {
			c.ReadRequest()
			c.Reset()
		}), Class: sender.Unknown, Requests: 1, Code: h.Codes.Read},
		StallAfter:             h.stalls(""),
		"a header that stalls": h.stalls("HTTP/1.1 200 OK\r\nConte"),
		"a body that stalls":   h.stalls("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + ok),
		"a header and no body": h.stalls("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
		"half a status line":   h.says("HTTP/1.1 20"),
		"half a header":        h.says("HTTP/1.1 200 OK\r\nContent-"),
		HalfAnswer:             h.says("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + ok),
		OtherWords:             h.says("220 smtp.example.com ESMTP\r\n"),
		"the request itself":   h.echoes("HTTP/1.1 "),
		"the request's header": h.echoes("HTTP/1.1 200 OK\r\n"),
		EmptyOne:               {Serve: serves(faulty.Empty), Class: sender.Unknown, Requests: 1},
		HugeOne:                {Serve: serves(faulty.Answer(http.StatusOK, strings.Repeat(" ", 1<<20)+ok)), Class: sender.Unknown, Requests: 1, Code: h.Codes.Read},
		"a kept connection is cut": {Serve: talks(func(c *faulty.Conn, _ func()) {
			c.ReadRequest()
			c.Say(accepted)
			c.ReadRequest()
		}), Class: sender.Unknown, Requests: 2, Warm: true, Code: h.Codes.Read},
		"a kept connection is reset": {Serve: talks(func(c *faulty.Conn, _ func()) {
			c.ReadRequest()
			c.Say(accepted)
			c.ReadRequest()
			c.Reset()
		}), Class: sender.Unknown, Requests: 2, Warm: true, Code: h.Codes.Read},
	}
	maps.Copy(all, h.strange())
	return all
}

// strange returns answers that say nothing reliable: none means success, and none means
// that the message was not accepted.
func (h HTTP) strange() map[string]Failure {
	all := map[string]Failure{
		"half an error's body": {Serve: talks(func(c *faulty.Conn, _ func()) {
			c.ReadRequest()
			no := h.Refusal("no")
			c.Say(fmt.Sprintf("HTTP/1.1 %d No\r\nContent-Length: 1000\r\n\r\n%s", no.Status, no.Body))
		}), Class: sender.Unknown, Requests: 1},
		"a redirect, 302": redirects(http.StatusFound, h.Accepted),
		"a redirect, 307": redirects(http.StatusTemporaryRedirect, h.Accepted),
		"a redirect, 308": redirects(http.StatusPermanentRedirect, h.Accepted),
	}
	for name, a := range map[string]HTTPAnswer{
		"200, HTML":        {Status: 200, Body: "<html><body>welcome</body></html>"},
		"200, null":        {Status: 200, Body: "null"},
		"200, a list":      {Status: 200, Body: "[]"},
		"200, a string":    {Status: 200, Body: `"OK"`},
		"200, deep":        {Status: 200, Body: `{"x":` + strings.Repeat("[", 1<<17)},
		"204":              {Status: 204},
		"302, a success":   {Status: 302, Body: h.Accepted.Body},
		"400, HTML":        {Status: 400, Body: "<html></html>"},
		"400, a list":      {Status: 400, Body: "[]"},
		"400, huge":        {Status: 400, Body: strings.Repeat(" ", 1<<20) + h.Refusal("no").Body},
		"400, deep":        {Status: 400, Body: strings.Repeat("[", 1<<17)},
		"404, empty":       {Status: 404},
		"500, empty":       {Status: 500},
		"500, a refusal":   {Status: 500, Body: "{}"},
		"502, a gateway's": {Status: 502, Body: "<html>bad gateway</html>"},
		"503, null":        {Status: 503, Body: "null"},
	} {
		all[name] = Failure{Serve: serves(a.ServeHTTP), Class: sender.Unknown, Requests: 1}
	}
	return all
}

// says serves an answer that breaks off.
func (h HTTP) says(text string) Failure {
	return Failure{Serve: talks(func(c *faulty.Conn, _ func()) {
		c.ReadRequest()
		c.Say(text)
	}), Class: sender.Unknown, Requests: 1, Code: h.Codes.Read}
}

// stalls serves the beginning of an answer, and nothing after it.
func (h HTTP) stalls(text string) Failure {
	return Failure{Serve: talks(func(c *faulty.Conn, arrived func()) {
		c.ReadRequest()
		c.Say(text)
		arrived()
		c.Wait()
	}), Class: sender.Unknown, Requests: 1, Slow: true, Code: h.Codes.ReadTimeout}
}

// echoes serves answers that repeat the request.
func (h HTTP) echoes(begin string) Failure {
	return Failure{Serve: talks(func(c *faulty.Conn, _ func()) {
		c.ReadRequest()
		r := c.Server.Last()
		c.Say(begin + r.URL.String() + string(r.Raw) + "\r\n\r\n")
	}), Class: sender.Unknown, Requests: 1, Code: h.Codes.Read}
}

// redirects serves redirects to a server that would accept the message.
func redirects(status int, accepted HTTPAnswer) Failure {
	return Failure{Serve: serves(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			accepted.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, status)
	}), Class: sender.Unknown, Requests: 1}
}

func nowhere(testing.TB) *Served { return served(&faulty.Server{Endpoint: "provider.invalid"}) }

// untrusted serves TLS with a certificate that no client trusts.
func (h HTTP) untrusted(t testing.TB) *Served {
	return served(faulty.ServeTLS(t, h.Accepted.ServeHTTP))
}

// plain serves plain HTTP to a client that speaks TLS.
func (h HTTP) plain(t testing.TB) *Served {
	return served(faulty.Serve(t, h.Accepted.ServeHTTP).OverTLS())
}

func served(s *faulty.Server) *Served {
	return &Served{Endpoint: s.Endpoint, Requests: func() int { return len(s.Requests()) }}
}

func serves(h http.HandlerFunc) func(testing.TB) *Served {
	return func(t testing.TB) *Served { return served(faulty.Serve(t, h)) }
}

// talks serves TCP. talk calls arrived when the client has come as far as the server lets
// it.
func talks(talk func(c *faulty.Conn, arrived func())) func(testing.TB) *Served {
	return func(t testing.TB) *Served {
		came := make(chan struct{})
		arrived := sync.OnceFunc(func() { close(came) })
		s := served(faulty.Raw(t, func(c *faulty.Conn) { talk(c, arrived) }))
		s.Arrived = came
		return s
	}
}

func overTLS(talk func(c *faulty.Conn, arrived func())) func(testing.TB) *Served {
	return func(t testing.TB) *Served {
		s := talks(talk)(t)
		s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
		return s
	}
}
