package smtp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"github.com/codeferry/codeferry/sender"
)

// maker makes a connector's mails.
type maker struct {
	from    string
	utf8    bool // from is beyond ASCII
	replyTo []*mail.Address
	headers string
	now     func() time.Time
}

// mailing is one mail with its envelope.
type mailing struct {
	from, to string // in brackets
	// utf8 tells that the server must know SMTPUTF8 (RFC 6531).
	utf8, utf8From bool
	id             string
	data           []byte
}

// make puts a mail together. Its error is an *sender.Error.
func (k *maker) make(m *sender.Message) (*mailing, *sender.Error) {
	to, utf8To, err := envelope(m.To)
	if err != nil {
		return nil, sender.Invalid("the recipient %v", err)
	}
	out := &mailing{
		from: (&mail.Address{Address: k.from}).String(), to: (&mail.Address{Address: to}).String(),
		utf8: k.utf8 || utf8To, utf8From: k.utf8, id: messageID(m.ID, k.from),
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.SetMessageIDWithValue(strings.Trim(out.id, "<>"))
	msg.SetDateWithValue(k.now())
	msg.FromMailAddress(&mail.Address{Name: oneLine(m.FromAlias), Address: k.from})
	msg.ToMailAddress(&mail.Address{Address: to})
	if len(k.replyTo) > 0 {
		msg.ReplyToMailAddress(k.replyTo...)
	}
	msg.Subject(oneLine(m.Subject))
	switch {
	case m.HTML == "":
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	case m.Text == "":
		msg.SetBodyString(gomail.TypeTextHTML, m.HTML)
	default: // the best part comes last (RFC 2046, 5.1.4)
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var b bytes.Buffer
	b.WriteString(k.headers)
	if !strings.Contains("\r\n"+strings.ToLower(k.headers), "\r\n"+autoSubmitted) {
		b.WriteString("Auto-Submitted: auto-generated\r\n") // nobody is to answer it by a machine (RFC 3834, 5)
	}
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, sender.Invalid("the mail can't be put together")
	}
	out.data = b.Bytes()
	return out, nil
}

const autoSubmitted = "auto-submitted:"

// needsUTF8 is the error where a server lacks SMTPUTF8.
func (m *mailing) needsUTF8() error {
	if m.utf8From {
		return &refusal{sender.Misconfigured, codeNoUTF8, "fromEmail needs a server that knows SMTPUTF8, and this one does not"}
	}
	return &refusal{sender.Permanent, codeNoUTF8, "the recipient's address needs a server that knows SMTPUTF8, and this one does not"}
}

// envelope returns an address as the server takes it: its domain in ASCII (RFC
// 5890). utf8 tells that the part before it is beyond ASCII.
func envelope(addr string) (out string, utf8 bool, err error) {
	if !isAddress(addr) {
		return "", false, errors.New("is no email address")
	}
	i := strings.LastIndexByte(addr, '@')
	local, domain := addr[:i], addr[i+1:]
	if !isASCII(domain) {
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return "", false, errors.New("has a domain that is none")
		}
	}
	return local + "@" + domain, !isASCII(local), nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func domainOf(addr string) string { return addr[strings.LastIndexByte(addr, '@')+1:] }

// oneLine makes a header's text of what may have been rendered from anything.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
}

// maxIDText is the longest message id that stands in a Message-ID as it is.
const maxIDText = 64

// messageID is the same whenever the same message is sent: a mailbox that gets
// it twice can tell. An id that does not fit there is hashed.
func messageID(id, from string) string {
	switch {
	case id == "":
		id = strings.ToLower(rand.Text())
	case len(id) > maxIDText || strings.Trim(id, ".") != id || strings.Contains(id, "..") || !isPlain(id):
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:16])
	}
	return "<" + id + "@" + domainOf(from) + ">"
}
