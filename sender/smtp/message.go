package smtp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/address"
)

// maker makes a connector's mails.
type maker struct {
	from    string
	replyTo []*mail.Address
	// utf8 names a setting that needs a server with SMTPUTF8; empty for none.
	utf8    string
	headers string
	now     func() time.Time
}

// mailing is a mail with its envelope.
type mailing struct {
	from, to string // in brackets
	// utf8 is true if the server must support SMTPUTF8 (RFC 6531). utf8Setting is the
	// setting that needs it; empty if the recipient does.
	utf8        bool
	utf8Setting string
	id          string
	data        []byte
}

// make makes a mail. Its error is a *sender.Error.
func (k *maker) make(m *sender.Message) (*mailing, *sender.Error) {
	to, err := address.Bare(m.To)
	if err != nil {
		return nil, sender.Invalid("the recipient %v", err)
	}
	out := &mailing{
		from: (&mail.Address{Address: k.from}).String(), to: to.Mail().String(),
		utf8: k.utf8 != "" || to.UTF8, utf8Setting: k.utf8, id: messageID(m.ID, k.from),
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.SetMessageIDWithValue(strings.Trim(out.id, "<>"))
	msg.SetDateWithValue(k.now())
	switch {
	case m.HTML == "":
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	case m.Text == "":
		msg.SetBodyString(gomail.TypeTextHTML, m.HTML)
	default: // the best part comes last (RFC 2046, 5.1.4)
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	var body bytes.Buffer
	if _, err := msg.WriteTo(&body); err != nil {
		return nil, sender.Invalid("the mail can't be written")
	}
	var b strings.Builder
	b.WriteString(k.headers)
	if !strings.Contains("\r\n"+strings.ToLower(k.headers), "\r\n"+autoSubmitted) {
		b.WriteString("Auto-Submitted: auto-generated\r\n") // machines must not reply to it (RFC 3834, 5)
	}
	k.address(&b, m, to)
	header, rest, _ := strings.Cut(body.String(), "\r\n\r\n")
	b.WriteString(strings.Replace(header, "Message-ID:\r\n ", "Message-ID: ", 1)) // go-mail folds a long one before its first word
	b.WriteString("\r\n\r\n" + rest)
	out.data = []byte(b.String())
	return out, nil
}

// address writes the headers that a mail program shows before a mail is opened. go-mail
// would begin long ones with an empty line.
func (k *maker) address(b *strings.Builder, m *sender.Message, to address.Address) {
	fold(b, "From", addressWords("From", &mail.Address{Name: oneLine(m.FromAlias), Address: k.from}))
	fold(b, "To", addressWords("To", to.Mail()))
	replyTo := make([]string, 0, len(k.replyTo))
	for i, a := range k.replyTo {
		if i > 0 {
			replyTo[len(replyTo)-1] += ","
		}
		replyTo = append(replyTo, addressWords("Reply-To", a)...)
	}
	if len(replyTo) > 0 {
		fold(b, "Reply-To", replyTo)
	}
	fold(b, "Subject", encode("Subject", oneLine(m.Subject)))
}

const autoSubmitted = "auto-submitted:"

// needsUTF8 returns the error for a server without SMTPUTF8.
func (m *mailing) needsUTF8() error {
	if m.utf8Setting != "" {
		return &refusal{sender.Misconfigured, codeNoUTF8, m.utf8Setting + " needs a server that supports SMTPUTF8, and this one does not"}
	}
	return &refusal{sender.Permanent, codeNoUTF8, "the recipient's address needs a server that supports SMTPUTF8, and this one does not"}
}

func domainOf(addr string) string { return addr[strings.LastIndexByte(addr, '@')+1:] }

// oneLine returns a rendered text as one line, for a header.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
}

// maxIDText is the maximum length of a message id that is put into a Message-ID
// unchanged.
const maxIDText = 64

// messageID returns the same Message-ID each time the same message is sent, so a mailbox
// that gets it twice can tell. An id that does not fit is hashed.
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
