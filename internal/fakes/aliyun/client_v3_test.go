package aliyun

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// signedV3 is a request with signature V3, made and signed by the test's own code.
type signedV3 struct {
	method, query, body string
	header              map[string]string // names in small letters
	// signed are the names in SignedHeaders; nil: those of Aliyun's SDK.
	signed      []string
	key, secret string
}

// v3 makes a valid request that has not been signed, with its parameters in the query.
func (f *fixture) v3(action string, p params) *signedV3 {
	return &signedV3{
		method: "POST", query: p.encode(), key: "testid", secret: "testsecret",
		header: map[string]string{
			"host":                  "aliyuncs.com",
			"x-acs-action":          action,
			"x-acs-version":         actions[action].version,
			"x-acs-date":            f.clock.now().UTC().Format(timestampLayout),
			"x-acs-signature-nonce": fmt.Sprint("nonce-", nonceCount.Add(1)),
		},
	}
}

// in moves the parameters to the body.
func (r *signedV3) in(contentType, body string) *signedV3 {
	r.query, r.body, r.header["content-type"] = "", body, contentType
	return r
}

// sign is Aliyun's description of the signature, written a second time.
func (r *signedV3) sign() *signedV3 {
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(r.body)))
	if _, ok := r.header["x-acs-content-sha256"]; !ok {
		r.header["x-acs-content-sha256"] = hash
	}
	if r.signed == nil {
		for name := range r.header {
			if name == "host" || name == "content-type" || strings.HasPrefix(name, "x-acs-") {
				r.signed = append(r.signed, name)
			}
		}
		slices.Sort(r.signed)
	}
	query, err := url.ParseQuery(r.query)
	if err != nil {
		panic(err)
	}
	text := r.method + "\n/\n" + strings.ReplaceAll(query.Encode(), "+", "%20") + "\n"
	for _, name := range r.signed {
		text += name + ":" + r.header[name] + "\n"
	}
	names := strings.Join(r.signed, ";")
	text += "\n" + names + "\n" + hash
	mac := hmac.New(sha256.New, []byte(r.secret))
	mac.Write(fmt.Appendf(nil, "ACS3-HMAC-SHA256\n%x", sha256.Sum256([]byte(text))))
	r.header["authorization"] = fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%x", r.key, names, mac.Sum(nil))
	return r
}

func (f *fixture) send(r *signedV3) answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), r.method, f.http.URL+"/?"+r.query, strings.NewReader(r.body))
	if err != nil {
		f.t.Fatal(err)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	req.Host = r.header["host"]
	req.Header.Del("Host")
	a, err := f.roundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

// typed sets a Content-Type without a body.
func (r *signedV3) typed(contentType string) *signedV3 {
	r.header["content-type"] = contentType
	return r
}

// cutSignature removes the signature's digits from the header, and returns them.
func cutSignature(r *signedV3) string {
	before, hex, _ := strings.Cut(r.header["authorization"], "Signature=")
	r.header["authorization"] = before + "Signature="
	return hex
}
