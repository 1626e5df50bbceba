package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// Load reads a configuration file. If the file has mistakes, the configuration is nil
// and the error is a [Problems] with all of them, in the file's order.
func Load(file string, env Env) (*Config, error) {
	env = env.withDefaults()
	text, err := env.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(file, text, env)
}

// Unneeded says what else LoadForNATS leaves out. The zero value leaves nothing else out.
type Unneeded struct {
	// Login: another place has the server, the login and TLS. User, Password, Token, NKey, Creds
	// and TLS of the configuration's NATS stay empty. URL says only whether the server is the
	// embedded one: its ${…} are not replaced.
	Login bool
	// Sealing: the sealing keys are of no use.
	Sealing bool
}

// LoadForNATS is Load for a command that only talks to NATS. It leaves connectors, http and
// encryptionKey out, so a person needs neither the secrets nor the files of providers. In
// what it leaves out, nothing is a mistake.
func LoadForNATS(file string, env Env, without Unneeded) (*Config, error) {
	env.leftOut = []string{"connectors", "http", "encryptionKey"}
	if without.Login {
		env.leftOut = append(env.leftOut, "nats.user", "nats.password", "nats.token", "nats.nkey", "nats.creds", "nats.tls")
		env.asWritten = "nats.url"
	}
	if without.Sealing {
		env.leftOut = append(env.leftOut, "sealing")
	}
	return Load(file, env)
}

// Parse reads a configuration's text. file is the name for errors; relative paths start
// at its folder.
func Parse(file string, text []byte, env Env) (*Config, error) {
	d := &decoder{env: env.withDefaults(), places: map[string]place{"": {file: file, line: 1, column: 1}}, bad: make(map[string]bool)}
	c := Default()
	if root, ok := d.parse(file, text); ok {
		d.value(root, reflect.ValueOf(c).Elem())
		c.complete(filepath.Dir(file))
		d.validate(c)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	c.Warnings = d.warnings.sorted()
	return c, nil
}

// complete fills in what the file leaves out. dir is the file's folder.
func (c *Config) complete(dir string) {
	c.DataDir = resolvePath(dir, c.DataDir)
	for name, app := range c.Apps {
		if app.CodeTTL == 0 {
			app.CodeTTL = DefaultCodeTTL
			c.Apps[name] = app
		}
	}
}

// validate checks what needs more than one field.
func (d *decoder) validate(c *Config) {
	d.address("listen", c.Listen)
	d.nats(c.NATS)
	d.encryption(c)
	d.http(c.HTTP)
	d.worker(c.Worker)
	if c.Sealing.RequireSealed && len(c.Sealing.Keys) == 0 && !d.bad["sealing"] && !d.bad["sealing.keys"] {
		d.failPath("sealing.requireSealed", "needs sealing.keys; codeferry keygen makes one")
	}
	if len(c.Apps) == 0 {
		d.failPath("apps", "is required; it holds the connectors of each app, such as {default: {email: [direct-mail]}}")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		d.app(c, name)
	}
}

func (d *decoder) app(c *Config, name string) {
	path := "apps." + name
	if !wire.ValidApp(name) {
		d.failPath(path, "is not an app name; it takes 1 to 128 of A-Z a-z 0-9 _ -")
	}
	app := c.Apps[name]
	if len(app.Email)+len(app.SMS) == 0 && !d.bad[path+".email"] && !d.bad[path+".sms"] {
		d.failPath(path, "has no connector; give it email or sms")
	}
	for _, ch := range messages.Channels() {
		d.route(c, fmt.Sprintf("%s.%s", path, ch), ch, app.Route(ch))
	}
}

func connectorNames(c *Config) []string { return slices.Sorted(maps.Keys(c.Connectors)) }

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (d *decoder) worker(w Worker) {
	if w.Concurrency < 1 || w.Concurrency > 10_000 {
		d.failPath("worker.concurrency", "is %d; it takes 1 to 10000", w.Concurrency)
	}
	r := w.Retry
	if r.Multiplier < 1 || math.IsInf(r.Multiplier, 0) || math.IsNaN(r.Multiplier) {
		d.failPath("worker.retry.multiplier", "is %v; it takes 1 or more", r.Multiplier)
	}
	if !(r.RandomizationFactor >= 0 && r.RandomizationFactor <= 1) {
		d.failPath("worker.retry.randomizationFactor", "is %v; it takes 0 to 1", r.RandomizationFactor)
	}
	if r.MaxAttempts < 1 {
		d.failPath("worker.retry.maxAttempts", "is %d; it takes 1 or more", r.MaxAttempts)
	}
	if r.InitialInterval > r.MaxInterval {
		d.failPath("worker.retry.initialInterval", "is %v, longer than maxInterval (%v)", r.InitialInterval, r.MaxInterval)
	}
}

func (d *decoder) address(path, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		d.failPath(path, "%q is not an address; it takes a host and a port, such as 127.0.0.1:8080", addr)
	}
}
