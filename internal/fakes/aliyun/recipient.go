package aliyun

import (
	"regexp"
	"strings"
)

var (
	digits = regexp.MustCompile(`^\d+$`)

	// mainland is a number of mainland China in one of the forms that SendSms accepts.
	mainland = regexp.MustCompile(`^(?:\+86|0086|86)?(1\d{10})$`)

	// overseas is a country code and a number. 86 begins mainland numbers only, and a 1
	// before ten digits looks like a mainland number.
	overseas = regexp.MustCompile(`^[2-9]\d{6,14}$`)

	// address is stricter than RFC 5322, as DirectMail is.
	address = regexp.MustCompile(`^[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9-]{2,}$`)
)

// parseNumber returns a number's digits (for mainland China without the country code), and
// whether it is a number of mainland China.
func parseNumber(s string) (number string, isMainland, ok bool) {
	if m := mainland.FindStringSubmatch(s); m != nil {
		return m[1], true, true
	}
	ok = overseas.MatchString(s) && !strings.HasPrefix(s, "86")
	return s, false, ok
}

// inboxKey returns the same key for all forms of one recipient: the plain number or the
// address in lower case. It is lenient, because queries use it too.
func inboxKey(to string) string {
	to = strings.ToLower(strings.TrimSpace(to))
	if strings.Contains(to, "@") {
		return to
	}
	number := strings.TrimPrefix(strings.TrimPrefix(to, "+"), "00")
	if m := mainland.FindStringSubmatch(number); m != nil {
		return m[1]
	}
	return number
}
