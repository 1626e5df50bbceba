package address

import (
	"net/mail"
	"net/url"
	"regexp"
	"strings"
)

// Header writes the value of a header with addresses or URLs, such as Errors-To or
// List-Unsubscribe, as servers take it. It works for every header: a value that is ASCII,
// or that is neither addresses nor URLs, does not change. utf8 reports whether the value
// needs SMTPUTF8.
func Header(value string) (out string, utf8 bool, err error) {
	if IsASCII(value) {
		return value, false, nil
	}
	if strings.Contains(value, "@") {
		if _, failed := mail.ParseAddressList(value); failed == nil {
			return list(value)
		}
	}
	out = bracketed.ReplaceAllStringFunc(value, func(item string) string {
		u, failed := uri(item[1 : len(item)-1])
		if failed != nil {
			err = failed
		}
		return "<" + u + ">"
	})
	return out, false, err
}

// bracketed matches a URL as headers of mailing lists write it (RFC 2369).
var bracketed = regexp.MustCompile(`(?i)<(mailto:|https?://)[^<>\s]*>`)

func list(value string) (out string, utf8 bool, err error) {
	all, err := ParseList(value)
	if err != nil {
		return "", false, err
	}
	written := make([]string, len(all))
	for i, a := range all {
		written[i] = a.Mail().String()
		utf8 = utf8 || a.UTF8
	}
	return strings.Join(written, ", "), utf8, nil
}

// uri writes a URL in ASCII. Everything but the domain is percent-encoded, so a mailto:
// does not need SMTPUTF8 (RFC 6068, 2).
func uri(s string) (string, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	if strings.EqualFold(scheme, "mailto") {
		to, query, asks := strings.Cut(rest, "?")
		all := strings.Split(to, ",")
		for i, addr := range all {
			at := strings.LastIndexByte(addr, '@')
			domain, err := Domain(addr[at+1:])
			if err != nil {
				return "", err
			}
			all[i] = percent(addr[:at+1]) + domain
		}
		to = strings.Join(all, ",")
		if asks {
			to += "?" + percent(query)
		}
		return scheme + ":" + to, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", errDomain
	}
	host, err := Domain(u.Hostname())
	if err != nil {
		return "", err
	}
	if !IsASCII(u.Host) {
		if port := u.Port(); port != "" {
			host += ":" + port
		}
		u.Host = host
	}
	return percent(u.String()), nil
}

// percent encodes all non-ASCII bytes, and nothing else.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 0x80 {
			b.WriteString(url.PathEscape(s[i : i+1]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
