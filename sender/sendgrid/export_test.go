package sendgrid

import (
	"fmt"
	"net/http"

	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// Rows walks the catalogue.
func Rows(row func(name string, class sender.Class, scope sender.Scope)) {
	for _, e := range append(catalogue, other) {
		row(fmt.Sprint(e.status, " ", e.field, " ", e.words), e.class, e.scope)
	}
}

// Refused returns the error that an answer gives a message.
func Refused(status int, said string, m *sender.Message) *sender.Error {
	a := &answer{
		&httpclient.Answer{Status: status, Header: make(http.Header), Body: []byte(fakesendgrid.ErrorBody("", said))},
		(&connector{client: &client{}}).private(m),
	}
	return a.refusal()
}
