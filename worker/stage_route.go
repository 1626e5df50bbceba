package worker

import (
	"context"
	"fmt"
	"slices"

	"github.com/codeferry/codeferry/messages"
)

// routeStage chooses the connectors for a message, in the order to try them.
type routeStage struct {
	routes routes
}

func (s routeStage) handle(_ context.Context, d *delivery) (verdict, bool) {
	chain, why := s.routes.of(d)
	if len(chain) == 0 {
		return decided(dead(d, messages.ReasonMisconfigured, why))
	}
	if len(d.suspects) > 0 {
		// Only a connector that may have sent it may send it again, if its onDoubt allows
		// it.
		chain = slices.DeleteFunc(slices.Clone(chain), func(c *connector) bool { return !slices.Contains(d.suspects, c.name) })
		if len(chain) == 0 {
			return decided(dead(d, messages.ReasonDoubt, connectorList(d.suspects)+" may have sent it, and is no longer on its route"))
		}
	}
	d.chain = chain
	return pass()
}

// routes finds the connectors of a message's app and channel.
type routes struct {
	channel    messages.Channel
	connectors map[string]*connector
}

// of returns the connectors for a message. If the configuration has none for it, why says
// why.
func (r routes) of(d *delivery) (chain []*connector, why string) {
	if !d.appKnown {
		return nil, "the configuration has no app " + d.subject.App
	}
	for _, name := range d.app.Chain(r.channel, d.code.To, d.code.Type) {
		chain = append(chain, r.connectors[name])
	}
	switch {
	case len(chain) > 0:
		return chain, ""
	case len(d.app.Route(r.channel)) == 0:
		return nil, fmt.Sprintf("app %s has no connector for %s", d.subject.App, r.channel)
	}
	return nil, fmt.Sprintf("no step of app %s for %s takes this recipient and type", d.subject.App, r.channel)
}
