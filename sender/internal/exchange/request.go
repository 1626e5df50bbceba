package exchange

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Request is what goes out. Its header's Host and Content-Length are made of the rest.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Deadline is when the exchange has to be over, beside the context's; zero for none.
	// It costs less than a context of its own.
	Deadline time.Time
}

// out is a request's bytes: a header of that length, and the body.
type out struct {
	bytes  []byte
	header int
}

// outs keeps their memory for the next ones.
var outs = sync.Pool{New: func() any { return new(out) }}

// write makes the request's bytes. Its error says what can't stand in a request.
func (o *out) write(to origin, r *Request) error {
	path := r.URL.EscapedPath()
	switch {
	case r.Method == http.MethodHead:
		return errors.New("HEAD is not made here: its answer's length is that of no body")
	case !httpguts.ValidHeaderFieldName(r.Method) || strings.ContainsFunc(path, control) || strings.ContainsFunc(r.URL.RawQuery, control):
		return errors.New("the method or the URL has characters that it can't have")
	}
	b := append(append(o.bytes[:0], r.Method...), ' ')
	if !strings.HasPrefix(path, "/") {
		b = append(b, '/') // as a URL's String has it
	}
	b = append(b, path...)
	if r.URL.RawQuery != "" {
		b = append(append(b, '?'), r.URL.RawQuery...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), to.named()...)
	for name, values := range r.Header {
		if added[textproto.CanonicalMIMEHeaderKey(name)] {
			continue
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("header %q has characters that it can't have", name) // its value may be a key
			}
			b = append(append(append(append(b, "\r\n"...), name...), ": "...), v...)
		}
	}
	if len(r.Body) > 0 || r.Method != http.MethodGet {
		b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(r.Body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	o.header = len(b)
	b = append(b, r.Body...)
	o.bytes = b
	return nil
}

// added are the header fields that the rest of a request says.
var added = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

func control(r rune) bool { return r <= ' ' || r == 0x7f }
