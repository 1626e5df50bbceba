package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

type checkCmd struct {
	Config    string        `short:"c" required:"" help:"The configuration." placeholder:"FILE"`
	Timeout   time.Duration `help:"How long each connection may take." default:"10s"`
	Connector string        `help:"Check this connector alone." placeholder:"NAME"`
	App       string        `help:"The app of --to and --send-to." default:"default"`
	To        string        `help:"Show which connectors a message to this address would take." placeholder:"ADDRESS"`
	Type      string        `help:"The usage type of --to." default:"Generic"`
	SendTo    string        `help:"Send the Generic template with code 000000 to this address, through --connector or the first of the app's chain." placeholder:"ADDRESS"`
}

// Help shows how the command is used.
func (checkCmd) Help() string {
	return `Examples:
  codeferry check -c codeferry.yaml
  codeferry check -c codeferry.yaml --to +8613012345678 --type SignIn
  codeferry check -c codeferry.yaml --connector direct-mail --send-to you@example.com

Every mistake in the file is reported at once, with its line. Then NATS is
connected to, and each connector makes one harmless request that shows whether
its keys are good. Nothing is sent, but for --send-to. A line each: ok, warning
or error, and what to do. The exit status is 0 only where there is no error.`
}

// Run prints a line a thing that was checked.
func (c *checkCmd) Run(ctx context.Context, s streams) error {
	cfg, err := config.Load(c.Config, config.Env{})
	if err != nil {
		return err
	}
	connectors, err := c.connectors(cfg)
	if err != nil {
		return err
	}
	r := &checkReport{streams: s}
	defer connectors.close()
	r.ok(c.Config, fmt.Sprintf("%d apps, %d connectors", len(cfg.Apps), len(cfg.Connectors)))
	for _, w := range cfg.Warnings {
		r.warning(fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column), w.Path+" "+w.Text)
	}
	c.http(r, cfg)
	c.nats(ctx, r, cfg)
	for _, name := range slices.Sorted(maps.Keys(connectors)) {
		c.connector(ctx, r, name, cfg.Connectors[name].Type, connectors[name])
	}
	if c.To != "" {
		c.route(r, cfg, connectors)
	}
	if c.SendTo != "" {
		c.send(ctx, r, cfg, connectors)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if r.errors > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// checkReport prints the lines.
type checkReport struct {
	streams
	errors int
}

func (r *checkReport) line(color, word, what, text string) {
	word = fmt.Sprintf("%-8s", word)
	if r.color {
		word = "\x1b[" + color + "m" + word + "\x1b[0m"
	}
	_, _ = fmt.Fprintf(r.out, "%s %s: %s\n", word, what, text)
}

func (r *checkReport) ok(what, text string)      { r.line("32", "ok", what, text) }
func (r *checkReport) warning(what, text string) { r.line("33", "warning", what, text) }

// error prints what is wrong and, where it is a provider's word, what to do.
func (r *checkReport) error(what string, err error) {
	r.errors++
	text := err.Error()
	if e := (*sender.Error)(nil); errors.As(err, &e) && e.Code != sender.CodeInvalid {
		text = strings.TrimRight(text, ".") + ". " + e.Class.Advice()
	}
	r.line("31", "error", what, text)
}

// http tells whether the HTTP side may start, and who is let in; nothing where it is
// this machine's alone, and open to all of it.
func (c *checkCmd) http(r *checkReport, cfg *config.Config) {
	what := "HTTP on " + cfg.Listen
	warnings, err := service.CheckHTTP(cfg, time.Now())
	if err != nil {
		r.error(what, err)
		return
	}
	for _, text := range warnings {
		r.warning(what, text)
	}
	var takes []string
	if !cfg.HTTP.Token.IsZero() {
		takes = append(takes, "token")
	}
	if cfg.HTTP.TLS.ClientCAFile != "" {
		takes = append(takes, "client certificate")
	}
	if cfg.HTTP.TLS != (config.TLS{}) {
		takes = append(takes, "TLS")
	}
	if len(takes) > 0 {
		r.ok(what, strings.Join(takes, ", "))
	}
}

// nats tells whether the server is there, is new enough and can hold the streams.
func (c *checkCmd) nats(ctx context.Context, r *checkReport, cfg *config.Config) {
	if cfg.NATS.URL == "" {
		if err := broker.CheckStore(cfg.DataDir, cfg.EncryptionKey); err != nil {
			r.error("NATS", err)
			return
		}
		text := "embedded, its data in " + cfg.DataDir
		if !cfg.EncryptionKey.IsZero() {
			text += ", encrypted"
		}
		r.ok("NATS", text)
		return
	}
	text, err := c.server(ctx, cfg.NATS)
	if err != nil {
		r.error("NATS", err)
		return
	}
	r.ok("NATS", text)
}

func (c *checkCmd) server(ctx context.Context, n config.NATS) (string, error) {
	nc, err := broker.Connect(broker.Target{URL: n.URL, Creds: n.Creds, InboxPrefix: n.InboxPrefix, Name: "codeferry check"}, zerolog.Nop())
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := broker.CheckServer(nc); err != nil {
		return "", err
	}
	if n.Replicas > 1 && nc.ConnectedClusterName() == "" {
		return "", fmt.Errorf("nats.replicas is %d, and this server stands alone: make it 1, or name a cluster", n.Replicas)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	text := "nats-server " + nc.ConnectedServerVersion() + ", the streams are there"
	if _, err := js.Stream(ctx, messages.StreamName); errors.Is(err, jetstream.ErrStreamNotFound) {
		text = "nats-server " + nc.ConnectedServerVersion() + ", the streams will be made by the first worker or codeferry provision"
	} else if err != nil {
		return "", fmt.Errorf("JetStream: %w", err)
	}
	return text, nil
}

// connectors makes the ones that are to be checked.
func (c *checkCmd) connectors(cfg *config.Config) (connectors, error) {
	if c.Connector == "" {
		return openConnectors(cfg, slices.Collect(maps.Keys(cfg.Connectors)))
	}
	return openConnectors(cfg, []string{c.Connector})
}

func (c *checkCmd) connector(ctx context.Context, r *checkReport, name, kind string, snd sender.Sender) {
	what := "connector " + name
	checker, ok := snd.(sender.Checker)
	if !ok {
		r.warning(what, kind+" has no request that would show whether its keys are good; --send-to sends one message")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := checker.Check(ctx); err != nil {
		r.error(what, err)
		return
	}
	r.ok(what, kind+", its keys are accepted")
}

// route shows the chain that a message would take, and what each connector of it
// would send.
func (c *checkCmd) route(r *checkReport, cfg *config.Config, all connectors) {
	ch, app, m, err := c.message(cfg, c.To, messages.Type(c.Type))
	if err != nil {
		r.error("route", err)
		return
	}
	what := fmt.Sprintf("route of %s for %s, %s", c.App, messages.Mask(c.To), c.Type)
	chain := app.Chain(ch, m.To, m.Type)
	if len(chain) == 0 {
		r.error(what, fmt.Errorf("no step of apps.%s.%s takes it: it would become a dead letter", c.App, ch))
	}
	for i, name := range chain {
		place := fmt.Sprintf("%d. %s (%s)", i+1, name, cfg.Connectors[name].Type)
		snd, ok := all[name]
		if !ok { // --connector has chosen another
			r.ok(what, place)
			continue
		}
		rendered, err := renderSample(snd, m)
		if err != nil {
			r.error(what, fmt.Errorf("%s: %w", place, err))
			continue
		}
		sends := "template " + rendered.TemplateCode
		if ch == messages.Email {
			sends = fmt.Sprintf("subject %q", rendered.Subject)
		}
		r.ok(what, place+", "+sends)
	}
	for _, step := range app.Route(ch) {
		if !slices.Contains(chain, step.Connector) {
			r.ok(what, fmt.Sprintf("not %s: it is for %s", step.Connector, step))
		}
	}
}

// message is a sample message to an address.
func (c *checkCmd) message(cfg *config.Config, to string, t messages.Type) (messages.Channel, config.App, *messages.SendCode, error) {
	ch := messages.SMS
	if strings.Contains(to, "@") {
		ch = messages.Email
	}
	if err := messages.CheckAddress(ch, to); err != nil {
		return ch, config.App{}, nil, err
	}
	if !t.Valid() {
		return ch, config.App{}, nil, fmt.Errorf("--type: %q is no usage type such as SignIn", t)
	}
	app, ok := cfg.Apps[c.App]
	if !ok {
		return ch, app, nil, fmt.Errorf("--app: the configuration has no app %q", c.App)
	}
	return ch, app, &messages.SendCode{ID: messages.NewID(time.Now()), To: to, Type: t, Payload: messages.Payload{"code": "000000"}}, nil
}

// send sends the Generic template with code 000000, as Logto's console does.
func (c *checkCmd) send(ctx context.Context, r *checkReport, cfg *config.Config, all connectors) {
	what := "send to " + messages.Mask(c.SendTo)
	ch, app, m, err := c.message(cfg, c.SendTo, messages.Generic)
	if err != nil {
		r.error(what, err)
		return
	}
	name := c.Connector
	if chain := app.Chain(ch, m.To, m.Type); name == "" && len(chain) > 0 {
		name = chain[0]
	}
	if name == "" || cfg.Connectors[name].Settings.Channel() != ch {
		r.error(what, fmt.Errorf("no connector for it; name one that sends %s with --connector", ch))
		return
	}
	rendered, err := renderSample(all[name], m)
	if err != nil {
		r.error(what, err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	receipt, err := all[name].Send(ctx, rendered)
	if err != nil {
		r.error(what, fmt.Errorf("%s: %w", name, err))
		return
	}
	r.ok(what, fmt.Sprintf("%s has accepted it (%s)", name, orDash(receipt.ProviderID)))
}
