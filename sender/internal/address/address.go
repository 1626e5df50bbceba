// Package address writes email addresses as mail servers and providers take them. All
// addresses of all email connectors pass through it: those of the sender and the
// recipient, for replies and bounces, and in headers.
package address

import (
	"errors"
	"net/mail"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// Address is an email address, with or without a name.
type Address struct {
	Name string
	// Addr is the address without the name. Its domain is ASCII: an international domain
	// is written in Punycode (RFC 5890), which every server takes.
	Addr string
	// UTF8 is true if the part before the @ is not ASCII. It has no ASCII form, and needs
	// a server with SMTPUTF8 (RFC 6531).
	UTF8 bool
}

// ErrLocal means that the part before the @ is not ASCII, and that ASCII is required.
var ErrLocal = errors.New("is not ASCII before the @")

var (
	errAddress = errors.New("is not an email address")
	errDomain  = errors.New("has an invalid domain")
)

// Bare reads an address without a name. No error of this package holds an address.
func Bare(s string) (Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" {
		return Address{}, errAddress
	}
	return wire(a)
}

// Parse reads an address with or without a name.
func Parse(s string) (Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return Address{}, errAddress
	}
	return wire(a)
}

// ParseList reads addresses separated by commas.
func ParseList(s string) ([]Address, error) {
	parsed, err := mail.ParseAddressList(s)
	if err != nil {
		return nil, errAddress
	}
	all := make([]Address, len(parsed))
	for i, a := range parsed {
		if all[i], err = wire(a); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// wire writes an address in the one form that servers get.
func wire(a *mail.Address) (Address, error) {
	i := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:i], a.Address[i+1:]
	domain, err := Domain(domain)
	return Address{Name: a.Name, Addr: local + "@" + domain, UTF8: !IsASCII(local)}, err
}

// Domain writes a domain in ASCII. It does not change an ASCII domain.
func Domain(domain string) (string, error) {
	if IsASCII(domain) {
		return domain, nil
	}
	out, err := idna.Lookup.ToASCII(domain)
	// A domain of full stops such as U+3002 passes, and so does one that ends with it.
	if err != nil || slices.Contains(strings.Split(out, "."), "") {
		return "", errDomain
	}
	return out, nil
}

// ASCII returns an address that any server takes.
func (a Address) ASCII() (string, error) {
	if a.UTF8 {
		return "", ErrLocal
	}
	return a.Addr, nil
}

// Mail returns the address for net/mail, whose String writes it for a header.
func (a Address) Mail() *mail.Address { return &mail.Address{Name: a.Name, Address: a.Addr} }

// IsASCII reports whether a text is ASCII alone.
func IsASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// Domains returns the ways to write a domain: as it is, in ASCII and in Unicode.
func Domains(domain string) []string {
	all := []string{domain}
	for _, convert := range []func(string) (string, error){idna.Lookup.ToASCII, idna.Lookup.ToUnicode} {
		if d, err := convert(domain); err == nil && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}
