package ses

import (
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go"

	"github.com/codeferry/codeferry/sender"
)

type options = sesv2.Options

// Rows walks the catalogue.
func Rows(row func(name string, class sender.Class, scope sender.Scope)) {
	for _, r := range rules {
		if r.codes == nil {
			row(r.says, r.class, r.scope)
		}
		for _, code := range r.codes {
			row(code+" "+r.says, r.class, r.scope)
		}
	}
}

// ClassifyForTest classes an error of SES's without a request.
func ClassifyForTest(s sender.Sender, code, message string, status int, m *sender.Message) *sender.Error {
	return s.(*connector).failure(&smithy.GenericAPIError{Code: code, Message: message}, &attempt{begun: true, status: status}, m)
}
