package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

type sendCmd struct {
	Channel   string            `required:"" enum:"email,sms" help:"email or sms." placeholder:"CHANNEL"`
	To        string            `required:"" help:"The recipient's address." placeholder:"ADDRESS"`
	Type      string            `required:"" help:"The usage type: Register, SignIn, ForgotPassword, Generic, OrganizationInvitation, UserPermissionValidation, BindNewIdentifier, MfaVerification or BindMfa." placeholder:"TYPE"`
	Code      string            `help:"The code." placeholder:"CODE"`
	Link      string            `help:"The link, for an invitation." placeholder:"URL"`
	App       string            `help:"The app whose connectors and templates to use." default:"default"`
	Key       string            `help:"For whom: an opaque id. A newer code for the same app, channel, type and key replaces one that waits. Default: one of its own." placeholder:"KEY"`
	Locale    string            `help:"The user's language, such as zh-CN." placeholder:"TAG"`
	Payload   map[string]string `help:"Further values for the template." placeholder:"NAME=VALUE" mapsep:"none"`
	TTL       time.Duration     `name:"ttl" help:"How long the code is good. Default: the app's codeTTL." placeholder:"DURATION"`
	PublicKey string            `help:"Seal the code with this key, codeferry keygen's. Default: that of the configuration's first sealing key." placeholder:"KEY"`
	Wait      time.Duration     `help:"Wait this long for the outcome." placeholder:"DURATION"`
	Timeout   time.Duration     `help:"How long to try to publish." default:"5s"`
	JSON      bool              `name:"json" help:"Print one JSON object a line."`
	serverFlags
}

// Help shows how the command is used.
func (sendCmd) Help() string {
	return `Examples:
  codeferry send --channel sms --to +8613012345678 --type SignIn --code 123456 --wait 15s
  codeferry send --channel email --to foo@example.com --type Register --code 123456 --locale zh-CN --json

Without --wait it ends once the stream has stored the code. With it the exit
status is 0 only for a code that was sent, 1 for a dead letter, and 3 where no
outcome came in time: then the code may still be on its way, and codeferry
status ID tells.`
}

// Run publishes one code.
func (c *sendCmd) Run(ctx context.Context, s streams) error {
	m := &messages.SendCode{ID: messages.NewID(time.Now()), To: c.To, Type: messages.Type(c.Type), Payload: c.payload()}
	if c.TTL > 0 {
		m.ExpiresAt = time.Now().Add(c.TTL).UTC()
	}
	subject := messages.Subject{App: c.App, Channel: messages.Channel(c.Channel), Type: m.Type, Key: c.Key}
	if subject.Key == "" {
		subject.Key = m.ID
	}
	if err := c.check(subject, m); err != nil {
		return err
	}
	sealer, err := c.sealer()
	if err != nil {
		return err
	}
	ctx, nc, _, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	outcomes := make(chan *nats.Msg, 64)
	if c.Wait > 0 {
		// Listening begins first: the outcome may be quicker than the acknowledgement.
		sub, err := nc.ChanSubscribe(messages.OutcomeSubject(c.App, subject.Channel, "*"), outcomes)
		if err != nil {
			return fmt.Errorf("listen for the outcome: %w", err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		if err := nc.FlushTimeout(c.Timeout); err != nil {
			return fmt.Errorf("listen for the outcome: %w", err)
		}
	}
	p, err := messages.NewPublisher(nc, messages.PublisherOptions{Timeout: c.Timeout, Sealer: sealer})
	if err != nil {
		return err
	}
	ack, err := p.Publish(ctx, subject, m)
	if err != nil {
		return explain(ctx, err)
	}
	if err := c.printAck(s, ack); err != nil || c.Wait <= 0 {
		return err
	}
	return c.await(ctx, s, m.ID, outcomes)
}

// sealer returns what seals the code; nil where there is no key.
func (c *sendCmd) sealer() (*messages.Sealer, error) {
	if c.PublicKey != "" {
		key, err := messages.ParsePublicKey(c.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("--public-key %w", err)
		}
		return messages.NewSealer(key), nil
	}
	if c.Config == "" {
		return nil, nil //nolint:nilnil // published as it is
	}
	cfg, err := config.Load(c.Config, config.Env{})
	if err != nil || len(cfg.Sealing.Keys) == 0 {
		return nil, err
	}
	return messages.NewSealer(cfg.Sealing.Keys[0].Public()), nil
}

// check looks at what was typed before anybody is asked.
func (c *sendCmd) check(s messages.Subject, m *messages.SendCode) error {
	if c.TTL < 0 || c.Wait < 0 || c.Timeout <= 0 {
		return &exitError{exitUsage, errors.New("--ttl and --wait take a positive duration such as 10m, and so does --timeout")}
	}
	if err := s.Validate(); err != nil {
		return err
	}
	return m.Validate(s.Channel)
}

func (c *sendCmd) payload() messages.Payload {
	p := make(messages.Payload)
	for name, value := range c.Payload {
		p[name] = value
	}
	for name, value := range map[string]string{"code": c.Code, "link": c.Link, "locale": c.Locale} {
		if value != "" {
			p[name] = value
		}
	}
	return p
}

func (c *sendCmd) printAck(s streams, ack messages.Ack) error {
	var err error
	if c.JSON {
		err = json.NewEncoder(s.out).Encode(map[string]any{"id": ack.ID, "status": "stored", "sequence": ack.Sequence, "duplicate": ack.Duplicate})
	} else {
		_, err = fmt.Fprintf(s.out, "%s stored\n", ack.ID)
	}
	return err
}

// await prints a message's outcomes until the last one.
func (c *sendCmd) await(ctx context.Context, s streams, id string, outcomes <-chan *nats.Msg) error {
	timer := time.NewTimer(c.Wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return explain(ctx, ctx.Err())
		case <-timer.C:
			return &exitError{exitNoOutcome, fmt.Errorf("no outcome within %s; the code may still be on its way: codeferry status %s", c.Wait, id)}
		case msg := <-outcomes:
			var o messages.Outcome
			if json.Unmarshal(msg.Data, &o) != nil || o.ID != id {
				continue // another message's
			}
			if err := printOutcome(s, o, c.JSON); err != nil {
				return err
			}
			switch o.Status {
			case messages.StatusSent:
				return nil
			case messages.StatusDead:
				return &exitError{code: exitFailed}
			case messages.StatusRetrying, messages.StatusUnknown, messages.StatusDelivered, messages.StatusUndelivered:
			}
		}
	}
}

// printOutcome prints an outcome as a line.
func printOutcome(s streams, o messages.Outcome, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(s.out).Encode(o)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", o.ID, s.paint(o.Status, string(o.Status)))
	fmt.Fprintf(&b, " %s %s to %s", o.Channel, orDash(string(o.Type)), orDash(o.To))
	if o.Connector != "" && o.Attempt == 0 {
		fmt.Fprintf(&b, " by %s", o.Connector)
	} else if o.Connector != "" {
		fmt.Fprintf(&b, " by %s, attempt %d", o.Connector, o.Attempt)
	}
	if o.Epoch > 0 {
		fmt.Fprintf(&b, ", replay %d", o.Epoch)
	}
	if o.RetryAt != nil {
		fmt.Fprintf(&b, ", again in %s", o.RetryAt.Sub(o.At).Round(10*time.Millisecond))
	}
	switch {
	case o.Reason != "":
		fmt.Fprintf(&b, " (%s: %s)", o.Reason, o.Detail)
	case o.Code != "":
		fmt.Fprintf(&b, " (%s: %s: %s)", o.Class, o.Code, o.Detail)
	case o.Status == messages.StatusSent:
		how := o.ProviderID
		if how == "" {
			how = o.Detail
		}
		fmt.Fprintf(&b, " (%s, %s after it was stored)", how, o.At.Sub(o.StoredAt).Round(time.Millisecond))
	case o.Detail != "":
		fmt.Fprintf(&b, " (%s)", o.Detail)
	}
	_, err := fmt.Fprintln(s.out, b.String())
	return err
}
