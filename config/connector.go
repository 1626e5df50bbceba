package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunmas"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/sendgrid"
	"github.com/codeferry/codeferry/sender/ses"
	"github.com/codeferry/codeferry/sender/smtp"
)

// connectorTypes has every provider: a new one is a package and a line here.
var connectorTypes = map[string]func() sender.Config{
	"aliyun-dm":      func() sender.Config { return new(aliyundm.Config) },
	"aliyun-sms":     func() sender.Config { return new(aliyunsms.Config) },
	"aliyun-sms-mas": func() sender.Config { return new(aliyunmas.Config) },
	"aws-ses":        func() sender.Config { return new(ses.Config) },
	"sendgrid":       func() sender.Config { return new(sendgrid.Config) },
	"smtp":           func() sender.Config { return new(smtp.Config) },
}

// ConnectorTypes lists the types that a connector can have, sorted.
func ConnectorTypes() []string { return slices.Sorted(maps.Keys(connectorTypes)) }

// ConnectorChannel returns what connectors of one of ConnectorTypes send.
func ConnectorChannel(kind string) messages.Channel { return connectorTypes[kind]().Channel() }

// common are the fields that every connector has beside its provider's own.
type common struct {
	Type string `yaml:"type"`
	// File is a file with Logto's connector JSON. The other fields override it.
	File      string        `yaml:"file"`
	OnDoubt   OnDoubt       `yaml:"onDoubt"`
	RateLimit float64       `yaml:"rateLimit"`
	AskGrace  time.Duration `yaml:"askGrace"`
}

// decode reads the common fields, and the others into the settings of the type.
func (c *Connector) decode(d *decoder, f field) {
	var entries []entry
	if _, null := f.node.(*ast.NullNode); !null { // an empty connector lacks its type, too
		var ok bool
		if entries, ok = d.entries(f); !ok {
			return
		}
	}
	shared := common{OnDoubt: Resend, AskGrace: DefaultAskGrace}
	fields := fieldsOf(reflect.ValueOf(&shared).Elem())
	var own []entry
	for _, e := range entries {
		if target, ok := fields[e.name]; ok {
			d.value(f.child(e.name, e.node), target)
		} else {
			own = append(own, e)
		}
	}
	c.Type, c.OnDoubt, c.RateLimit, c.AskGrace = shared.Type, shared.OnDoubt, shared.RateLimit, shared.AskGrace
	if c.RateLimit < 0 {
		d.failPath(f.path+".rateLimit", "is negative; it takes messages a second, and 0 for no limit")
	}
	newSettings, ok := connectorTypes[c.Type]
	switch {
	case c.Type == "":
		d.failPath(f.path+".type", "is required; it is one of %s", strings.Join(ConnectorTypes(), ", "))
		return
	case !ok:
		d.failPath(f.path+".type", "%q is not a type of connector; it is one of %s", c.Type, strings.Join(ConnectorTypes(), ", "))
		return
	}
	c.Settings = newSettings()
	target := reflect.ValueOf(c.Settings).Elem()
	if shared.File != "" {
		d.connectorFile(f, shared.File, target)
	}
	known := fieldsOf(target)
	names := slices.Sorted(maps.Keys(known))
	names = append(names, slices.Sorted(maps.Keys(fields))...)
	for _, e := range own {
		if v, ok := known[e.name]; ok {
			d.value(f.child(e.name, e.node), v)
		} else {
			d.unknown(f, e, names)
		}
	}
	if d.bad[f.path+".file"] {
		return // the file may have the fields that are missing
	}
	problems := c.Settings.Validate()
	for _, p := range problems {
		d.failPath(f.path+"."+p.Path, "%s", p.Text)
	}
	if w, ok := c.Settings.(sender.Warner); ok && len(problems) == 0 {
		for _, p := range w.Warnings() {
			d.warnings = append(d.warnings, d.problemAt(f.path+"."+p.Path, "%s", p.Text))
		}
	}
}

// connectorFile reads a file with Logto's connector JSON. JSON is YAML, so the same
// decoder reads it.
func (d *decoder) connectorFile(f field, name string, target reflect.Value) {
	path := resolvePath(filepath.Dir(f.doc.file), name)
	text, err := d.env.ReadFile(path)
	if err != nil {
		d.failPath(f.path+".file", "can't be read: %v", err)
		d.bad[f.path+".file"] = true
		return
	}
	at, before := f.path+".file", len(d.problems)
	root, ok := d.parse(path, text)
	if ok {
		root.path = f.path
		d.value(root, target)
	}
	// It is YAML and was meant to be JSON: the fields that YAML finds there do not help.
	if err := notJSON(path, text); ok && err != nil && len(d.problems) > before {
		d.problems = d.problems[:before]
		d.failPath(at, "names %s, which %v", name, err)
		ok = false
	}
	if !ok {
		d.bad[at] = true
	}
}

// notJSON says what is wrong with the text of a .json file.
func notJSON(path string, text []byte) error {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, new(any)); filepath.Ext(path) != ".json" || !errors.As(err, &syntax) {
		return nil
	}
	line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
	return fmt.Errorf("is not JSON: see its line %d; JSON takes neither comments nor a comma after the last value", line)
}

// isConnector reports a file that is a connector's JSON, as Logto shows it, in place of a
// whole configuration.
func (d *decoder) isConnector(f field, entries []entry, known map[string]reflect.Value) bool {
	templates := false
	for _, e := range entries {
		if _, ok := known[e.name]; ok {
			return false
		}
		templates = templates || e.name == "templates"
	}
	if templates {
		d.fail(f, "is the configuration of a connector alone, such as Logto shows it: name this file in a configuration as file of a connector")
	}
	return templates
}
