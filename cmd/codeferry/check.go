package main

import (
	"cmp"
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
	configFlags
	Timeout   time.Duration `help:"The longest time for each check. Default: 10s for NATS, and the connector's own timeout for a connector." placeholder:"DURATION"`
	Connector string        `help:"Check this connector alone." placeholder:"NAME"`
	App       string        `help:"The app of --to and --send-to." default:"default"`
	To        string        `help:"Show which connectors would send a message to this address." placeholder:"ADDRESS"`
	Type      string        `help:"The usage type of --to." predictor:"type" default:"Generic"`
	JSON      bool          `name:"json" help:"Print one JSON object a line."`
	SendTo    string        `help:"Send the Generic template with code 000000 to this address, through --connector or the first of the app's chain." placeholder:"ADDRESS"`
}

// Help shows how the command is used.
func (checkCmd) Help() string {
	return `Examples:
  codeferry check -c codeferry.yaml
  codeferry check -c codeferry.yaml --json
  codeferry check -c codeferry.yaml --to +8613012345678 --type SignIn
  codeferry check -c codeferry.yaml --send-to you@example.com

It reports every mistake in the file at once, each with its line. Then it
connects to NATS, and each connector makes one harmless request that shows
whether its keys are valid. It sends nothing, except with --send-to. It prints
one line for each check: ok, warning or error, and what to do. The exit status
is 0 only if there is no error.`
}

// Run prints one line for each check.
func (c *checkCmd) Run(ctx context.Context, s streams) error {
	r := &checkReport{streams: s, json: c.JSON}
	file, cfg, err := c.readConfig()
	if err != nil && c.JSON {
		return r.unread(cmp.Or(file, initConfig), err)
	}
	if err != nil {
		return err
	}
	connectors, err := c.connectors(cfg)
	if err != nil && c.JSON {
		return r.unread(file, err)
	}
	if err != nil {
		return err
	}
	defer connectors.close()
	r.ok(file, count(len(cfg.Apps), "app")+", "+count(len(cfg.Connectors), "connector"))
	for _, w := range cfg.Warnings {
		r.warning(fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column), w.Path+" "+w.Text)
	}
	if w := service.SealingWarning(cfg); w != "" {
		r.warning("sealing", w)
	}
	c.examples(r, file)
	c.http(r, cfg)
	c.nats(ctx, r, file, cfg)
	for _, name := range slices.Sorted(maps.Keys(connectors)) {
		c.connector(ctx, r, name, cfg.Connectors[name].Type, connectors[name])
	}
	if c.To != "" {
		c.route(r, cfg, connectors)
	}
	if c.SendTo != "" {
		c.send(ctx, r, cfg, connectors)
	}
	if ctx.Err() != nil && c.JSON {
		return r.unread(file, errStopped)
	}
	if ctx.Err() != nil {
		return errStopped
	}
	if r.errors > 0 {
		return &exitError{code: exitFailed}
	}
	return r.failed
}

// checkReport prints the lines.
type checkReport struct {
	streams
	json   bool
	errors int
	// failed is why a line could not be written.
	failed error
}

func (r *checkReport) line(color, word, what, text string) {
	if r.json {
		r.failed = errors.Join(r.failed, newJSON(r.out).Encode(struct {
			Result string `json:"result"`
			What   string `json:"what"`
			Text   string `json:"text"`
		}{word, what, text}))
		return
	}
	word = fmt.Sprintf("%-8s", word)
	if r.color {
		word = "\x1b[" + color + "m" + word + "\x1b[0m"
	}
	_, _ = fmt.Fprintf(r.out, "%s %s: %s\n", word, what, text)
}

func (r *checkReport) ok(what, text string)      { r.line("32", "ok", what, text) }
func (r *checkReport) warning(what, text string) { r.line("33", "warning", what, text) }

// unread prints why a configuration can't be used, a line for each mistake.
func (r *checkReport) unread(file string, err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		r.error(file, err)
	}
	for _, p := range problems {
		what := p.File
		if p.Line > 0 {
			what = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
		}
		r.error(what, errors.New(strings.TrimSpace(p.Path+" "+p.Text)))
	}
	if r.failed != nil {
		return r.failed
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return &exitError{code: exit.code}
	}
	return &exitError{code: exitFailed}
}

// error prints an error. If it comes from a provider, it also prints what to do.
func (r *checkReport) error(what string, err error) {
	r.errors++
	text := err.Error()
	if e := (*sender.Error)(nil); errors.As(err, &e) && e.Code != sender.CodeInvalid {
		text = strings.TrimRight(text, ".") + ". " + e.WhatToDo()
	}
	r.line("31", "error", what, text)
}

// http checks whether the HTTP side can start, and prints what it asks of clients. It
// prints nothing if it listens on loopback and asks for nothing.
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

// nats checks that the server answers, is new enough and can hold the streams.
func (c *checkCmd) nats(ctx context.Context, r *checkReport, file string, cfg *config.Config) {
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
	text, findings, err := c.server(ctx, cfg.NATS, file)
	if err == nil {
		r.ok("NATS", text)
		r.findings("NATS", findings)
	} else {
		r.error("NATS", err)
		if _, denied := errors.AsType[*deniedError](err); !denied {
			return
		}
	}
	r.findings("NATS", broker.TryServers(ctx, broker.TargetOf(cfg.NATS, "codeferry check")))
	c.permissions(ctx, r, cfg.NATS)
}

// permissions checks what NATS permits to the worker's user.
func (c *checkCmd) permissions(ctx context.Context, r *checkReport, n config.NATS) {
	const what = "NATS permissions"
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, natsTimeout))
	defer cancel()
	target := broker.TargetOf(n, "codeferry check")
	findings, tried, err := broker.TryPermissions(ctx, target)
	switch {
	case err != nil:
		r.error(what, err)
	case len(findings) == 0:
		r.ok(what, tried)
	default:
		r.findings(what, findings)
	}
}

// findings prints a line for each finding.
func (r *checkReport) findings(what string, findings []broker.Finding) {
	for _, f := range findings {
		if f.Wrong {
			r.error(what, errors.New(f.Text))
		} else {
			r.warning(what, f.Text)
		}
	}
}

// server checks the server and what a worker needs there. file is the configuration.
func (c *checkCmd) server(ctx context.Context, n config.NATS, file string) (text string, findings []broker.Finding, err error) {
	target := broker.TargetOf(n, "codeferry check")
	ctx, deny := context.WithCancelCause(ctx)
	defer deny(nil)
	target.Denied = func(err error) { deny(&deniedError{cause: err, user: target.LoginName(), ofWorker: true}) }
	nc, err := broker.Connect(ctx, target, zerolog.Nop())
	if err != nil {
		return "", nil, err
	}
	defer nc.Close()
	if err := broker.CheckServer(nc); err != nil {
		return "", nil, err
	}
	elsewhere := n.Domain != "" || n.APIPrefix != "" // another server may provide JetStream
	if n.Replicas > 1 && !elsewhere && nc.ConnectedClusterName() == "" {
		return "", nil, &broker.NoClusterError{Replicas: n.Replicas}
	}
	js, err := broker.JetStream(nc, target)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, natsTimeout))
	defer cancel()
	text = "nats-server " + nc.ConnectedServerVersion()
	findings, nothing, err := broker.Inspect(ctx, js, n.StreamOptions())
	switch {
	case err != nil:
		return "", nil, explain(ctx, err)
	case nothing:
		text, findings = missingStreams(ctx, text, js, file)
	case !slices.ContainsFunc(findings, func(f broker.Finding) bool { return f.Missing }):
		text += ", the streams and consumers exist"
	}
	return text, findings, nil
}

// missingStreams says who creates the streams that do not exist yet. file is the configuration.
func missingStreams(ctx context.Context, text string, js jetstream.JetStream, file string) (string, []broker.Finding) {
	provision := serverFlags{Config: file}.command("provision")
	err := broker.AskToCreate(ctx, js)
	switch _, denied := errors.AsType[*deniedError](context.Cause(ctx)); {
	case err == nil:
		return text + ", the first worker creates the streams, or " + provision, nil
	case denied:
		return text, []broker.Finding{{Text: "there are no streams yet, and NATS does not permit this user to create them: run " +
			serverFlags{Config: file, natsFlags: natsFlags{Context: "NAME"}}.command("provision") + ", in which NAME is a context of the provisioner (docs/roles.md)"}}
	}
	return text + ", no streams yet: the first worker creates them if its user may, or " + provision, nil
}

// connectors makes the connectors to check.
func (c *checkCmd) connectors(cfg *config.Config) (connectors, error) {
	if c.Connector == "" {
		return openConnectors(cfg, slices.Collect(maps.Keys(cfg.Connectors)))
	}
	return openConnectors(cfg, []string{c.Connector})
}

// natsTimeout bounds a request to NATS if --timeout is not given.
const natsTimeout = 10 * time.Second

// limit bounds a connector's work by --timeout. Without the flag the connector's own
// timeout applies, as in run: check must not fail where run would succeed.
func (c *checkCmd) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, c.Timeout, errCheckTimeout)
}

var errCheckTimeout = errors.New("--timeout has passed")

// explainTimeout adds to err that --timeout ended the connector's work, if it did.
func (c *checkCmd) explainTimeout(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errCheckTimeout) {
		return fmt.Errorf("--timeout %v ended it; run may wait longer: %w", c.Timeout, err)
	}
	return err
}

func (c *checkCmd) connector(ctx context.Context, r *checkReport, name, kind string, snd sender.Sender) {
	what := "connector " + name
	checker, ok := snd.(sender.Checker)
	if !ok {
		r.warning(what, kind+" has no request that shows whether its keys are valid; --send-to sends one message")
		return
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	if err := checker.Check(ctx); err != nil {
		r.error(what, c.explainTimeout(ctx, err))
		return
	}
	r.ok(what, kind+", the provider answers, and accepts the login if there is one")
}

// route shows the chain of connectors for a message, and what each of them would send.
func (c *checkCmd) route(r *checkReport, cfg *config.Config, all connectors) {
	ch, app, m, err := c.message(cfg, c.To, messages.Type(c.Type))
	if err != nil {
		r.error("route", err)
		return
	}
	what := fmt.Sprintf("route of %s for %s, %s", c.App, messages.Mask(c.To), c.Type)
	chain := app.Chain(ch, m.To, m.Type)
	if len(chain) == 0 {
		r.error(what, fmt.Errorf("no step of apps.%s.%s serves it: it would become a dead letter", c.App, ch))
	}
	for i, name := range chain {
		place := fmt.Sprintf("%d. %s (%s)", i+1, name, cfg.Connectors[name].Type)
		snd, ok := all[name]
		if !ok { // --connector names another one
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
			r.ok(what, fmt.Sprintf("not %s: it serves only %s", step.Connector, step))
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
		return ch, config.App{}, nil, fmt.Errorf("--type: %q is not a usage type such as SignIn", t)
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
		r.error(what, fmt.Errorf("no connector can send it; name one that sends %s with --connector", ch))
		return
	}
	rendered, err := renderSample(all[name], m)
	if err != nil {
		r.error(what, err)
		return
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	receipt, err := all[name].Send(ctx, rendered)
	if err != nil {
		r.error(what, c.explainTimeout(ctx, fmt.Errorf("%s: %w", name, err)))
		return
	}
	r.ok(what, fmt.Sprintf("%s accepted it (%s)", name, orDash(receipt.ProviderID)))
}
