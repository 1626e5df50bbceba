package httpclient

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Request is a request to make. The Client sets Host and Content-Length.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Deadline is when the exchange must be over, in addition to the context's deadline;
	// zero for none. It costs less than another context.
	Deadline time.Time
	// NotAfter is when the request is too late: its first byte leaves before this time or
	// not at all. It does not bound the wait for the answer. Zero means no bound.
	NotAfter time.Time
}

// out holds a request's bytes: a header of a given length, and the body.
type out struct {
	bytes  []byte
	header int
}

// outs keeps their memory for later requests.
var outs = sync.Pool{New: func() any { return new(out) }}

// check returns where the request goes. Its error says which part is invalid.
func (r *Request) check() (origin, error) {
	to, err := originOf(r.URL)
	switch {
	case err != nil:
		return origin{}, err
	case r.Method == http.MethodHead:
		return origin{}, errors.New("HEAD is not supported: its answer has a length but no body")
	case r.URL.Opaque != "" || !httpguts.ValidHeaderFieldName(r.Method) ||
		strings.ContainsFunc(r.URL.EscapedPath(), control) || strings.ContainsFunc(r.URL.RawQuery, control):
		return origin{}, errors.New("the method or the URL has invalid characters")
	}
	for name, values := range r.fields() {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return origin{}, fmt.Errorf("header %q has invalid characters", name) // its value may be a key
			}
		}
	}
	return to, nil
}

// fields yields the header fields that the caller can set.
func (r *Request) fields() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for name, values := range r.Header {
			if !added[textproto.CanonicalMIMEHeaderKey(name)] && !yield(name, values) {
				return
			}
		}
	}
}

// write writes the bytes of a checked request.
func (o *out) write(to origin, r *Request) {
	path := r.URL.EscapedPath()
	b := append(append(o.bytes[:0], r.Method...), ' ')
	if !strings.HasPrefix(path, "/") {
		b = append(b, '/') // as a URL's String does
	}
	b = append(b, path...)
	if r.URL.RawQuery != "" {
		b = append(append(b, '?'), r.URL.RawQuery...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), to.named()...)
	for name, values := range r.fields() {
		for _, v := range values {
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
}

// added are the header fields that the Client sets by itself.
var added = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

func control(r rune) bool { return r <= ' ' || r == 0x7f }
