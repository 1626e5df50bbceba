package worker

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/codeferry/codeferry/messages"
)

// hidden stands for what was taken out of a provider's words.
const hidden = "[hidden]"

// shortest is the shortest value that is looked for: a code has four characters,
// and shorter ones would tear up words that say nothing.
const shortest = 4

// scrub takes the recipient and the payload's values out of a provider's words,
// as they are and as a URL has them, and every other address.
func scrub(text string, code *messages.SendCode) string {
	if text == "" {
		return ""
	}
	var pairs []string
	hide := func(value string) {
		if len(value) < shortest {
			return
		}
		for _, form := range []string{value, url.QueryEscape(value), url.QueryEscape(url.QueryEscape(value))} {
			pairs = append(pairs, form, hidden)
		}
	}
	hide(code.To)
	digits := messages.Digits(code.To)
	hide(digits)
	if len(digits) > 11 {
		hide(digits[len(digits)-11:]) // without its country code
	}
	hide(code.IP)
	eachText(code.Payload, hide)
	return anyAddress.ReplaceAllString(strings.NewReplacer(pairs...).Replace(text), hidden)
}

// anyAddress is what looks like an email address, also as a URL has it, or like a
// phone number: a provider may speak of another recipient than the message's.
var anyAddress = regexp.MustCompile(`[\pL\pN._%+-]+(?:@|%40|%2540)[\pL\pN.-]+|(?:^|\b|\+)[0-9]{9,15}\b`)

// eachText calls f with every text in a payload, but for the locales: they hide
// nothing.
func eachText(v any, f func(string)) {
	switch x := v.(type) {
	case string:
		f(x)
	case messages.Payload:
		eachText(map[string]any(x), f)
	case map[string]any:
		for name, v := range x {
			if name != "locale" && name != "uiLocales" {
				eachText(v, f)
			}
		}
	case []any:
		for _, v := range x {
			eachText(v, f)
		}
	}
}
