package smtp

import (
	"context"
	"errors"
	"net/textproto"
	"time"

	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/expiry"
)

type connector struct {
	mails   *sender.Mails
	maker   *maker
	pool    *pool
	timeout time.Duration
}

// From returns the address that mail comes from.
func (c *connector) From() string { return c.maker.from }

// Render fills in the template for the message's type.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	return c.mails.Render(m)
}

// Close closes the open connections; those in use are closed when they are done. Sending
// is still possible afterwards, but keeps no connection open.
func (c *connector) Close() error {
	c.pool.close()
	return nil
}

// Send sends the message to the server, once. If an idle connection turns out to be
// closed before the message leaves, Send immediately replaces it, once.
func (c *connector) Send(ctx context.Context, m *sender.Message) (r sender.Receipt, err error) {
	defer func() {
		if recover() != nil {
			r, err = sender.Receipt{}, &sender.Error{Class: sender.Unknown, Scope: sender.ScopeMessage, Code: "SMTP.Panic", Detail: "codeferry panicked during the session with the server"}
		}
	}()
	mail, invalid := c.maker.make(m)
	if invalid != nil {
		return sender.Receipt{}, invalid
	}
	late := func() bool { return expiry.Over(m.NotAfter, c.maker.now()) }
	if late() {
		return sender.Receipt{}, expired()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	early, free := expiry.Bound(ctx, m.NotAfter)
	defer free()
	s, failed := c.pool.take(early)
	if failed != nil {
		return sender.Receipt{}, c.opened(early, failed)
	}
	said := false // a session is not used again if codeferry panicked on it
	defer func() {
		s.broken = s.broken || !said
		c.pool.give(s)
	}()
	answer, at, broke := s.deliver(ctx, early, mail, late)
	if s.lost(ctx, at, broke) {
		c.pool.distrust()
	}
	if s.ended(at, broke) && early.Err() == nil {
		if failed := c.pool.renew(early, s); failed != nil {
			return sender.Receipt{}, c.opened(early, failed)
		}
		answer, at, broke = s.deliver(ctx, early, mail, late)
	}
	said = true
	if broke != nil {
		hidden := private{secrets: []string{c.pool.dialer.pass.Reveal()}, message: m, from: c.maker.from}
		e := c.pool.dialer.explain(failure(ctx, at, broke, hidden), at, broke)
		e.RequestID = mail.id
		return sender.Receipt{}, e
	}
	s.sent++
	return sender.Receipt{ProviderID: queueID(answer), RequestID: mail.id}, nil
}

// opened returns the error if there was no session for a message.
func (*connector) opened(early context.Context, failed *sender.Error) *sender.Error {
	if expiry.Ended(early) {
		return expired()
	}
	return failed
}

// ended reports whether a kept session ended, by a 421 or a cut, before any part of the
// message left. That says nothing about the message or the server: servers end
// connections that have carried many messages, or were idle for long.
func (s *session) ended(at stage, broke error) bool {
	return broke != nil && s.rested && s.broken && at < atBody
}

// deliver makes one mail transaction (RFC 5321, 3.3). The stage says how far it came.
// From the first byte of the line that ends the message, the server may have it. Before
// that byte, early ends the transaction, no later than ctx, and late is checked last.
// After it, only ctx ends the transaction.
func (s *session) deliver(ctx, early context.Context, m *mailing, late func() bool) (answer string, at stage, err error) {
	stop := context.AfterFunc(early, s.wire.cut)
	body, at, err := s.begin(m)
	cut := !stop()
	switch {
	case expiry.Ended(early), err == nil && late():
		err = expiry.ErrExpired
	case err == nil && cut:
		err = context.Cause(early)
	}
	if err != nil {
		s.broken = s.broken || cut || body != nil // the next command would end half a message
		return "", at, err
	}
	stop = context.AfterFunc(ctx, s.wire.cut)
	answer, at, err = s.finish(body)
	s.broken = s.broken || !stop()
	return answer, at, err
}

// begin makes a mail transaction (RFC 5321, 3.3) without the line that ends the message.
// The stage says how far it came.
func (s *session) begin(m *mailing) (body *gosmtp.DataCloser, at stage, err error) {
	if m.utf8 {
		if !s.offers.has("SMTPUTF8") {
			return nil, atMail, m.needsUTF8()
		}
	}
	s.client.SkipSMTPUTF8(!m.utf8)
	if err := s.say(func() error { return s.client.Mail(m.from) }); err != nil {
		return nil, atMail, err
	}
	if err := s.say(func() error { return s.client.Rcpt(m.to) }); err != nil {
		return nil, atRcpt, err
	}
	err = s.say(func() error {
		w, err := s.client.Data()
		body, _ = w.(*gosmtp.DataCloser)
		return err
	})
	if err != nil {
		return nil, atData, err
	}
	return body, atBody, s.write(body, m.data)
}

// write sends the message without the line that ends it.
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

// lastWord returns what a server replied before it closed the connection in the middle of
// a message. That says more than the broken connection. Without its end there is no
// message, whatever the reply.
func (s *session) lastWord(err error) error {
	s.wire.silence = farewell
	s.wire.read = 0
	if code, text, failed := s.client.Text.ReadResponse(0); failed == nil && code >= 400 {
		return &textproto.Error{Code: code, Msg: text}
	}
	return err
}

// finish writes the line that ends the message, and reads the reply. From the line's
// first byte on, a missing reply is doubt.
func (s *session) finish(body *gosmtp.DataCloser) (answer string, at stage, err error) {
	before := s.wire.written
	err = s.wire.why(bare(body.Close()))
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

// Check connects and signs in, and sends no message.
func (c *connector) Check(ctx context.Context) (err error) {
	defer func() {
		if recover() != nil {
			err = &sender.Error{Class: sender.Unavailable, Code: "SMTP.Panic", Detail: "codeferry panicked during the session with the server"}
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
		if _, ok := errors.AsType[*textproto.Error](err); ok {
			return nil // signing in succeeded; an error of QUIT does not matter
		}
		return failure(ctx, atHello, err, private{})
	}
	return nil
}
