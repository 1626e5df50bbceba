package smtp

import (
	"context"
	"fmt"
	"net/textproto"

	"github.com/codeferry/codeferry/sender"
)

// stages are the stages by command.
var stages = map[string]stage{
	"GREETING": atGreeting, "EHLO": atHello, "AUTH": atAuth, "MAIL": atMail, "RCPT": atRcpt, "DATA": atData, "END": atEnd,
}

// Refused returns the error that a reply gives a message.
func Refused(at string, code int, text string, m *sender.Message) *sender.Error {
	return failure(context.Background(), stages[at], &textproto.Error{Code: code, Msg: text}, private{message: m, from: "no-reply@example.com"})
}

// Broken returns the error of a connection that breaks after a command was sent.
func Broken(ctx context.Context, at string, err error) *sender.Error {
	return failure(ctx, stages[at], err, private{})
}

// Rows walks the catalogue.
func Rows(row func(name string, class sender.Class, scope sender.Scope)) {
	for _, r := range rules {
		row(fmt.Sprint(r.at, " ", r.reply, " ", r.status, " ", r.text), r.class, r.scope)
	}
	for at, r := range noReply {
		row(fmt.Sprint("no reply at ", int(at)), r.class, r.scope)
	}
}
