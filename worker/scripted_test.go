package worker_test

import (
	"context"
	"sync"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// scripted is a connector whose sends the test controls: f runs before the request, and if
// it returns an error the request is not made.
type scripted struct {
	sender.Config
	f func(context.Context, *sender.Message) error
}

func (s scripted) New() (sender.Sender, error) {
	inner, err := s.Config.New()
	if asker, ok := inner.(sender.Asker); ok {
		return struct {
			scriptedSender
			sender.Asker
		}{scriptedSender{inner, s.f}, asker}, err
	}
	return scriptedSender{inner, s.f}, err
}

type scriptedSender struct {
	sender.Sender
	f func(context.Context, *sender.Message) error
}

// Render names the templates by the message's type.
func (s scriptedSender) Render(code *messages.SendCode) (*sender.Message, error) {
	m, err := s.Sender.Render(code)
	if m != nil {
		m.Template = string(code.Type)
	}
	return m, err
}

func (s scriptedSender) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	if err := s.f(ctx, m); err != nil {
		return sender.Receipt{}, err
	}
	return s.Sender.Send(ctx, m)
}

// script lets f control a connector's sends.
func script(name string, f func(context.Context, *sender.Message) error) func(*config.Config) {
	return func(c *config.Config) {
		conn := c.Connectors[name]
		conn.Settings = scripted{conn.Settings, f}
		c.Connectors[name] = conn
	}
}

// barrier holds sends until the test lets them go.
type barrier struct {
	// reached has a value for each send that has arrived.
	reached chan string
	// open is closed when the sends may go on.
	open chan struct{}
	once sync.Once
}

func newBarrier(t *testing.T) *barrier {
	b := &barrier{reached: make(chan string, 1000), open: make(chan struct{})}
	t.Cleanup(b.lift)
	return b
}

func (b *barrier) hold(ctx context.Context, m *sender.Message) error {
	b.reached <- m.To
	select {
	case <-b.open:
	case <-ctx.Done():
	}
	return nil
}

func (b *barrier) lift() { b.once.Do(func() { close(b.open) }) }

// wait waits until n sends have arrived.
func (b *barrier) wait(r *rig, n int) {
	r.t.Helper()
	for range n {
		select {
		case <-b.reached:
		case <-r.ctx().Done():
			r.t.Fatal("the sends did not come")
		}
	}
}

// inApp adds an app whose mails go through a connector.
func inApp(app, connector string) func(*config.Config) {
	return func(c *config.Config) {
		c.Apps[app] = config.App{Email: []config.Step{{Connector: connector}}, SMS: c.Apps["default"].SMS, CodeTTL: c.Apps["default"].CodeTTL}
	}
}

// withClaims runs a test with claims off and on.
func withClaims(t *testing.T, f func(t *testing.T, set func(*config.Config))) {
	t.Helper()
	for _, claims := range []config.Claims{config.ClaimsOff, config.ClaimsOn} {
		t.Run("claims "+string(claims), func(t *testing.T) {
			t.Parallel()
			f(t, func(c *config.Config) { c.Worker.Claims = claims })
		})
	}
}

// grace sets how long the SMS connector is asked about a message in doubt.
func grace(name string, set config.Connector) func(*config.Config) {
	return func(c *config.Config) {
		conn := c.Connectors[name]
		conn.AskGrace = set.AskGrace
		c.Connectors[name] = conn
	}
}
