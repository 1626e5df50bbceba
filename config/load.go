package config

import (
	"fmt"
	"maps"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/codeferry/codeferry/messages"
)

// Load reads a configuration file. Its error is a Problems that holds
// everything that is wrong, in the file's order; the configuration is nil then.
func Load(file string, env Env) (*Config, error) {
	env = env.withDefaults()
	text, err := env.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(file, text, env)
}

// Parse reads a configuration's text. file is its name, in errors and as the
// base of relative paths.
func Parse(file string, text []byte, env Env) (*Config, error) {
	d := &decoder{env: env.withDefaults(), places: map[string]place{"": {file: file, line: 1, column: 1}}, bad: make(map[string]bool)}
	c := Default()
	if root, ok := d.parse(file, text); ok {
		d.value(root, reflect.ValueOf(c).Elem())
		c.complete()
		d.validate(c)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	c.Warnings = d.warnings.sorted()
	return c, nil
}

func (c *Config) complete() {
	for name, app := range c.Apps {
		if app.CodeTTL == 0 {
			app.CodeTTL = DefaultCodeTTL
			c.Apps[name] = app
		}
	}
}

// validate looks at what no single field can tell.
func (d *decoder) validate(c *Config) {
	d.address("listen", c.Listen)
	d.address("nats.listen", c.NATS.Listen)
	if p := c.NATS.InboxPrefix; p != "" && !ValidInboxPrefix(p) {
		d.failPath("nats.inboxPrefix", "%q is no beginning of a subject, such as _INBOX_worker", p)
	}
	if c.NATS.URL == "" && !Loopback(c.NATS.Listen) && !d.bad["nats.listen"] {
		d.warnings = append(d.warnings, d.problemAt("nats.listen", "is an address that others than this machine reach, and the embedded server has no users: they may publish, read and delete"))
	}
	if c.NATS.Replicas < 1 || c.NATS.Replicas > 5 {
		d.failPath("nats.replicas", "is %d; it takes 1 to 5", c.NATS.Replicas)
	}
	if c.NATS.URL == "" && c.NATS.Replicas > 1 {
		d.failPath("nats.replicas", "is %d, and the embedded server is one alone; give nats.url, or leave it out", c.NATS.Replicas)
	}
	d.encryption(c)
	d.http(c.HTTP)
	d.worker(c.Worker)
	if c.Sealing.RequireSealed && len(c.Sealing.Keys) == 0 && !d.bad["sealing"] && !d.bad["sealing.keys"] {
		d.failPath("sealing.requireSealed", "needs sealing.keys; codeferry keygen makes one")
	}
	if len(c.Apps) == 0 {
		d.failPath("apps", "is required: the connectors of each app, such as {default: {email: [direct-mail]}}")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		d.app(c, name)
	}
}

// ValidInboxPrefix tells whether p can begin a subject: tokens without spaces, *
// and >, and a dot between them.
func ValidInboxPrefix(p string) bool {
	for token := range strings.SplitSeq(p, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n") {
			return false
		}
	}
	return true
}

func (d *decoder) app(c *Config, name string) {
	path := "apps." + name
	if !messages.ValidApp(name) {
		d.failPath(path, "is no app name; it takes 1 to 128 of A-Z a-z 0-9 _ -")
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
		d.failPath(path, "%q is no address; it takes a host and a port, such as 127.0.0.1:8080", addr)
	}
}
