package main

import (
	"context"
	"encoding/json"
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
	Config    string            `short:"c" required:"" help:"The configuration." placeholder:"FILE"`
	Connector string            `help:"Whose template. Default: the first for email of the app default, or else for sms." placeholder:"NAME"`
	Type      string            `help:"The usage type." default:"SignIn"`
	To        string            `help:"The recipient. Default: a sample." placeholder:"ADDRESS"`
	Locale    string            `help:"The user's language, such as zh-CN." placeholder:"TAG"`
	Payload   map[string]string `help:"Values for the template, in place of the samples; user.name=Ann is the name of user." placeholder:"NAME=VALUE" mapsep:"none"`
	HTML      string            `name:"html" help:"Write the HTML to this file; - for standard output alone." placeholder:"FILE"`
	Open      bool              `help:"Show the HTML in the browser."`
	JSON      bool              `name:"json" help:"Print one JSON object."`
}

// Help shows how the command is used.
func (previewCmd) Help() string {
	return `Examples:
  codeferry preview -c codeferry.yaml --type Register --payload code=482913
  codeferry preview -c codeferry.yaml --connector direct-mail --locale zh-CN --html preview.html
  codeferry preview -c codeferry.yaml --open

Nothing is sent. Values that are not given are samples: a name in brackets where
there is none.`
}

// Run renders one template.
func (c *previewCmd) Run(_ context.Context, s streams) error {
	cfg, err := config.Load(c.Config, config.Env{})
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
	if err := c.show(s, name, rendered); err != nil {
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
	return "", fmt.Errorf("there is no app %s; name a connector with --connector", messages.DefaultApp)
}

// message is the one to render.
func (c *previewCmd) message(ch messages.Channel) (*messages.SendCode, error) {
	m := &messages.SendCode{ID: messages.NewID(time.Now()), To: c.To, Type: messages.Type(c.Type), Payload: make(messages.Payload)}
	if !m.Type.Valid() {
		return nil, fmt.Errorf("--type: %q is no usage type such as SignIn", c.Type)
	}
	if m.To == "" {
		m.To = map[messages.Channel]string{messages.Email: "sample@example.com", messages.SMS: "+8613012345678"}[ch]
	}
	if err := messages.CheckAddress(ch, m.To); err != nil {
		return nil, fmt.Errorf("--to: %w", err)
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
	Subject       string `json:"subject,omitempty"`
	Text          string `json:"text,omitempty"`
	HTML          string `json:"html,omitempty"`
	TemplateCode  string `json:"templateCode,omitempty"`
	TemplateParam string `json:"templateParam,omitempty"`
}

func (c *previewCmd) show(s streams, name string, m *sender.Message) error {
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetEscapeHTML(false)
		return e.Encode(preview{name, m.FromAlias, m.Subject, m.Text, m.HTML, m.TemplateCode, m.TemplateParam})
	}
	for _, field := range []struct{ name, value string }{
		{"connector", name},
		{"from", m.FromAlias},
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

// write puts the HTML where the user wants it.
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
			return fmt.Errorf("open the browser; --html FILE writes a file: %w", err)
		}
	}
	return nil
}
