package worker

import (
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
)

func TestRoute(t *testing.T) {
	abroad := false
	for name, c := range map[string]struct {
		unknown  bool
		steps    []config.Step
		suspects []string
		chain    []string
		reason   messages.Reason
		detail   string
	}{
		"in its order":                         {steps: steps("b", "a"), chain: []string{"b", "a"}},
		"each once":                            {steps: steps("b", "a", "b"), chain: []string{"b", "a"}},
		"no such app":                          {unknown: true, steps: steps("a"), reason: messages.ReasonMisconfigured, detail: "the configuration has no app default"},
		"no connector for the channel":         {reason: messages.ReasonMisconfigured, detail: "app default has no connector for sms"},
		"none for this number":                 {steps: []config.Step{{Connector: "a", Mainland: &abroad}}, reason: messages.ReasonMisconfigured, detail: "no step of app default for sms takes this recipient and type"},
		"a suspect goes alone":                 {steps: steps("a", "b"), suspects: []string{"b"}, chain: []string{"b"}},
		"all suspects, in the route's order":   {steps: steps("a", "b", "c"), suspects: []string{"c", "a"}, chain: []string{"a", "c"}},
		"a suspect that has left its route":    {steps: steps("a"), suspects: []string{"b"}, reason: messages.ReasonDoubt, detail: "connector b may have sent it, and is no longer on its route"},
		"no such app, and it may be sent":      {unknown: true, suspects: []string{"b"}, reason: messages.ReasonDoubt, detail: "connector b may have sent it; since then: the configuration has no app"},
		"two suspects, one has left the route": {steps: steps("a", "b"), suspects: []string{"c", "b"}, chain: []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := routeStage{routes{channel: messages.SMS, connectors: named(connect("a", nil), connect("b", nil), connect("c", nil))}}
			d := fresh(t)
			d.app, d.appKnown, d.suspects = config.App{SMS: c.steps}, !c.unknown, c.suspects
			v, ok := s.handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.reason != "")
			check.Equal(t, "reason", v.reason, c.reason)
			contains(t, "detail", v.detail, c.detail)
			var chain []string
			for _, conn := range d.chain {
				chain = append(chain, conn.name)
			}
			same(t, "connectors", chain, c.chain)
		})
	}
}
