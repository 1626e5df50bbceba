package config

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunmas"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/sendgrid"
	"github.com/codeferry/codeferry/sender/ses"
	"github.com/codeferry/codeferry/sender/smtp"
)

// connectorTypes is every provider: a new one is a package and a line here.
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

// common is what every connector has beside its provider's own fields.
type common struct {
	Type string `yaml:"type"`
	// File is Logto's connector JSON. Fields given beside it stand above it.
	File      string  `yaml:"file"`
	OnDoubt   OnDoubt `yaml:"onDoubt"`
	RateLimit float64 `yaml:"rateLimit"`
	// AskGrace is how long a provider is asked about a message in doubt.
	AskGrace time.Duration `yaml:"askGrace"`
}

// decode reads the common fields, and the rest as the type's own.
func (c *Connector) decode(d *decoder, f field) {
	var entries []entry
	if _, null := f.node.(*ast.NullNode); !null { // nothing at all lacks its type, too
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
		d.failPath(f.path+".type", "is required: one of %s", strings.Join(ConnectorTypes(), ", "))
		return
	case !ok:
		d.failPath(f.path+".type", "%q is no type of connector; it is one of %s", c.Type, strings.Join(ConnectorTypes(), ", "))
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
		return // what is missing may be there
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

// connectorFile reads the JSON that Logto's console shows: JSON is YAML.
func (d *decoder) connectorFile(f field, name string, target reflect.Value) {
	path := resolvePath(filepath.Dir(f.doc.file), name)
	text, err := d.env.ReadFile(path)
	if err != nil {
		d.failPath(f.path+".file", "can't be read: %v", err)
		d.bad[f.path+".file"] = true
		return
	}
	root, ok := d.parse(path, text)
	if !ok {
		d.bad[f.path+".file"] = true
		return
	}
	root.path = f.path
	d.value(root, target)
}
