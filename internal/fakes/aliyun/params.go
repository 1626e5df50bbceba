package aliyun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// params are a request's decoded parameters. A name with an empty value is present.
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

// parseJSONParams decodes a JSON body: an object of strings, numbers and booleans. A null is
// an absent parameter.
func parseJSONParams(body string) (params, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &raw); err != nil || raw == nil {
		return nil, errors.New("the body is not a JSON object")
	}
	p := params{}
	for name, value := range raw {
		switch value[0] {
		case '{', '[':
			return nil, fmt.Errorf("%s is not a plain value", name)
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, err
			}
			p[name] = text
		default:
			if !bytes.Equal(value, []byte("null")) {
				p[name] = string(value)
			}
		}
	}
	return p, nil
}

// canonical joins the parameters, sorted and encoded as both signatures need them, without one
// of them.
func (p params) canonical(without string) string {
	var pairs strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name == without {
			continue
		}
		if pairs.Len() > 0 {
			pairs.WriteByte('&')
		}
		pairs.WriteString(percentEncode(name))
		pairs.WriteByte('=')
		pairs.WriteString(percentEncode(p[name]))
	}
	return pairs.String()
}

// percentEncode encodes as RFC 3986 requires. url.QueryEscape differs only in the space.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
