package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cli/browser"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

type previewCmd struct {
	configFlags
	Connector string            `help:"The connector that has the template. Default: the first email connector of the app default, or its first sms connector if it has none for email." placeholder:"NAME"`
	Type      string            `help:"The usage type." predictor:"type" default:"SignIn"`
	To        string            `help:"The recipient. Default: a sample." placeholder:"ADDRESS"`
	Locale    string            `help:"The user's language, such as zh-CN." placeholder:"TAG"`
	Payload   map[string]string `help:"Values for the template, in place of the samples. user.name=Ann sets name in user." placeholder:"NAME=VALUE" mapsep:"none"`
	HTML      string            `name:"html" help:"Write the HTML to this file; - prints only the HTML." placeholder:"FILE"`
	Open      bool              `help:"Show the HTML in the browser."`
	JSON      bool              `name:"json" help:"Print one JSON object."`
}

// Help shows how the command is used.
func (previewCmd) Help() string {
	return `Examples:
  codeferry preview -c codeferry.yaml --type Register --payload code=482913
  codeferry preview -c codeferry.yaml --locale zh-CN --html preview.html
  codeferry preview -c codeferry.yaml --open

It sends nothing. A value that you do not give is a sample, or the name of the
value in brackets if there is no sample.`
}

// Run renders one template.
func (c *previewCmd) Run(_ context.Context, s streams) error {
	_, cfg, err := c.readConfig()
	if err != nil {
		return err
	}
	name, err := c.connector(cfg)
	if err != nil {
		return err
	}
	all, err := openConnectors(cfg, []string{name})
	if err != nil {
		return err
	}
	defer all.close()
	m, err := c.message(cfg.Connectors[name].Settings.Channel())
	if err != nil {
		return err
	}
	rendered, err := renderSample(all[name], m)
	if err != nil {
		return err
	}
	if c.HTML == "-" && rendered.HTML != "" {
		_, err := fmt.Fprintln(s.out, rendered.HTML)
		return err
	}
	from := ""
	if mailer, ok := all[name].(sender.Mailer); ok {
		from = mailer.From()
	}
	if err := c.show(s, name, from, rendered); err != nil {
		return err
	}
	return c.write(s, rendered)
}

func (c *previewCmd) connector(cfg *config.Config) (string, error) {
	if c.Connector != "" {
		return c.Connector, nil
	}
	app := cfg.Apps[messages.DefaultApp]
	for _, ch := range messages.Channels() {
		if steps := app.Route(ch); len(steps) > 0 {
			return steps[0].Connector, nil
		}
	}
	return "", fmt.Errorf("the configuration has no app %s; name a connector with --connector", messages.DefaultApp)
}

// message returns the message to render.
func (c *previewCmd) message(ch messages.Channel) (*messages.SendCode, error) {
	m := &messages.SendCode{ID: messages.NewID(time.Now()), To: c.To, Type: messages.Type(c.Type), Payload: make(messages.Payload)}
	if !m.Type.Valid() {
		return nil, &exitError{exitUsage, fmt.Errorf("--type: %q is not a usage type such as SignIn", c.Type)}
	}
	if m.To == "" {
		m.To = map[messages.Channel]string{messages.Email: "sample@example.com", messages.SMS: "+8613012345678"}[ch]
	}
	if err := messages.CheckAddress(ch, m.To); err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("--to: %w", err)}
	}
	for path, value := range c.Payload {
		put(m.Payload, strings.Split(path, "."), value)
	}
	if c.Locale != "" {
		m.Payload["locale"] = c.Locale
	}
	return m, nil
}

// preview is what --json prints.
type preview struct {
	Connector     string `json:"connector"`
	FromAlias     string `json:"fromAlias,omitempty"`
	FromAddress   string `json:"fromAddress,omitempty"`
	Subject       string `json:"subject,omitempty"`
	Text          string `json:"text,omitempty"`
	HTML          string `json:"html,omitempty"`
	TemplateCode  string `json:"templateCode,omitempty"`
	TemplateParam string `json:"templateParam,omitempty"`
}

// show prints the message. from is the sender's address, "" for an SMS.
func (c *previewCmd) show(s streams, name, from string, m *sender.Message) error {
	if c.JSON {
		e := newJSON(s.out)
		e.SetEscapeHTML(false)
		return e.Encode(preview{name, m.FromAlias, from, m.Subject, m.Text, m.HTML, m.TemplateCode, m.TemplateParam})
	}
	if from != "" && m.FromAlias != "" {
		from = m.FromAlias + " <" + from + ">"
	}
	for _, field := range []struct{ name, value string }{
		{"connector", name},
		{"from", from},
		{"subject", m.Subject},
		{"template", m.TemplateCode},
		{"parameters", m.TemplateParam},
	} {
		if field.value != "" {
			_, _ = fmt.Fprintf(s.out, "%-11s %s\n", field.name, field.value)
		}
	}
	if m.Text != "" {
		_, _ = fmt.Fprintf(s.out, "\n%s\n", m.Text)
	}
	return nil
}

// write writes the HTML to a file, opens it in the browser, or both.
func (c *previewCmd) write(s streams, m *sender.Message) error {
	if c.HTML == "" && !c.Open {
		return nil
	}
	if m.HTML == "" {
		return fmt.Errorf("the template for %s has no HTML", c.Type)
	}
	if c.HTML != "" {
		if err := os.WriteFile(c.HTML, []byte(m.HTML), 0o600); err != nil {
			return fmt.Errorf("write the preview: %w", err)
		}
		_, _ = fmt.Fprintf(s.err, "the HTML is in %s\n", c.HTML)
	}
	if c.Open {
		if err := browser.OpenReader(strings.NewReader(m.HTML)); err != nil {
			return fmt.Errorf("open the browser; --html FILE writes a file instead: %w", err)
		}
	}
	return nil
}
