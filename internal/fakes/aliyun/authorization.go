package aliyun

import (
	"errors"
	"strings"
)

const acs3Algorithm = "ACS3-HMAC-SHA256"

// errAlgorithm means that the request has signature V3, but with another algorithm than
// acs3Algorithm.
var errAlgorithm = errors.New("the algorithm is not " + acs3Algorithm)

// authorization is the Authorization header of signature V3.
type authorization struct {
	keyID string
	// signed are the names of the signed headers: in small letters, sorted, each once.
	signed    []string
	signature string
}

// parseAuthorization reads the header in the form that Aliyun documents, and in no other:
//
//	ACS3-HMAC-SHA256 Credential=<id>,SignedHeaders=<name>;<name>,Signature=<hex>
func parseAuthorization(header string) (authorization, error) {
	algorithm, rest, _ := strings.Cut(header, " ")
	switch {
	case algorithm == acs3Algorithm:
	case strings.HasPrefix(algorithm, acs3Prefix):
		return authorization{}, errAlgorithm
	default:
		return authorization{}, errors.New("the Authorization header does not begin with " + acs3Algorithm)
	}
	var values [3]string
	fields := strings.Split(rest, ",")
	for i, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		var ok bool
		if i < len(fields) {
			values[i], ok = strings.CutPrefix(fields[i], name+"=")
		}
		if !ok || values[i] == "" {
			return authorization{}, errors.New("the Authorization header has no " + name + " in its place")
		}
	}
	if len(fields) > len(values) {
		return authorization{}, errors.New("the Authorization header has more than three fields")
	}
	a := authorization{keyID: values[0], signed: strings.Split(values[1], ";"), signature: values[2]}
	for i, name := range a.signed {
		switch {
		case name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " \t"):
			return authorization{}, errors.New("SignedHeaders is not a list of header names in small letters")
		case i > 0 && a.signed[i-1] >= name:
			return authorization{}, errors.New("SignedHeaders is not sorted, or has a name twice")
		}
	}
	return a, nil
}
