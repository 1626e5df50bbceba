package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/internal/phone"
	"github.com/codeferry/codeferry/messages"
)

// Step is a connector in an app's route for a channel, with the conditions of the
// messages that it serves. Written as the connector's name alone, it serves all
// messages. If it has several conditions, all must hold.
type Step struct {
	// Connector names one of the connectors.
	Connector string `yaml:"connector"`
	// Mainland true means only numbers of mainland China, and false only all others.
	// Default: both.
	Mainland *bool `yaml:"mainland"`
	// Domains are the domains of the mail addresses that it serves. example.com is that
	// domain alone, *.example.com each domain below it. Default: all.
	Domains []string `yaml:"domains"`
	// Types are the usage types that it serves. Default: all.
	Types []messages.Type `yaml:"types"`
}

// UnmarshalText reads a connector's name.
func (s *Step) UnmarshalText(text []byte) error {
	*s = Step{Connector: string(text)}
	return nil
}

// Always reports whether the step serves all messages.
func (s Step) Always() bool {
	return s.Mainland == nil && len(s.Domains) == 0 && len(s.Types) == 0
}

// Serves reports whether the step serves a message of a type to a recipient.
func (s Step) Serves(to string, t messages.Type) bool {
	if len(s.Types) > 0 && !slices.ContainsFunc(s.Types, func(mine messages.Type) bool { return mine.Canonical() == t.Canonical() }) {
		return false
	}
	if s.Mainland != nil && *s.Mainland != mainland(to) {
		return false
	}
	if len(s.Domains) == 0 {
		return true
	}
	_, domain, _ := strings.Cut(to, "@")
	return slices.ContainsFunc(s.Domains, func(mine string) bool { return within(domain, mine) })
}

// String describes the conditions to a user. It is empty for a step that serves all
// messages.
func (s Step) String() string {
	var parts []string
	if s.Mainland != nil {
		parts = append(parts, map[bool]string{true: "mainland numbers", false: "numbers outside the mainland"}[*s.Mainland])
	}
	if len(s.Domains) > 0 {
		parts = append(parts, strings.Join(s.Domains, ", "))
	}
	if len(s.Types) > 0 {
		names := make([]string, len(s.Types))
		for i, t := range s.Types {
			names[i] = string(t)
		}
		parts = append(parts, strings.Join(names, ", "))
	}
	return strings.Join(parts, "; ")
}

// mainland reports whether a number is of mainland China, by the same rule as Logto
// outside its strict mode.
func mainland(to string) bool {
	n, err := phone.Parse(to, false)
	return n.Mainland || errors.Is(err, phone.ErrNotMobile)
}

// within reports whether a domain is the named one, or below base if the name is *.base.
// It ignores case.
func within(domain, named string) bool {
	domain, named = strings.ToLower(domain), strings.ToLower(named)
	if base, ok := strings.CutPrefix(named, "*"); ok {
		return strings.HasSuffix(domain, base)
	}
	return domain == named
}

// Route returns the steps of a channel, in the order to try them.
func (a App) Route(c messages.Channel) []Step {
	if c == messages.Email {
		return a.Email
	}
	return a.SMS
}

// Chain returns the connectors for a message of a type to a recipient, each once, in the
// order to try them.
func (a App) Chain(c messages.Channel, to string, t messages.Type) []string {
	var chain []string
	for _, s := range a.Route(c) {
		if s.Serves(to, t) && !slices.Contains(chain, s.Connector) {
			chain = append(chain, s.Connector)
		}
	}
	return chain
}

// route checks an app's steps for a channel.
func (d *decoder) route(c *Config, path string, ch messages.Channel, steps []Step) {
	always := make(map[string]bool)
	for i, s := range steps {
		at := fmt.Sprintf("%s[%d]", path, i)
		conn, ok := c.Connectors[s.Connector]
		switch {
		case d.bad[at]:
		case s.Connector == "":
			d.failPath(at, "names no connector; set connector")
		case !ok && d.bad["connectors"]:
		case !ok:
			d.failPath(at, "names the connector %q, which does not exist; connectors has %s", s.Connector, list(connectorNames(c)))
		case conn.Settings != nil && conn.Settings.Channel() != ch:
			d.failPath(at, "names the connector %q, which sends %s", s.Connector, conn.Settings.Channel())
		case always[s.Connector]:
			d.failPath(at, "names the connector %q a second time", s.Connector)
		}
		always[s.Connector] = always[s.Connector] || s.Always()
		d.conditions(at, ch, s)
	}
	if len(steps) > 0 && !everybody(steps) {
		d.warnings = append(d.warnings, d.problemAt(path, "has no step that serves all messages: a message that no step serves becomes a dead letter"))
	}
}

// everybody reports whether the steps together serve all messages.
func everybody(steps []Step) bool {
	var mainland, others bool
	for _, s := range steps {
		if s.Always() {
			return true
		}
		if s.Mainland != nil && len(s.Types) == 0 {
			mainland = mainland || *s.Mainland
			others = others || !*s.Mainland
		}
	}
	return mainland && others
}

func (d *decoder) conditions(at string, ch messages.Channel, s Step) {
	if s.Mainland != nil && ch != messages.SMS {
		d.failPath(at+".mainland", "is for sms; for email use domains")
	}
	if len(s.Domains) > 0 && ch != messages.Email {
		d.failPath(at+".domains", "is for email; for sms use mainland")
	}
	for i, name := range s.Domains {
		if base := strings.TrimPrefix(name, "*."); base == "" || strings.ContainsAny(base, "*@ ") || strings.HasPrefix(base, ".") {
			d.failPath(fmt.Sprintf("%s.domains[%d]", at, i), "%q is not a domain; it takes example.com, or *.example.com for the domains below it", name)
		}
	}
	for i, t := range s.Types {
		if !t.Valid() {
			d.failPath(fmt.Sprintf("%s.types[%d]", at, i), "%q is not a usage type such as SignIn", t)
		}
	}
}
