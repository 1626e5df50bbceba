package aliyun

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Aliyun's signature 1.0 is HMAC-SHA1
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// params are a request's decoded parameters, from the query and the form body. A name with an
// empty value is present.
type params map[string]string

// parseParams decodes a raw query and a raw form body. If a name comes more than once, the
// last value counts, and the body's wins over the query's. This is what Aliyun's SDK signs.
func parseParams(query, body string) (params, error) {
	p := params{}
	for _, raw := range []string{query, body} {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return nil, err
		}
		for name, v := range values {
			// A value that needed no decoding is a part of raw; the copy lets raw be freed.
			p[name] = strings.Clone(v[len(v)-1])
		}
	}
	return p, nil
}

// stringToSign is the string that a client has to sign. It is built from the decoded
// parameters: their encoding in the request does not matter.
func stringToSign(method string, p params) string {
	var pairs strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name == "Signature" {
			continue
		}
		if pairs.Len() > 0 {
			pairs.WriteByte('&')
		}
		pairs.WriteString(percentEncode(name))
		pairs.WriteByte('=')
		pairs.WriteString(percentEncode(p[name]))
	}
	return method + "&%2F&" + percentEncode(pairs.String())
}

// percentEncode encodes as RFC 3986 requires. url.QueryEscape differs only in the space.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func sign(stringToSign, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(stringToSign))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// verify compares in constant time.
func verify(signature, stringToSign, secret string) bool {
	return hmac.Equal([]byte(signature), []byte(sign(stringToSign, secret)))
}
