package worker

import (
	"strings"
	"sync"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// TestUnfilledPlaceholders: they are logged once for each template and connector, without
// a value.
func TestUnfilledPlaceholders(t *testing.T) {
	var out syncbuf.Buffer // two connectors write it at once
	lacks := func(template string, names ...string) *fakeSender {
		return &fakeSender{render: func(*messages.SendCode) (*sender.Message, error) {
			return &sender.Message{Template: template, Missing: names, Text: "123456"}, nil
		}}
	}
	log := zerolog.New(&out)
	logged := func(name string) func(*connector) {
		return func(c *connector) { c.unfilled = newUnfilled(log.With().Str("connector", name).Logger()) }
	}
	a := connect("a", lacks("", "CODE", "user.name"), logged("a"))
	b := connect("b", lacks("SMS_1", "CODE"), logged("b"))
	var renders sync.WaitGroup
	for range 4 {
		renders.Go(func() {
			for _, c := range []*connector{a, b} {
				if _, err := c.render(fresh(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	renders.Wait()
	check.Equal(t, "lines of two connectors", strings.Count(out.String(), "\n"), 3)
	for _, want := range []string{`"connector":"a"`, `"connector":"b"`, `"level":"warn"`, `"type":"SignIn"`, `"placeholder":"CODE"`, `"placeholder":"user.name"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not have %s:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "123456") || strings.Contains(out.String(), "3012345678") {
		t.Errorf("the log shows the message: %s", out.String())
	}
	u := newUnfilled(log)
	for _, other := range []blank{{"SignIn", "", "x"}, {"Register", "", "x"}, {"SignIn", "t", "x"}, {"SignIn", "", "y"}} {
		check.Equal(t, "another place", u.first(other), true)
		check.Equal(t, "the same place", u.first(other), false)
	}
}
