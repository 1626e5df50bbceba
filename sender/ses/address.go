package ses

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// from returns the sender's name, which may hold placeholders, and its address;
// or what is wrong with emailAddress.
func (c *Config) from() (from mail.Address, problem string) {
	from.Name = c.FromAlias
	written := c.EmailAddress
	if written == "" {
		// SES takes no mail without a From, and does not read it out of the ARN.
		m := identityArn.FindStringSubmatch(c.EmailAddressIdentityArn)
		if len(m) < 2 || !strings.Contains(m[1], "@") {
			return from, "is required; only an emailAddressIdentityArn that names an address and no domain can stand for it"
		}
		written = m[1]
	}
	a, err := parseAddress(written)
	if err != nil {
		return from, fmt.Sprintf("%q %v", written, err)
	}
	if a.Name == "" {
		a.Name = c.FromAlias
	}
	return a, ""
}

// parseAddress reads an address with or without a name. Its domain becomes ASCII.
func parseAddress(s string) (mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return mail.Address{}, errors.New(`is no email address; it is no-reply@example.com or Example <no-reply@example.com>, with double quotes around a name that holds , . : ; ( ) or @`)
	}
	if strings.Contains(a.Address, "{{") {
		return mail.Address{}, errors.New("has a placeholder in the address; only the name may hold some")
	}
	if a.Address, err = ascii(a.Address); err != nil {
		return mail.Address{}, err
	}
	return *a, nil
}

// optionalAddress is parseAddress where there may be none.
func optionalAddress(s string) (mail.Address, error) {
	if s == "" {
		return mail.Address{}, nil
	}
	return parseAddress(s)
}

// ascii writes an address's domain in Punycode where it has to be: SES takes
// addresses of ASCII alone, since it does not know SMTPUTF8 (API reference,
// Destination). The error does not hold the address.
func ascii(address string) (string, error) {
	if isASCII(address) {
		return address, nil
	}
	at := strings.LastIndexByte(address, '@')
	local, domain := address[:at+1], address[at+1:]
	if !isASCII(local) {
		return "", errors.New("is not ASCII before its @, and SES takes no such address")
	}
	domain, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", errors.New("has a domain that can't be written in ASCII")
	}
	return local + domain, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// written returns an address as a header has it: the name quoted, or as encoded
// words (RFC 2047), as SES asks for.
func written(name, address string) string {
	if name == "" {
		return address
	}
	if r := []rune(name); len(r) > maxFromAlias {
		name = string(r[:maxFromAlias])
	}
	a := mail.Address{Name: name, Address: address}
	return a.String()
}
