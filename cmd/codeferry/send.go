package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

type sendCmd struct {
	Channel   string            `required:"" enum:"email,sms" help:"email or sms." placeholder:"CHANNEL"`
	To        string            `required:"" help:"The recipient's address." placeholder:"ADDRESS"`
	Type      string            `required:"" help:"The usage type: Register, SignIn, ForgotPassword, Generic, OrganizationInvitation, UserPermissionValidation, BindNewIdentifier, MfaVerification or BindMfa." predictor:"type" placeholder:"TYPE"`
	Code      string            `help:"The code." placeholder:"CODE"`
	Link      string            `help:"The link, for an invitation." placeholder:"URL"`
	App       string            `help:"The app whose connectors and templates to use." default:"default"`
	Key       string            `help:"An opaque id of the user. A newer code for the same app, channel, type and key supersedes one that waits. Default: the message's id." placeholder:"KEY"`
	Locale    string            `help:"The user's language, such as zh-CN." placeholder:"TAG"`
	Payload   map[string]string `help:"Further values for the template." placeholder:"NAME=VALUE" mapsep:"none"`
	TTL       time.Duration     `name:"ttl" help:"How long the code is valid. Default: the app's codeTTL." placeholder:"DURATION"`
	PublicKey string            `help:"Seal the code with this public key from codeferry keygen. Default: the public key of the configuration's first sealing key." placeholder:"KEY"`
	Wait      time.Duration     `help:"Wait this long for the outcome." placeholder:"DURATION"`
	Timeout   time.Duration     `help:"How long to try to publish." default:"5s"`
	JSON      bool              `name:"json" help:"Print one JSON object on each line."`
	serverFlags
}

// Help shows how the command is used.
func (sendCmd) Help() string {
	return `Examples:
  codeferry send --channel sms --to +8613012345678 --type SignIn --code 123456 --wait 15s
  codeferry send --channel email --to foo@example.com --type Register --code 123456 --locale zh-CN --json
  codeferry send --context staging --channel sms --to +8613012345678 --type SignIn --code 123456

Without --wait the command ends when the stream has stored the code. With --wait
the exit status is 0 only if the code was sent, 1 if it became a dead letter or a
newer code superseded it, and 3 if there was no final outcome in time, if you
interrupt it, or if the code was in doubt before it was superseded. Then it may
be sent, and the command prints how to see its outcome. At the end
of the wait it asks the stream for a newer code. A user with the role publisher
may not ask: then the exit status is 3. With or without --wait, it is also 3 if
NATS did not confirm that it stored the code: it may be sent.

If the environment has a TRACEPARENT, the code carries it, and its spans are in that
trace.` + serverHelp
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
	return c.withServer(ctx, func(ctx context.Context, server natsServer) error {
		return c.publish(ctx, s, server, sealer, subject, m)
	})
}

// publish publishes the code, and waits for its outcome if that is asked for.
func (c *sendCmd) publish(ctx context.Context, s streams, server natsServer, sealer *messages.Sealer, subject messages.Subject, m *messages.SendCode) error {
	nc, outcomes := server.nc, make(chan *nats.Msg, 64)
	if c.Wait > 0 {
		// Subscribe first: the outcome can arrive before the publish's acknowledgement.
		sub, err := nc.ChanSubscribe(wire.OutcomeSubject(c.App, subject.Channel, "*"), outcomes)
		if err != nil {
			return fmt.Errorf("listen for the outcome: %w", err)
		}
		defer func() { _ = sub.Unsubscribe() }()
		if err := nc.FlushTimeout(c.Timeout); err != nil {
			return fmt.Errorf("listen for the outcome: %w", err)
		}
		// The server answers in order, so a refusal has arrived.
		if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
			return &deniedError{cause: err} // nothing is published yet
		}
	}
	p, err := messages.NewPublisher(nc, messages.PublisherOptions{
		Timeout: c.Timeout, Sealer: sealer,
		TraceParent: func(context.Context) string { return os.Getenv("TRACEPARENT") },
	})
	if err != nil {
		return err
	}
	ack, err := p.Publish(ctx, subject, m)
	if errors.Is(err, messages.ErrInDoubt) {
		return &exitError{exitNoOutcome, fmt.Errorf("%w; before you send it again, see whether it was sent (%s): %s", err, statusRole, c.command("status", m.ID))}
	}
	if _, wrong := errors.AsType[*messages.FieldError](err); wrong {
		return &exitError{exitUsage, err} // nothing is published
	}
	if err != nil {
		return err
	}
	if err := c.printAck(s, ack); err != nil || c.Wait <= 0 {
		return err
	}
	w := outcomeWait{cmd: c, streams: s, ack: ack, key: subject.Key, outcomes: outcomes}
	return w.until(ctx, server.js, subject)
}

// sealer returns the sealer of the code, nil if there is no key.
func (c *sendCmd) sealer() (*messages.Sealer, error) {
	if c.PublicKey != "" {
		key, err := messages.ParsePublicKey(c.PublicKey)
		if err != nil {
			return nil, &exitError{exitUsage, fmt.Errorf("--public-key %w", err)}
		}
		return messages.NewSealer(key), nil
	}
	if c.Config == "" {
		return nil, nil //nolint:nilnil // the code is published unsealed
	}
	cfg, err := c.load(config.Unneeded{})
	if err != nil || len(cfg.Sealing.Keys) == 0 {
		return nil, err
	}
	return messages.NewSealer(cfg.Sealing.Keys[0].Public()), nil
}

// check validates the arguments before the command connects to NATS.
func (c *sendCmd) check(s messages.Subject, m *messages.SendCode) error {
	if c.TTL < 0 || c.Wait < 0 || c.Timeout <= 0 {
		return &exitError{exitUsage, errors.New("--ttl, --wait and --timeout take a positive duration such as 10m")}
	}
	if c.Code == "" && c.Link == "" && len(c.Payload) == 0 {
		return &exitError{exitUsage, errors.New("give --code, --link or --payload with what the template needs")}
	}
	if err := cmp.Or(s.Validate(), m.Validate(s.Channel)); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
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
		err = newJSON(s.out).Encode(map[string]any{"id": ack.ID, "status": "stored", "sequence": ack.Sequence, "duplicate": ack.Duplicate})
	} else {
		_, err = fmt.Fprintf(s.out, "%s stored\n", ack.ID)
	}
	return err
}

// printOutcome prints an outcome as a line.
func printOutcome(s streams, o messages.Outcome, asJSON bool) error {
	if asJSON {
		return newJSON(s.out).Encode(o)
	}
	o = shown(o)
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
		b.WriteString(", " + again(&o))
	}
	switch {
	case o.Reason != "":
		fmt.Fprintf(&b, " (%s: %s)", o.Reason, o.Detail)
	case o.Code != "":
		fmt.Fprintf(&b, " (%s: %s: %s)", o.Class, o.Code, o.Detail)
	case o.Status == messages.StatusSent:
		b.WriteString(" (")
		for _, how := range []string{o.ProviderID, o.Detail} {
			if how != "" {
				b.WriteString(how + ", ")
			}
		}
		fmt.Fprintf(&b, "%s after it was stored)", o.At.Sub(o.StoredAt).Round(time.Millisecond))
	case o.Detail != "":
		fmt.Fprintf(&b, " (%s)", o.Detail)
	}
	_, err := fmt.Fprintln(s.out, b.String())
	return err
}
