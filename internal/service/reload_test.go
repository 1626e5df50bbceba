package service

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

// TestAdopt goes through every field of the configuration: a running service takes it, or
// keeps the old value and names it.
func TestAdopt(t *testing.T) {
	t.Parallel()
	taken := []string{"nats.user", "nats.password", "nats.token", "nats.replicas", "nats.maxBytes", "nats.outcomesBytes", "nats.deadBytes", "nats.ledgerBytes", "http.token", "http.pprof", "apps", "connectors", "worker", "sealing", "warnings"}
	restart := []string{"nats.url", "nats.listen", "nats.nkey", "nats.creds", "nats.tls", "nats.inboxPrefix", "nats.domain", "nats.apiPrefix", "dataDir", "encryptionKey", "listen", "http.tls"}
	var seen []string
	var each func(prefix string, v func(*config.Config) reflect.Value)
	each = func(prefix string, v func(*config.Config) reflect.Value) {
		probe := v(new(config.Config))
		for i := range probe.NumField() {
			f := probe.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			name = prefix + name
			field := func(c *config.Config) reflect.Value { return v(c).Field(i) }
			if name == "nats" || name == "http" {
				each(name+".", field)
				continue
			}
			seen = append(seen, name)
			old, next := new(config.Config), new(config.Config)
			change(t, name, field(next))
			c, named := adopt(old, next)
			from := next
			var want []string
			switch {
			case slices.Contains(restart, name):
				from, want = old, []string{name}
			case !slices.Contains(taken, name):
				t.Errorf("%s: does a running service take it, or does it need a restart? Say so in adopt, here, and in docs/operation.md", name)
			}
			if !slices.Equal(named, want) {
				t.Errorf("%s: %v need a restart, want %v", name, named, want)
			}
			if got := field(c).Interface(); !reflect.DeepEqual(got, field(from).Interface()) {
				t.Errorf("%s is %v", name, got)
			}
			if _, named := adopt(old, old); len(named) > 0 {
				t.Errorf("the same configuration needs a restart: %v", named)
			}
		}
	}
	each("", func(c *config.Config) reflect.Value { return reflect.ValueOf(c).Elem() })
	for _, name := range append(taken, restart...) {
		if !slices.Contains(seen, name) {
			t.Errorf("there is no setting %s any more", name)
		}
	}
}

// change gives a field another value.
func change(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *sender.Secret:
		*x = sender.NewSecret(strings.Repeat("x", 32))
		return
	case *config.TLS:
		x.CertFile = "cert.pem"
		return
	case *config.NATSTLS:
		x.CAFile = "ca.pem"
		return
	case *config.Worker:
		x.Concurrency = 7
		return
	case *config.Sealing:
		x.RequireSealed = true
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("nats://other")
	case reflect.Int, reflect.Int64:
		v.SetInt(9)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	default:
		t.Errorf("%s: the test does not know how to change a %s", name, v.Type())
	}
}

func TestCredentialsOfTheSameServersAreTaken(t *testing.T) {
	t.Parallel()
	config := func(url string) *config.Config { return &config.Config{NATS: config.NATS{URL: url}} }
	for next, want := range map[string]bool{
		"nats://u:new@a,nats://u:new@b": true,
		"nats://v:old@b,nats://v:old@a": true,
		"nats://u:old@a":                false,
		"nats://u:old@a,nats://u:old@c": false,
		"":                              false,
		"nats://u:n%zzw@a":              false,
	} {
		old := config("nats://u:old@a,nats://u:old@b")
		c, restart := adopt(old, config(next))
		if taken := c.NATS.URL == next; taken != want || taken != (len(restart) == 0) {
			t.Errorf("%q: the URL is %q then, and %v need a restart", next, c.NATS.URL, restart)
		}
	}
}

// TestStartClosed names the circuit breakers that a reload closes.
func TestStartClosed(t *testing.T) {
	t.Parallel()
	connectors := map[string]config.Connector{"a": {}, "b": {}}
	for _, tt := range []struct {
		notClosed map[string][]string
		want      string
	}{
		{nil, ""},
		{map[string][]string{"removed": {""}}, ""},
		{map[string][]string{"b": {"SMS_1", "SMS_2"}, "a": {""}, "removed": {""}}, "; circuit breakers that were open start closed: a, b (template SMS_1), b (template SMS_2)"},
	} {
		if got := startClosed(tt.notClosed, connectors); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.notClosed, got, tt.want)
		}
	}
}
