package ses_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

// ok is an answer to SendEmail.
const ok = `{"MessageId":"M-1"}`

// fault is a way for a call to fail.
type fault struct {
	serve    func(testing.TB) *sendertest.Server
	class    sender.Class
	code     string
	requests int  // how many come: never a second one
	slow     bool // it ends by the time-out
	warm     bool // a first call is a success and leaves its connection behind
}

func raw(talk func(*sendertest.Conn)) func(testing.TB) *sendertest.Server {
	return func(t testing.TB) *sendertest.Server { return sendertest.Raw(t, talk) }
}

func overTLS(talk func(*sendertest.Conn)) func(testing.TB) *sendertest.Server {
	return func(t testing.TB) *sendertest.Server {
		s := sendertest.Raw(t, talk)
		s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
		return s
	}
}

// says gives an answer as it stands and hangs up.
func says(class sender.Class, code, answer string) fault {
	return fault{class: class, code: code, requests: 1, serve: raw(func(c *sendertest.Conn) {
		c.ReadRequest()
		c.Say(answer)
	})}
}

func status(status int, body string, class sender.Class, code string) fault {
	return fault{class: class, code: code, requests: 1, serve: func(t testing.TB) *sendertest.Server {
		return sendertest.Serve(t, sendertest.Answer(status, body))
	}}
}

func redirect(status int) fault {
	return fault{class: sender.Unknown, code: fmt.Sprintf("HTTP.%d", status), requests: 1, serve: func(t testing.TB) *sendertest.Server {
		return sendertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == standin.SESSendPath {
				http.Redirect(w, r, "/elsewhere", status)
				return
			}
			sendertest.Answer(http.StatusOK, ok)(w, r)
		})
	}}
}

func oneAnswer(c *sendertest.Conn) {
	c.ReadRequest()
	c.Say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(ok), ok))
}

var huge = strings.Repeat(" ", 2<<20)

var faults = map[string]fault{
	// The way there: nothing was written.
	"refused": {class: sender.Unavailable, code: "SDK.ConnectError", serve: func(t testing.TB) *sendertest.Server {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		return &sendertest.Server{Endpoint: "http://" + l.Addr().String()}
	}},
	"no such host":            {class: sender.Unavailable, code: "SDK.ConnectError", serve: func(testing.TB) *sendertest.Server { return &sendertest.Server{Endpoint: "email.invalid"} }},
	"a certificate of nobody": {class: sender.Unavailable, code: "SDK.ConnectError", serve: sendertest.ServeTLS},
	"a bare host means TLS": {class: sender.Unavailable, code: "SDK.ConnectError", serve: func(t testing.TB) *sendertest.Server {
		s := sendertest.Serve(t, sendertest.Answer(http.StatusOK, ok))
		s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
		return s
	}},
	"cut in the handshake": {class: sender.Unavailable, code: "SDK.ConnectError", serve: overTLS(func(c *sendertest.Conn) {
		c.AwaitByte()
		c.Reset()
	})},
	"a handshake without end": {class: sender.Unavailable, code: "SDK.ConnectTimeout", slow: true, serve: overTLS((*sendertest.Conn).Wait)},

	// The way back: something was written.
	"cut before it is read": {class: sender.Unknown, code: "SDK.ReadError", serve: raw((*sendertest.Conn).AwaitByte)},
	"cut after it is read":  {class: sender.Unknown, code: "SDK.ReadError", requests: 1, serve: raw(func(c *sendertest.Conn) { c.ReadRequest() })},
	"reset after it is read": {class: sender.Unknown, code: "SDK.ReadError", requests: 1, serve: raw(func(c *sendertest.Conn) {
		c.ReadRequest()
		c.Reset()
	})},
	"no answer": {class: sender.Unknown, code: "SDK.ReadTimeout", requests: 1, slow: true, serve: raw(func(c *sendertest.Conn) {
		c.ReadRequest()
		c.Wait()
	})},
	"a header and no body": {class: sender.Unknown, code: "SDK.Answer", requests: 1, slow: true, serve: raw(func(c *sendertest.Conn) {
		c.ReadRequest()
		c.Say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
		c.Wait()
	})},
	"half a status line":   says(sender.Unknown, "SDK.ReadError", "HTTP/1.1 20"),
	"half a header":        says(sender.Unknown, "SDK.ReadError", "HTTP/1.1 200 OK\r\nContent-"),
	"half a body":          says(sender.Unknown, "SDK.Answer", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+ok),
	"half an error's body": says(sender.Unknown, "HTTP.400", "HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\nX-Amzn-ErrorType: MessageRejected\r\n\r\n"+`{"message":"no"}`),
	"no HTTP":              says(sender.Unknown, "SDK.ReadError", "220 smtp.example.com ESMTP\r\n"),
	"a kept connection is cut": {class: sender.Unknown, code: "SDK.ReadError", requests: 2, warm: true, serve: raw(func(c *sendertest.Conn) {
		oneAnswer(c)
		c.ReadRequest()
	})},
	"a kept connection is reset": {class: sender.Unknown, code: "SDK.ReadError", requests: 2, warm: true, serve: raw(func(c *sendertest.Conn) {
		oneAnswer(c)
		c.ReadRequest()
		c.Reset()
	})},

	// Answers that say nothing, or nothing that can be relied on.
	"200, empty":         status(200, "", sender.Unknown, "SDK.NoMessageId"),
	"200, {}":            status(200, "{}", sender.Unknown, "SDK.NoMessageId"),
	"200, an empty id":   status(200, `{"MessageId":""}`, sender.Unknown, "SDK.NoMessageId"),
	"200, an id of null": status(200, `{"MessageId":null}`, sender.Unknown, "SDK.NoMessageId"),
	"200, an id of {}":   status(200, `{"MessageId":{"a":[1]}}`, sender.Unknown, "SDK.Answer"),
	"200, a numeric id":  status(200, `{"MessageId":5}`, sender.Unknown, "SDK.Answer"),
	"200, HTML":          status(200, "<html><body>welcome</body></html>", sender.Unknown, "SDK.Answer"),
	"200, half a JSON":   status(200, ok[:len(ok)-4], sender.Unknown, "SDK.Answer"),
	"200, huge":          status(200, huge+ok, sender.Unknown, "SDK.Answer"),
	"204":                status(204, "", sender.Unknown, "SDK.NoMessageId"),
	"302":                redirect(http.StatusFound),
	"307":                redirect(http.StatusTemporaryRedirect),
	"308":                redirect(http.StatusPermanentRedirect),
	"302, a success":     status(302, ok, sender.Unknown, "HTTP.302"),
	"400, HTML":          status(400, "<html></html>", sender.Unknown, "HTTP.400"),
	"400, a list":        status(400, "[]", sender.Unknown, "HTTP.400"),
	"400, huge":          status(400, huge+`{"__type":"MessageRejected"}`, sender.Unknown, "HTTP.400"),
	"403, no code":       status(403, `{"message":"Forbidden"}`, sender.Unknown, "HTTP.403"),
	"404, empty":         status(404, "", sender.Unknown, "HTTP.404"),
	"429, HTML":          status(429, "<html></html>", sender.Throttled, "HTTP.429"),
	"500, empty":         status(500, "", sender.Unknown, "HTTP.500"),
	"502, HTML":          status(502, "<html>bad gateway</html>", sender.Unknown, "HTTP.502"),
	"503, null":          status(503, "null", sender.Unknown, "HTTP.503"),
	"400, deep":          status(400, strings.Repeat("[", 1<<19), sender.Unknown, "HTTP.400"),
	"200, deep":          status(200, `{"x":`+strings.Repeat("[", 1<<19), sender.Unknown, "SDK.Answer"),

	// Answers that repeat the request.
	"the request":           repeats(func(b []byte) string { return string(b) }),
	"the request in a URL":  repeats(func(b []byte) string { return fmt.Sprintf("%q", b) }),
	"the recipient":         repeats(func([]byte) string { return "Invalid: <" + strings.ToLower(to) + ">" }),
	"the code":              repeats(func([]byte) string { return "code=" + code + "&x" }),
	"the recipient, base64": repeats(func([]byte) string { return "to: QWxpY2UreEBFeGFtcGxlLmNvbQ==" }),
}

// repeats gives an error whose message holds what was sent.
func repeats(message func(body []byte) string) fault {
	return fault{class: sender.Permanent, code: "BadRequestException", requests: 1, serve: func(t testing.TB) *sendertest.Server {
		var srv *sendertest.Server
		srv = sendertest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			body, err := json.Marshal(map[string]string{"__type": "com.amazonaws.sesv2#BadRequestException", "message": message(srv.Requests()[0].Raw)})
			if err != nil {
				panic(err)
			}
			sendertest.Answer(http.StatusBadRequest, string(body))(w, nil)
		})
		return srv
	}}
}

func TestFaults(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := f.serve(t)
			timeout := time.Minute
			if f.slow {
				timeout = 300 * time.Millisecond
			}
			s := connector(t, srv.Endpoint, func(c *ses.Config) { c.Timeout = timeout })
			m := render(t, s)
			if f.warm {
				if _, err := s.Send(t.Context(), m); err != nil {
					t.Fatalf("the first call: %v", err)
				}
			}
			receipt, err := s.Send(t.Context(), m)
			if e := sendertest.Want(t, err, f.class); e.Code != f.code || e.Detail == "" || len(e.Detail) > 1000 || receipt != (sender.Receipt{}) {
				t.Errorf("%d bytes of detail, %+v", len(e.Detail), e)
			}
			sendertest.Hides(t, err, to, code, "验证码", "Shop", keyID, keySecret, "QWxpY2UreEBFeGFtcGxlLmNvbQ", "Signature=")
			if n := len(srv.Requests()); n != f.requests {
				t.Errorf("%d requests came, want %d", n, f.requests)
			}
		})
	}
}
