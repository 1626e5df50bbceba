package aliyun

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

// Action is an action of an API, taken from the SDK's request. It is made once, since the
// SDK makes new maps for each request.
type Action struct {
	name, version, format string
	// header is the header of its requests. It names the client and the product: a fake
	// for several products has no other way to tell them apart.
	header http.Header
}

// NewAction takes an action from the SDK's request.
func NewAction(r requests.AcsRequest) Action {
	return Action{
		name: r.GetActionName(), version: r.GetVersion(), format: r.GetAcceptFormat(),
		header: http.Header{"Content-Type": {requests.Form}, "User-Agent": {"codeferry (" + r.GetProduct() + ")"}},
	}
}

// Params are a request's own parameters, in any order. Each name occurs once.
type Params []Param

// Param is a parameter.
type Param struct{ Name, Value string }

// Get returns a parameter's value; "" if there is none.
func (p Params) Get(name string) string {
	for _, param := range p {
		if param.Name == name {
			return param.Value
		}
	}
	return ""
}

// With adds a parameter, unless its value is empty.
func (p Params) With(name, value string) Params {
	if value == "" {
		return p
	}
	return append(p, Param{name, value})
}

// signer holds what the signature of a request depends on in addition to its parameters.
type signer struct {
	now   time.Time
	nonce string
	// keys are nil for a request that is not signed.
	keys *keys
}

// signed is a signed request. The common parameters are in the URL's query, as with the
// SDK. The request's own parameters are in the body, which access logs do not show. Both
// are signed together.
type signed struct {
	query string
	body  []byte
}

// encodedParam is a parameter as name=value in the encoding of RFC 3986, which fits a
// query, a form and the string to sign.
type encodedParam struct {
	name string
	// from and to are its position in the text of a scratch.
	from, to int
}

func byName(a, b encodedParam) int { return strings.Compare(a.name, b.name) }

// scratch holds the buffers for signing one request.
type scratch struct {
	text        []byte
	common, own []encodedParam
	query       []byte
	all         []byte
	toSign      []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// sign builds a request with Aliyun's signature 1.0 for RPC APIs. The result is the same,
// byte for byte, as that of the SDK's auth.Sign.
func (s signer) sign(a Action, region string, own Params) signed {
	w, _ := scratches.Get().(*scratch)
	defer scratches.Put(w)
	w.text, w.common, w.own = w.text[:0], w.common[:0], w.own[:0]

	for _, p := range own {
		w.own = append(w.own, w.encode(p.Name, p.Value))
	}
	slices.SortFunc(w.own, byName)
	body := w.join(make([]byte, 0, len(w.text)), w.own)
	s.encodeCommon(w, a, region)

	w.query = w.join(w.query[:0], w.common)
	if s.keys != nil {
		w.query = appendEncoded(append(w.query, "&Signature="...), s.signature(w))
	}
	return signed{query: string(w.query), body: body}
}

// encodeCommon encodes the parameters of all requests, in the order of their names.
func (s signer) encodeCommon(w *scratch, a Action, region string) {
	add := func(name, value string) { w.common = append(w.common, w.encode(name, value)) }
	if s.keys != nil {
		add("AccessKeyId", s.keys.reveal().AccessKeyId)
	}
	add("Action", a.name)
	add("Format", a.format)
	if s.keys != nil {
		add("RegionId", region)
		if token := s.keys.reveal().SecurityToken; token != "" {
			add("SecurityToken", token)
		}
		add("SignatureMethod", "HMAC-SHA1")
		add("SignatureNonce", s.nonce)
		add("SignatureType", "")
		add("SignatureVersion", "1.0")
	}
	add("Timestamp", s.now.UTC().Format("2006-01-02T15:04:05Z"))
	add("Version", a.version)
}

// signature signs all parameters in the order of their names.
func (s signer) signature(w *scratch) string {
	w.all = w.all[:0]
	common, own := w.common, w.own
	for len(common) > 0 && len(own) > 0 {
		if byName(common[0], own[0]) < 0 {
			w.all, common = w.join(w.all, common[:1]), common[1:]
		} else {
			w.all, own = w.join(w.all, own[:1]), own[1:]
		}
	}
	w.all = w.join(w.join(w.all, common), own)
	w.toSign = appendEncoded(append(w.toSign[:0], "POST&%2F&"...), w.all)
	sum := s.keys.sign(w.toSign)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (w *scratch) encode(name, value string) encodedParam {
	from := len(w.text)
	w.text = append(appendEncoded(w.text, name), '=')
	w.text = appendEncoded(w.text, value)
	return encodedParam{name, from, len(w.text)}
}

// join appends parameters to a text, separated by &.
func (w *scratch) join(to []byte, params []encodedParam) []byte {
	for _, p := range params {
		if len(to) > 0 {
			to = append(to, '&')
		}
		to = append(to, w.text[p.from:p.to]...)
	}
	return to
}

// unreserved are the bytes that are not encoded (RFC 3986, 2.3).
var unreserved = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
		set[c] = true
	}
	return set
}()

func appendEncoded[T string | []byte](to []byte, s T) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; unreserved[c] {
			to = append(to, c)
		} else {
			to = append(to, '%', digits[c>>4], digits[c&15])
		}
	}
	return to
}

// newNonce returns a text that no other request has.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
