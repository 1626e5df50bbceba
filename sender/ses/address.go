package ses

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"

	"github.com/codeferry/codeferry/sender/internal/address"
)

// from returns the sender's name, which can hold placeholders, and address; or what is
// wrong with emailAddress.
func (c *Config) from() (from mail.Address, problem string) {
	from.Name = c.FromAlias
	written := c.EmailAddress
	if written == "" {
		// SES takes no mail without a From, and does not take it from the ARN.
		m := identityArn.FindStringSubmatch(c.EmailAddressIdentityArn)
		if len(m) < 2 || !strings.Contains(m[1], "@") {
			return from, "is required, unless emailAddressIdentityArn names an address"
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

// parseAddress reads an address with or without a name. SES takes only ASCII addresses,
// since it does not support SMTPUTF8 (API reference, Destination).
func parseAddress(s string) (mail.Address, error) {
	a, err := address.Parse(s)
	if err != nil {
		return mail.Address{}, fmt.Errorf(`%w; use no-reply@example.com or Example <no-reply@example.com>, with double quotes around a name that holds , . : ; ( ) or @`, err)
	}
	if strings.Contains(a.Addr, "{{") {
		return mail.Address{}, errors.New("has a placeholder in the address; only the name can have placeholders")
	}
	_, err = a.ASCII()
	return *a.Mail(), err
}

// optionalAddress is parseAddress for an address that can be empty.
func optionalAddress(s string) (mail.Address, error) {
	if s == "" {
		return mail.Address{}, nil
	}
	return parseAddress(s)
}

// written returns an address for a header: with the name quoted, or as encoded words (RFC
// 2047), as SES requires.
func written(name, addr string) string {
	if name == "" {
		return addr
	}
	if r := []rune(name); len(r) > maxFromAlias {
		name = string(r[:maxFromAlias])
	}
	a := mail.Address{Name: name, Address: addr}
	return a.String()
}
