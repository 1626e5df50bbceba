package aliyun

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Aliyun's signature V1 is HMAC-SHA1
	"encoding/base64"
	"net/http"
)

// v1 is signature V1 (1.0): it stands among the parameters, and signs all of them.
type v1 struct {
	method string
	params params
}

// v1Required must be present and must not be empty.
var v1Required = []string{
	"Version", "Format", "AccessKeyId", "Timestamp",
	"SignatureMethod", "SignatureVersion", "SignatureNonce",
}

// v1Values are the only values that the fake accepts. A missing SignatureType counts as empty.
var v1Values = []struct{ name, want string }{
	{"SignatureMethod", "HMAC-SHA1"},
	{"SignatureVersion", "1.0"},
	{"SignatureType", ""},
}

// readV1 reads a request with signature V1. Only a form is a body with parameters.
func readV1(c *call, r *http.Request, body string) error {
	if mediaType(r) != formType {
		body = ""
	}
	p, err := parseParams(r.URL.RawQuery, body)
	if err != nil {
		return err
	}
	c.action, c.common, c.params, c.signature = p["Action"], p, p, v1{r.Method, p}
	return nil
}

func (s v1) wellFormed() *apiError {
	for _, name := range v1Required {
		if s.params[name] == "" {
			return missing(name)
		}
	}
	if _, ok := s.params["Signature"]; !ok {
		return missing("Signature")
	}
	for _, v := range v1Values {
		if s.params[v.name] != v.want {
			return invalid(v.name)
		}
	}
	return nil
}

// verify, like Aliyun, tells the client what it should have signed: the whole message, code
// and recipient included.
func (s v1) verify(secret string) *apiError {
	signature, toSign := s.params["Signature"], stringToSign(s.method, s.params)
	code := "SignatureDoesNotMatch"
	switch {
	case signature == "":
		code = "IncompleteSignature"
	case hmac.Equal([]byte(signature), []byte(sign(toSign, secret))):
		return nil
	}
	return failWith(code, catalogue[code].message+" server string to sign is:"+toSign)
}

// stringToSign is the string that a client has to sign. It is built from the decoded
// parameters: their encoding in the request does not matter.
func stringToSign(method string, p params) string {
	return method + "&%2F&" + percentEncode(p.canonical("Signature"))
}

func sign(stringToSign, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(stringToSign))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
