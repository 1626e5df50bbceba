package ses

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The default keys, as in AWS's documentation of the signature.
const (
	KeyID     = "AKIDEXAMPLE"
	KeySecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" //nolint:gosec // nobody's
)

// Keys are a caller's keys. Only temporary keys have a Token.
type Keys struct{ ID, Secret, Token string }

// verify checks a request's Authorization header by AWS Signature Version 4 (IAM user guide,
// "Create a signed AWS API request").
func verify(r *http.Request, body []byte, k Keys, region string, now time.Time) *Refusal {
	scheme, fields, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if fields == "" {
		return &Refusal{"MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	got := make(map[string]string)
	for field := range strings.SplitSeq(fields, ", ") {
		name, value, _ := strings.Cut(field, "=")
		got[name] = value
	}
	scope := strings.Split(got["Credential"], "/")
	signed := strings.Split(got["SignedHeaders"], ";")
	if scheme != "AWS4-HMAC-SHA256" || len(scope) != 5 || !slices.IsSorted(signed) || !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date") {
		return &Refusal{"IncompleteSignatureException", "Authorization header: " + r.Header.Get("Authorization")}
	}
	if scope[0] != k.ID || r.Header.Get("X-Amz-Security-Token") != k.Token {
		return &Refusal{"UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	if k.Token != "" && !slices.Contains(signed, "x-amz-security-token") {
		return &Refusal{"InvalidSignatureException", "the token is not signed"}
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || scope[1] != date[:8] || scope[2] != region || scope[3] != "ses" || scope[4] != "aws4_request" {
		return &Refusal{"InvalidSignatureException", "Credential should be scoped to a valid region and service."}
	}
	const window = 15 * time.Minute
	if at.Before(now.Add(-window)) {
		return &Refusal{"InvalidSignatureException", fmt.Sprintf("Signature expired: %s is now earlier than %s", date, now.Add(-window).UTC().Format("20060102T150405Z"))}
	}
	if at.After(now.Add(window)) {
		return &Refusal{"InvalidSignatureException", fmt.Sprintf("Signature not yet current: %s is still later than %s", date, now.Add(window).UTC().Format("20060102T150405Z"))}
	}
	canonical := canonicalRequest(r, signed, body)
	scopeText := strings.Join(scope[1:], "/")
	toSign := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", date, scopeText, sha256.Sum256([]byte(canonical)))
	key := []byte("AWS4" + k.Secret)
	for _, part := range append(scope[1:], toSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(key)), []byte(got["Signature"])) {
		return &Refusal{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.\n\n" +
			"The Canonical String for this request should have been\n'" + canonical + "'\n\nThe String-to-Sign should have been\n'" + toSign + "'"}
	}
	return nil
}

func canonicalRequest(r *http.Request, signed []string, body []byte) string {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.QueryEscape(s), "+", "%20") // encoded twice, as every service except S3 requires
	}
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	return strings.Join([]string{
		r.Method, strings.Join(segments, "/"), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"),
		headers.String(), strings.Join(signed, ";"), fmt.Sprintf("%x", sha256.Sum256(body)),
	}, "\n")
}
