package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
)

// natsFlags say how to connect to a NATS server that is named elsewhere.
type natsFlags struct {
	Context     string `help:"Take the server, the login and TLS from this context of the nats command line: its name, or its file." placeholder:"NAME"`
	Creds       string `xor:"login" help:"NATS credentials file." placeholder:"FILE"`
	NKey        string `name:"nkey" xor:"login" help:"File with the seed of a NATS user's nkey." placeholder:"FILE"`
	TLSCA       string `name:"tls-ca" help:"File with the root certificates of the NATS server's CA. Default: the system's roots." placeholder:"FILE"`
	TLSCert     string `name:"tls-cert" and:"pair" help:"File with a client certificate for NATS." placeholder:"FILE"`
	TLSKey      string `name:"tls-key" and:"pair" help:"File with the private key of --tls-cert." placeholder:"FILE"`
	TLSFirst    bool   `name:"tls-first" help:"Start TLS before the NATS server's first message, for a server with handshake_first."`
	InboxPrefix string `help:"Prefix of the subjects of answers, if the server allows no other subjects." placeholder:"SUBJECT"`
	jetStreamFlags
}

// jetStreamFlags say which JetStream of that NATS has the streams.
type jetStreamFlags struct {
	JSDomain    string `name:"js-domain" xor:"jetstream" help:"JetStream domain that has the streams." placeholder:"NAME"`
	JSAPIPrefix string `name:"js-api-prefix" xor:"jetstream" help:"Prefix of JetStream's API subjects, if an account imports the API under another prefix than $JS.API." placeholder:"SUBJECT"`
}

const defaultNATS = "nats://127.0.0.1:4222"

// commandSettings name a command's settings.
var commandSettings = broker.Settings{
	URL: "--nats", User: "NATS_USER and NATS_PASSWORD", Token: "NATS_TOKEN", NKey: "--nkey", Creds: "--creds", CA: "--tls-ca", Cert: "--tls-cert and --tls-key",
	ServerName: "nats.tls.serverName of a configuration (-c)", HandshakeFirst: "--tls-first", InboxPrefix: "--inbox-prefix",
	Login: "--creds, --nkey, NATS_USER and NATS_PASSWORD, NATS_TOKEN, or a context of the nats command line (--context)",
}

// unsetSettings name the settings that a command does not have: the flag and the variable.
func unsetSettings() broker.Settings {
	s := commandSettings
	s.CA, s.Cert = "--tls-ca or NATS_CA", "--tls-cert and --tls-key, or NATS_CERT and NATS_KEY"
	return s
}

// given returns the settings of the flags.
func (f natsFlags) given(url string) (broker.Target, error) {
	t := broker.Target{
		URL: url, NKey: f.NKey, Creds: f.Creds, InboxPrefix: f.InboxPrefix, Domain: f.JSDomain, APIPrefix: f.JSAPIPrefix,
		TLS:      config.NATSTLS{CAFile: config.Path(f.TLSCA), CertFile: config.Path(f.TLSCert), KeyFile: config.Path(f.TLSKey), HandshakeFirst: f.TLSFirst},
		Settings: commandSettings,
	}
	switch {
	case f.InboxPrefix != "" && !config.ValidInboxPrefix(f.InboxPrefix):
		return t, fmt.Errorf("--inbox-prefix: %q is not the prefix of a subject, such as _INBOX_operator", f.InboxPrefix)
	case f.JSDomain != "" && !config.ValidDomain(f.JSDomain):
		return t, fmt.Errorf("--js-domain: %q is not a JetStream domain; it takes one token of a subject, such as hub", f.JSDomain)
	case f.JSAPIPrefix != "" && !config.ValidAPIPrefix(f.JSAPIPrefix):
		return t, fmt.Errorf("--js-api-prefix: %q is not the prefix of a subject, such as $JS.hub.API", f.JSAPIPrefix)
	}
	return t, plausible(t)
}

// target returns the server of a command, and how to connect to it. url is the server's
// flag, and configured the server of a configuration, or nil. Each setting comes from the
// first place that has it:
//
//  1. the flags;
//  2. the context of --context, or else the configuration; after these, only 5;
//  3. the environment variables of the nats command line;
//  4. the context of NATS_CONTEXT, or else the selected context, if no server is named yet;
//  5. nats://127.0.0.1:4222.
//
// A login is one setting, and so is a certificate with its key. If a flag or variable names
// a server, the selected context is not used: that server would get its password. If it names
// another server than a context that is named, too, that is an error, for the same reason, and
// so it is with a configuration, unless the flags have a login.
func (f natsFlags) target(url string, configured *broker.Target, e userEnvironment) (broker.Target, error) {
	flags, err := f.given(url)
	if err != nil {
		return flags, &exitError{exitUsage, err}
	}
	var base broker.Target
	switch {
	case f.Context != "":
		if base, err = e.readContext(f.Context); err != nil {
			err = fmt.Errorf("--context: %w", err)
		} else {
			err = sameServer(flags, base, "--context", contextKind)
		}
	case configured != nil:
		base = *configured
		if hasLogin(base) && !hasLogin(flags) {
			err = sameServer(flags, base, "-c", configurationKind)
		}
	default:
		base, err = e.surroundings(url)
	}
	if err != nil {
		return base, err
	}
	t := overlay(base, flags)
	if configured == nil || f.Context != "" {
		t.Settings = t.Settings.Or(unsetSettings())
	}
	if t.URL == "" {
		t.URL, t.Settings.Unnamed = defaultNATS, "--nats, --context or -c, or with the variable NATS_URL or NATS_CONTEXT"
	}
	t.Name = "codeferry"
	return t, nil
}

// surroundings returns the settings of the variables and the contexts of the nats command
// line. url is the server's flag.
func (e userEnvironment) surroundings(url string) (broker.Target, error) {
	variables := e.variables()
	if err := plausible(variables); err != nil {
		return variables, err
	}
	name, why := e.getenv("NATS_CONTEXT"), "NATS_CONTEXT"
	if name == "" && url == "" && variables.URL == "" {
		var err error
		if name, err = e.selectedContext(); err != nil {
			return variables, err
		}
		why = "the selected one; name a server with --nats, or select another context"
	}
	if name == "" {
		return overlay(broker.Target{}, variables), nil
	}
	t, err := e.readContext(name)
	if err != nil {
		return t, fmt.Errorf("%w (%s)", err, why)
	}
	named := variables
	if url != "" {
		named, variables.URL = broker.Target{URL: url, Settings: commandSettings}, ""
	}
	if err := sameServer(named, t, "NATS_CONTEXT", contextKind); err != nil {
		return t, err
	}
	return overlay(t, variables), nil
}

// serverKind is what names a server and has a login, for sameServer's error.
type serverKind struct{ of, login, other string }

var (
	contextKind       = serverKind{"a context of the nats command line", "a context", ""}
	configurationKind = serverKind{
		"a configuration", "a configuration",
		"; to use another server, write it as nats.url into a copy of the configuration, name a context with --context, or give a login with --creds or --nkey",
	}
)

// sameServer refuses a server that is none of a context's or a configuration's: it would get
// their login. how says what names these.
func sameServer(server, of broker.Target, how string, kind serverKind) error {
	if server.URL == "" || isOneOf(asSecure(server.URL, of.URL), of.URL) {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("%s names the server %s, and %s %s with the server %s: choose one of the two, because the login of %s is only for its own servers%s",
		server.Settings.URL, broker.Redacted(server.URL), how, kind.of, broker.Redacted(of.URL), kind.login, kind.other)}
}

// isOneOf reports whether all servers of a list are in another one.
func isOneOf(urls, of string) bool {
	known := broker.Hosts(of)
	return !slices.ContainsFunc(broker.Hosts(urls), func(host string) bool { return !slices.Contains(known, host) })
}

// asSecure returns servers' URLs with TLS required, if another list of servers requires it:
// the login for these may not go out in the clear.
func asSecure(urls, of string) string {
	if !slices.ContainsFunc(strings.Split(of, ","), requiresTLS) {
		return urls
	}
	all := strings.Split(urls, ",")
	for i, s := range all {
		scheme, rest, ok := strings.Cut(strings.TrimSpace(s), "://")
		if !ok {
			scheme, rest = "nats", scheme
		}
		switch strings.ToLower(scheme) {
		case "nats":
			all[i] = "tls://" + rest
		case "ws":
			all[i] = "wss://" + rest
		}
	}
	return strings.Join(all, ",")
}

func requiresTLS(url string) bool {
	scheme, _, ok := strings.Cut(strings.ToLower(strings.TrimSpace(url)), "://")
	return ok && (scheme == "tls" || scheme == "wss")
}

// overlay returns base, with the settings of top in place of its own. TLS stays required for the
// servers of base.
func overlay(base, top broker.Target) broker.Target {
	t := base
	if hasLogin(top) {
		if config.InlineLogin(base.URL) != "" {
			t.URL = broker.Redacted(base.URL)
		}
		t.User, t.Password, t.Token, t.NKey, t.Creds = top.User, top.Password, top.Token, top.NKey, top.Creds
		t.Settings.User, t.Settings.Token, t.Settings.NKey, t.Settings.Creds = top.Settings.User, top.Settings.Token, top.Settings.NKey, top.Settings.Creds
	}
	if top.URL != "" {
		t.URL, t.Settings.URL = top.URL, top.Settings.URL
		if secure := asSecure(top.URL, base.URL); isOneOf(secure, base.URL) {
			t.URL = secure
		}
	}
	if top.TLS.CAFile != "" {
		t.TLS.CAFile, t.Settings.CA = top.TLS.CAFile, top.Settings.CA
	}
	if top.TLS.CertFile != "" {
		t.TLS.CertFile, t.TLS.KeyFile, t.Settings.Cert = top.TLS.CertFile, top.TLS.KeyFile, top.Settings.Cert
	}
	if top.TLS.HandshakeFirst {
		t.TLS.HandshakeFirst, t.Settings.HandshakeFirst = true, top.Settings.HandshakeFirst
	}
	if top.InboxPrefix != "" {
		t.InboxPrefix, t.Settings.InboxPrefix = top.InboxPrefix, top.Settings.InboxPrefix
	}
	if top.Domain != "" || top.APIPrefix != "" {
		t.Domain, t.APIPrefix = top.Domain, top.APIPrefix
	}
	return t
}

func hasLogin(t broker.Target) bool {
	return t.User != "" || !t.Password.IsZero() || !t.Token.IsZero() || t.NKey != "" || t.Creds != "" || config.InlineLogin(t.URL) != ""
}

// plausible refuses settings of one place that do not go together.
func plausible(t broker.Target) error {
	s := t.Settings
	if t.URL != "" {
		if err := config.CheckServers(t.URL); err != nil {
			return fmt.Errorf("%s %w", s.URL, err)
		}
	}
	first := ""
	for _, l := range []struct {
		name  string
		given bool
	}{
		{"the " + config.InlineLogin(t.URL) + " in " + s.URL, config.InlineLogin(t.URL) != ""},
		{s.User, t.User != "" || !t.Password.IsZero()},
		{s.Token, !t.Token.IsZero()},
		{s.NKey, t.NKey != ""},
		{s.Creds, t.Creds != ""},
	} {
		switch {
		case !l.given:
		case first != "":
			return fmt.Errorf("%s can't be set together with %s, because a connection has one login; leave one of them out", l.name, first)
		default:
			first = l.name
		}
	}
	switch {
	case t.User == "" && !t.Password.IsZero():
		return fmt.Errorf("%s belong together, but there is only a password", s.User)
	case (t.TLS.CertFile == "") != (t.TLS.KeyFile == ""):
		return fmt.Errorf("%s belong together, but there is only one of them", s.Cert)
	}
	return nil
}

// warnOfPassword warns if the command line shows a secret to others.
func warnOfPassword(s streams, url string) error {
	kind, instead := config.InlineLogin(url), "NATS_TOKEN"
	switch kind {
	case "":
		return nil
	case "user and password":
		kind, instead = "password", "NATS_USER and NATS_PASSWORD"
	}
	_, err := fmt.Fprintf(s.err, "codeferry: warning: --nats has a %s, and ps and the shell's history show it; set %s instead, or use a file with --creds or --nkey\n", kind, instead)
	return err
}

// ignoredVariables returns a warning about the variables of the nats command line that have no
// effect beside a flag that names the server; "" if there are none.
func (f serverFlags) ignoredVariables(getenv func(string) string) string {
	flag := "--context"
	switch {
	case f.Context != "":
	case f.Config != "":
		flag = "-c"
	default:
		return ""
	}
	var names []string
	for _, name := range []string{"NATS_URL", "NATS_CONTEXT", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN", "NATS_NKEY", "NATS_CREDS", "NATS_CA", "NATS_CERT", "NATS_KEY"} {
		if getenv(name) != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("the server, the login and TLS come from %s; these environment variables are not used: %s", flag, strings.Join(names, ", "))
}

var errNoServer = errors.New("the flags of a NATS connection need a server of your own; name it with --nats or --context")
