package aliyun

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Aliyun's signature 1.0 is HMAC-SHA1
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

// Action is one of an API's, as the SDK's request for it names it. It is made once;
// the SDK's own requests hold maps that are made anew each time.
type Action struct{ name, version, format string }

// NewAction takes an action from the SDK's request.
func NewAction(r requests.AcsRequest) Action {
	return Action{r.GetActionName(), r.GetVersion(), r.GetAcceptFormat()}
}

// Params are a request's own parameters, in any order. A name stands once.
type Params []Param

// Param is one of them.
type Param struct{ Name, Value string }

// Get returns a parameter's value; "" where there is none.
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

// signer is what the signature of a request depends on beside its parameters.
type signer struct {
	now   time.Time
	nonce string
	// keys are nil for a request that is not signed.
	keys *credentials.Credentials
}

// signed is a request as it goes out: the common parameters in the URL's query, where
// the SDK puts them, and the request's own in the body, where no access log shows
// them. Both are signed together.
type signed struct {
	query string
	body  []byte
}

// encodedParam is a parameter as name=value in RFC 3986's encoding, which is good for
// a query, a form and the string to sign alike.
type encodedParam struct {
	name string
	// from and to are its place in the scratch.
	from, to int
	own      bool
}

// scratch is what signing needs for a moment.
type scratch struct {
	params []encodedParam
	text   []byte
	joined []byte
	all    []byte
	toSign []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// sign builds a request by Aliyun's signature 1.0 for RPC APIs. What it signs is, byte
// for byte, what the SDK's auth.Sign does.
func (s signer) sign(a Action, region string, own Params) signed {
	w, _ := scratches.Get().(*scratch)
	defer scratches.Put(w)
	w.params, w.text, w.joined = w.params[:0], w.text[:0], w.joined[:0]

	for _, p := range own {
		w.add(p.Name, p.Value, true)
	}
	w.add("Action", a.name, false)
	w.add("Format", a.format, false)
	w.add("Timestamp", s.now.UTC().Format("2006-01-02T15:04:05Z"), false)
	w.add("Version", a.version, false)
	if s.keys != nil {
		w.add("AccessKeyId", s.keys.AccessKeyId, false)
		w.add("RegionId", region, false)
		w.add("SignatureMethod", "HMAC-SHA1", false)
		w.add("SignatureNonce", s.nonce, false)
		w.add("SignatureType", "", false)
		w.add("SignatureVersion", "1.0", false)
		if s.keys.SecurityToken != "" {
			w.add("SecurityToken", s.keys.SecurityToken, false)
		}
	}
	slices.SortFunc(w.params, func(a, b encodedParam) int { return strings.Compare(a.name, b.name) })

	w.joined = w.join(w.joined, func(p encodedParam) bool { return !p.own })
	if s.keys != nil {
		w.joined = appendEncoded(append(w.joined, "&Signature="...), s.signature(w))
	}
	return signed{
		query: string(w.joined),
		body:  w.join(make([]byte, 0, len(w.text)), func(p encodedParam) bool { return p.own }),
	}
}

// signature signs all parameters in order.
func (s signer) signature(w *scratch) string {
	w.all = w.join(w.all[:0], func(encodedParam) bool { return true })
	w.toSign = appendEncoded(append(w.toSign[:0], "POST&%2F&"...), w.all)
	mac := hmac.New(sha1.New, []byte(s.keys.AccessKeySecret+"&"))
	mac.Write(w.toSign)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (w *scratch) add(name, value string, own bool) {
	from := len(w.text)
	w.text = append(appendEncoded(w.text, name), '=')
	w.text = appendEncoded(w.text, value)
	w.params = append(w.params, encodedParam{name, from, len(w.text), own})
}

// join appends the parameters that are wanted, with & between them.
func (w *scratch) join(to []byte, wanted func(encodedParam) bool) []byte {
	start := len(to)
	for _, p := range w.params {
		if !wanted(p) {
			continue
		}
		if len(to) > start {
			to = append(to, '&')
		}
		to = append(to, w.text[p.from:p.to]...)
	}
	return to
}

// unreserved are the bytes that stand for themselves (RFC 3986, 2.3).
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

// newNonce returns what no other request has.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
