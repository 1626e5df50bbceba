package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

type devCmd struct {
	Listen        string `help:"Address of metrics and health; port 0 takes a free one." default:"127.0.0.1:8080"`
	NATSListen    string `name:"nats-listen" help:"Address of the embedded NATS; port 0 takes a free one." default:"127.0.0.1:4222"`
	SandboxListen string `help:"Address of the fake Aliyun; port 0 takes a free one." default:"127.0.0.1:9090"`
	Data          string `help:"Keep the data in this directory. Default: a temporary directory that is removed at the end." placeholder:"DIR"`
	FlowControl   bool   `help:"Let the fake limit SMS to a number as Aliyun does: 1 a minute, 5 an hour, 10 a day."`
	LogLevel      string `help:"The lowest level that is logged, beside the outcomes: debug, info, warn or error." enum:"debug,info,warn,error" default:"warn"`
}

// Help shows how the command is used.
func (devCmd) Help() string {
	return `Examples:
  codeferry dev
  codeferry dev --listen 127.0.0.1:0 --nats-listen 127.0.0.1:0 --sandbox-listen 127.0.0.1:0
  codeferry dev --data ./data

It prints its addresses and example commands, then one line for each outcome.
Ctrl-C stops it.`
}

// Run runs everything until ctx ends.
func (c *devCmd) Run(ctx context.Context, s streams) (err error) {
	if !config.Loopback(c.Listen) {
		return &exitError{exitUsage, fmt.Errorf("--listen is %s, but dev serves this machine only; use an address such as 127.0.0.1:8080, or codeferry run with http.token", c.Listen)}
	}
	box, err := startSandbox(ctx, c.SandboxListen, "choose another with --sandbox-listen", fakealiyun.Options{FlowControl: c.FlowControl})
	if err != nil {
		return err
	}
	defer box.stop()
	data := c.Data
	if data == "" {
		if data, err = os.MkdirTemp("", "codeferry-dev-"); err != nil {
			return fmt.Errorf("make a temporary directory; choose one with --data: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	}
	cfg := devConfig(box.url)
	cfg.DataDir, cfg.Listen, cfg.NATS.Listen = data, c.Listen, c.NATSListen

	var outcomes *nats.Conn
	defer func() {
		if outcomes != nil {
			outcomes.Close()
		}
	}()
	log, _ := logFlags{LogLevel: c.LogLevel, LogFormat: "text"}.logger(s.err)
	err = service.Run(ctx, service.Options{Config: cfg, Log: log, Build: service.Build{Version: version(), Revision: sources()}, Started: func(a service.Addresses) {
		var failed error
		if outcomes, failed = follow(ctx, s, a.NATS); failed != nil {
			log.Error().Err(failed).Msg("dev can't show outcomes")
		}
		c.greet(s, a, box.url, data)
	}})
	if err == nil {
		_, _ = fmt.Fprintln(s.out, "codeferry dev has stopped.")
	}
	return err
}

// follow prints one line for each outcome, until the connection that it returns is
// closed.
func follow(ctx context.Context, s streams, url string) (*nats.Conn, error) {
	nc, err := broker.Connect(ctx, broker.Target{URL: url, Name: "codeferry dev"}, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	_, err = nc.Subscribe(wire.OutcomeSubject("*", "*", "*"), func(msg *nats.Msg) {
		var o messages.Outcome
		if json.Unmarshal(msg.Data, &o) == nil {
			_, _ = fmt.Fprint(s.out, o.At.Local().Format("15:04:05.000 "))
			_ = printOutcome(s, o, false)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	return nc, err
}

func (c *devCmd) greet(s streams, a service.Addresses, sandboxURL, data string) {
	keep := " (removed at the end)"
	if c.Data != "" {
		keep = ""
	}
	// Named in any case: a variable or a context of the nats command line may name another.
	server, to := " --nats "+a.NATS, " --server "+a.NATS
	p := program()
	_, _ = fmt.Fprintf(s.out, `codeferry runs. Nothing leaves this machine.

  NATS      %s
  sandbox   %s
  metrics   http://%s/metrics
  data      %s%s

Send a code, from another terminal:

  %s send%s --channel sms --to +8613012345678 --type SignIn --code 123456 --wait 15s
  %s send%s --channel email --to foo@example.com --type Register --code 123456 --wait 15s
  nats pub -J%s codeferry.send.default.sms.SignIn.user-1 '{"to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}'

See what arrived:

  curl %s/inbox

Outcomes, as they come (Ctrl-C stops dev):

`, a.NATS, sandboxURL, a.HTTP, data, keep, p, server, p, server, to, sandboxURL)
}

// devConfig is a configuration whose connectors call the fake.
func devConfig(endpoint string) *config.Config {
	account := aliyun.Account{AccessKeyID: sender.NewSecret(fakealiyun.DefaultKeyID), AccessKeySecret: sender.NewSecret(fakealiyun.DefaultKeySecret), Endpoint: endpoint}
	mail := &aliyundm.Config{
		Account:     account,
		AccountName: "no-reply@mail.example.com", FromAlias: "Example",
	}
	sms := &aliyunsms.Config{Account: account, SignName: "Example"}
	for i, t := range messages.Types() {
		mail.Templates = append(mail.Templates, sender.MailTemplate{
			UsageType: t, Subject: "Your code for " + words(t),
			Content: "<p>Your code for " + words(t) + " is <b>{{code}}</b>. It is good for 10 minutes.</p>",
		})
		code := fmt.Sprintf("SMS_%09d", 100000001+i)
		sms.Templates = append(sms.Templates, aliyunsms.Template{UsageType: t, TemplateCode: aliyunsms.TemplateCode{China: code, Overseas: code}})
	}
	cfg := config.Default()
	cfg.Apps = map[string]config.App{messages.DefaultApp: {Email: []config.Step{{Connector: "direct-mail"}}, SMS: []config.Step{{Connector: "aliyun-sms"}}, CodeTTL: config.DefaultCodeTTL}}
	cfg.Connectors = map[string]config.Connector{
		"direct-mail": {Type: "aliyun-dm", OnDoubt: config.Resend, AskGrace: config.DefaultAskGrace, Settings: mail},
		"aliyun-sms":  {Type: "aliyun-sms", OnDoubt: config.Resend, AskGrace: config.DefaultAskGrace, Settings: sms},
	}
	return cfg
}

// words writes a usage type as words: BindNewIdentifier becomes "bind new identifier".
func words(t messages.Type) string {
	var b strings.Builder
	for i, r := range string(t) {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
