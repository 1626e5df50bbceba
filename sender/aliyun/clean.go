package aliyun

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxMessage bounds what is kept of a provider's message, in characters.
const maxMessage = 200

// stringToSign is where a message begins to repeat the whole request.
var stringToSign = regexp.MustCompile(`(?is)[ :,;]*string\s*to\s*sign.*`)

// clean keeps what a person needs of a provider's message: one line of it, and
// nothing of who was to be sent what. Aliyun repeats a number that it refuses,
// and all that was signed where the signature is wrong.
func clean(message string, sent Params) string {
	message = stringToSign.ReplaceAllString(message, " string to sign […]")
	message = hide(message, sent)
	message = strings.Join(strings.Fields(message), " ")
	if r := []rune(message); len(r) > maxMessage {
		return string(r[:maxMessage]) + "…"
	}
	return message
}

// privateNames are the parameters that say who is sent what, and the token that
// STS is given.
var privateNames = []string{"PhoneNumbers", "PhoneNumber", "TemplateParam", "ToAddress", "Subject", "HtmlBody", "TextBody", "OIDCToken"}

// minPrivate is the shortest value that is looked for, in bytes: a code has four
// characters, and shorter ones stand in words that say nothing.
const minPrivate = 4

// hide takes the private values that were sent out of a message, as they are and as
// a URL has them.
func hide(message string, sent Params) string {
	var values []string
	for _, name := range privateNames {
		values = append(values, sent.Get(name))
	}
	var params map[string]string
	if json.Unmarshal([]byte(sent.Get("TemplateParam")), &params) == nil {
		values = slices.AppendSeq(values, maps.Values(params))
	}
	var patterns []string
	for _, v := range values {
		if len(v) < minPrivate || len(v) > len(message) {
			continue
		}
		once := url.QueryEscape(v)
		for _, written := range []string{v, once, strings.ReplaceAll(once, "+", "%20"), url.QueryEscape(once)} {
			patterns = append(patterns, regexp.QuoteMeta(strings.ToValidUTF8(written, "\uFFFD")))
		}
	}
	if len(patterns) == 0 {
		return message
	}
	return regexp.MustCompile("(?i)"+strings.Join(patterns, "|")).ReplaceAllLiteralString(message, "[hidden]")
}
