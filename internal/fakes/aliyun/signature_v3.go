package aliyun

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const (
	acs3Prefix        = "ACS3-"
	headerPrefix      = "x-acs-"
	headerAction      = headerPrefix + "action"
	headerContentHash = headerPrefix + "content-sha256"
)

// v3Headers are the headers of the common parameters, with their names in signature V1.
// Aliyun documents no code for a missing header, only Missing{ParameterName}; the fake fills
// in the name of the parameter.
var v3Headers = map[string]string{
	"Version":        headerPrefix + "version",
	"Timestamp":      headerPrefix + "date",
	"SignatureNonce": headerPrefix + "signature-nonce",
	"SecurityToken":  headerPrefix + "security-token",
}

var v3Required = []string{"Version", "Timestamp", "SignatureNonce"}

// v3 is signature V3 (ACS3-HMAC-SHA256): it stands in the headers, and signs them, the query
// and the hash of the body.
type v3 struct {
	method   string
	host     string
	header   http.Header
	query    params
	bodyHash string

	sent bool // the Authorization header
	authorization
	err error // why authorization could not be read
}

// hasV3 reports whether a request's headers have something of signature V3.
func hasV3(h http.Header) bool { return isV3(h) || h.Get(headerAction) != "" }

// isV3 reports whether a request has signature V3.
func isV3(h http.Header) bool { return strings.HasPrefix(h.Get("Authorization"), acs3Prefix) }

// readV3 reads a request with signature V3. Its parameters stand in the query, a form or a
// JSON object.
func readV3(c *call, r *http.Request, body string) error {
	s := &v3{method: r.Method, host: r.Host, header: r.Header, bodyHash: hexHash(body)}
	c.action, c.signature, c.common = r.Header.Get(headerAction), s, params{}
	for name, header := range v3Headers {
		if value, ok := s.value(header); ok {
			c.common[name] = value
		}
	}
	if header := r.Header.Get("Authorization"); header != "" {
		s.sent = true
		s.authorization, s.err = parseAuthorization(header)
		c.common["AccessKeyId"] = s.keyID
	}

	var err error
	if s.query, err = parseParams(r.URL.RawQuery, ""); err != nil {
		return err
	}
	var sent params
	switch t := mediaType(r); {
	case t == formType:
		sent, err = parseParams("", body)
	case t == "application/json" && body != "":
		sent, err = parseJSONParams(body)
	}
	if err != nil {
		return err
	}
	c.params = maps.Clone(s.query)
	maps.Copy(c.params, sent)
	return nil
}

func (s *v3) wellFormed() *apiError {
	switch {
	case !s.sent:
		return missing("AccessKeyId")
	case errors.Is(s.err, errAlgorithm):
		return fail("InvalidSignatureMethod")
	case s.err != nil:
		return incomplete(s.err.Error())
	}
	for _, name := range v3Required {
		if value, _ := s.value(v3Headers[name]); value == "" {
			return missing(name)
		}
	}
	if _, ok := s.value(headerContentHash); !ok {
		return incomplete("the request has no " + headerContentHash)
	}
	for _, name := range s.signed {
		if _, ok := s.value(name); !ok {
			return incomplete("SignedHeaders has " + name + ", and the request has not")
		}
	}
	for _, name := range s.mustSign() {
		if _, ok := slices.BinarySearch(s.signed, name); !ok { // it is sorted, as was checked
			return incomplete("SignedHeaders has no " + name)
		}
	}
	return nil
}

func incomplete(why string) *apiError {
	return failWith("IncompleteSignature", catalogue["IncompleteSignature"].message+" "+why+".")
}

// mustSign returns the names of the headers that have to be signed if the request has them.
func (s *v3) mustSign() []string {
	names := []string{"host"}
	for name := range s.header {
		if name = strings.ToLower(name); strings.HasPrefix(name, headerPrefix) || name == "content-type" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// value returns a header as it is signed. If it comes more than once, its values are sorted
// and joined, as Aliyun's SDK does.
func (s *v3) value(name string) (string, bool) {
	if name == "host" {
		return s.host, true
	}
	values := slices.Clone(s.header.Values(name))
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	slices.Sort(values)
	return strings.Join(values, ","), len(values) > 0
}

// verify, like Aliyun, tells the client what it should have signed. The query is a part of it:
// for an SMS, that is the code and the number.
func (s *v3) verify(secret string) *apiError {
	request := s.canonicalRequest()
	toSign := acs3Algorithm + "\n" + hexHash(request)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(toSign))
	want := hex.EncodeToString(mac.Sum(nil))
	if hash, _ := s.value(headerContentHash); hash == s.bodyHash && hmac.Equal([]byte(s.signature), []byte(want)) {
		return nil
	}
	return failWith("SignatureDoesNotMatch", "Specified signature does not match our calculation. server StringToSign is ["+
		toSign+"] server CanonicalRequest is ["+request+"]")
}

// canonicalRequest is what a client has to hash and sign.
func (s *v3) canonicalRequest() string {
	var headers strings.Builder
	for _, name := range s.signed {
		value, _ := s.value(name)
		headers.WriteString(name + ":" + value + "\n")
	}
	return strings.Join([]string{
		s.method, "/", s.query.canonical(""), headers.String(), strings.Join(s.signed, ";"), s.bodyHash,
	}, "\n")
}

func hexHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
