package sandbox

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Aliyun's signature 1.0 is HMAC-SHA1
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// params are a request's decoded parameters, those of the query and those of
// the form body together. A name with an empty value is present.
type params map[string]string

// parseParams decodes a raw query and a raw form body. Of a name that comes
// more than once the last value counts, and the body's before the query's,
// which is what Aliyun's SDK signs.
func parseParams(query, body string) (params, error) {
	p := params{}
	for _, raw := range []string{query, body} {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return nil, err
		}
		for name, v := range values {
			// What needed no decoding is a part of raw; a copy of its own may be
			// kept without the rest.
			p[name] = strings.Clone(v[len(v)-1])
		}
	}
	return p, nil
}

// stringToSign is what a client has to sign, built from the decoded
// parameters: how they were encoded on the wire does not matter.
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

// percentEncode encodes as RFC 3986 wants it. url.QueryEscape differs from
// that in the space alone.
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
