package wire_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestMessageID: an id is the first of the body's, the header's and the place in the stream that
// can be one, whatever else is wrong with the message.
func TestMessageID(t *testing.T) {
	t.Parallel()
	const (
		good  = `"to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}`
		noTo  = `"to":"nobody","type":"SignIn","payload":{"code":"123456"}`
		noTyp = `"to":"+8613012345678","type":7,"payload":{"code":"123456"}`
	)
	for name, c := range map[string]struct{ body, header, want string }{
		"the body's":                          {`{"id":"a",` + good + `}`, "b", "a"},
		"the header's":                        {`{` + good + `}`, "b", "b"},
		"the place":                           {`{` + good + `}`, "", "CODEFERRY-17"},
		"the header's can't be one":           {`{` + good + `}`, "b c", "CODEFERRY-17"},
		"the body's can't be one":             {`{"id":"a\u001b[2J",` + good + `}`, "b", "b"},
		"it can't, and the recipient":         {`{"id":"a\u001b[2J",` + noTo + `}`, "b", "b"},
		"it can't, and the type can't":        {`{"id":"a\u001b[2J",` + noTyp + `}`, "b", "b"},
		"it is too long, and the recipient":   {`{"id":"` + strings.Repeat("a", 201) + `",` + noTo + `}`, "", "CODEFERRY-17"},
		"only the recipient can't be right":   {`{"id":"a",` + noTo + `}`, "b", "a"},
		"the body can't be read":              {`{"id":"a"`, "b", "b"},
		"neither it nor the header can be it": {`{"id":"a b",` + noTo + `}`, "b\u00e9", "CODEFERRY-17"},
	} {
		code, _ := wire.Decode([]byte(c.body), messages.SMS)
		h := nats.Header{}
		if c.header != "" {
			h.Set(jetstream.MsgIDHeader, c.header)
		}
		if got := wire.MessageID(h, code, 17); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
