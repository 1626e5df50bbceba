package smtp

import (
	"context"
	"errors"
	"net/textproto"
	"time"

	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

type connector struct {
	mails   *sender.Mails
	maker   *maker
	pool    *pool
	timeout time.Duration
}

// Render fills the template for the message's type in.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	return c.mails.Render(m)
}

// Close closes the connections that are open: those in use once they are done.
// It is safe to send afterwards; nothing is kept open then.
func (c *connector) Close() error {
	c.pool.close()
	return nil
}

// Send says the message to the server, once. A connection that has died while
// it rested is replaced before the message has begun.
func (c *connector) Send(ctx context.Context, m *sender.Message) (r sender.Receipt, err error) {
	defer func() {
		if recover() != nil {
			r, err = sender.Receipt{}, &sender.Error{Class: sender.Unknown, Code: "SMTP.Panic", Detail: "codeferry failed while it spoke with the server"}
		}
	}()
	mail, invalid := c.maker.make(m)
	if invalid != nil {
		return sender.Receipt{}, invalid
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	s, failed := c.pool.take(ctx)
	if failed != nil {
		return sender.Receipt{}, failed
	}
	whole := false // a session that was left half way is not used again
	defer func() {
		s.broken = s.broken || !whole
		c.pool.give(s)
	}()
	stop := context.AfterFunc(ctx, s.wire.cut)
	answer, at, broke := s.deliver(mail)
	whole = stop()
	if broke != nil {
		hide := hider{secrets: []string{c.pool.dialer.pass.Reveal()}, message: m, from: c.maker.from}
		e := failure(ctx, at, broke, hide)
		e.RequestID = mail.id
		return sender.Receipt{}, e
	}
	s.sent++
	return sender.Receipt{ProviderID: queueID(answer), RequestID: mail.id}, nil
}

// deliver is one mail transaction (RFC 5321, 3.3). The stage says how far it
// came.
func (s *session) deliver(m *mailing) (answer string, at stage, err error) {
	if m.utf8 {
		if ok, _ := s.client.Extension("SMTPUTF8"); !ok {
			return "", atMail, m.needsUTF8()
		}
	}
	s.client.SkipSMTPUTF8(!m.utf8)
	if err := s.say(func() error { return s.client.Mail(m.from) }); err != nil {
		return "", atMail, err
	}
	if err := s.say(func() error { return s.client.Rcpt(m.to) }); err != nil {
		return "", atRcpt, err
	}
	var body *gosmtp.DataCloser
	err = s.say(func() error {
		w, err := s.client.Data()
		body, _ = w.(*gosmtp.DataCloser)
		return err
	})
	if err != nil {
		return "", atData, err
	}
	if err := s.write(body, m.data); err != nil {
		return "", atBody, err
	}
	return s.finish(body)
}

// write has the message leave, but for the line that ends it.
func (s *session) write(body *gosmtp.DataCloser, data []byte) error {
	_, err := body.Write(data)
	if err == nil {
		err = s.client.Text.W.Flush()
	}
	switch {
	case err != nil:
		s.broken = true
		return s.lastWord(err)
	case s.client.Text.R.Buffered() > 0:
		s.broken = true
		return errUnasked
	}
	return nil
}

// lastWord is what a server said before it hung up in the middle of a message,
// which is better than that it did. Without the end there is no message,
// whatever it says.
func (s *session) lastWord(err error) error {
	s.wire.silence = farewell
	s.wire.read = 0
	if code, text, failed := s.client.Text.ReadResponse(0); failed == nil && code >= 400 {
		return &textproto.Error{Code: code, Msg: text}
	}
	return err
}

// finish writes the line that ends the message, and reads what became of it.
// From its first byte on, a missing answer is doubt.
func (s *session) finish(body *gosmtp.DataCloser) (answer string, at stage, err error) {
	before := s.wire.written
	err = bare(body.Close())
	var reply *textproto.Error
	switch isReply := errors.As(err, &reply); {
	case err == nil:
		return body.ServerResponse(), atEnd, nil
	case isReply && reply.Code >= 200 && reply.Code < 300:
		return reply.Msg, atEnd, nil
	case !isReply || reply.Code < 400 || reply.Code == codeClosing:
		s.broken = true
	}
	if reply == nil && s.wire.written == before {
		return "", atBody, err
	}
	return "", atEnd, err
}

// Check connects and signs in, and sends nothing.
func (c *connector) Check(ctx context.Context) (err error) {
	defer func() {
		if recover() != nil {
			err = &sender.Error{Class: sender.Unavailable, Code: "SMTP.Panic", Detail: "codeferry failed while it spoke with the server"}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	s, failed := c.pool.dialer.open(ctx)
	if failed != nil {
		return failed
	}
	stop := context.AfterFunc(ctx, s.wire.cut)
	defer stop()
	defer s.wire.cut()
	if err := s.say(s.client.Quit); err != nil {
		var reply *textproto.Error
		if errors.As(err, &reply) {
			return nil // it let us in; how it says goodbye is its own affair
		}
		return failure(ctx, atHello, err, hider{})
	}
	return nil
}
