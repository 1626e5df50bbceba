package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/sender"
)

// This file reads the contexts of the nats command line itself, without its library
// jsm.go/natscontext: the library adds 35 packages, among them an interpreter of
// expressions. It also runs the programs nsc and op, and returns options of the client, so
// that an error could not name the setting.

// userEnvironment is the environment of a command: the variables and the home directory.
type userEnvironment struct {
	// getenv returns an environment variable, or "".
	getenv func(name string) string
	// home is the user's home directory; "" if there is none.
	home string
}

func newUserEnvironment() userEnvironment {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	return userEnvironment{os.Getenv, home}
}

// natsFolder is where the nats command line keeps its contexts; "" if there is no such
// place.
func (e userEnvironment) natsFolder() string {
	if dir := e.getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "nats")
	}
	if e.home == "" {
		return ""
	}
	return filepath.Join(e.home, ".config", "nats")
}

// selectedContext returns the name of the context that `nats context select` chose; "" if
// none is.
func (e userEnvironment) selectedContext() (string, error) {
	dir := e.natsFolder()
	if dir == "" {
		return "", nil
	}
	text, err := os.ReadFile(filepath.Join(dir, "context.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the selected nats context; name a server with --nats, or a context with --context: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// natsContext has the fields of a context's file that codeferry uses, and, at the end,
// those that it refuses.
type natsContext struct {
	URL         string `json:"url"`
	Token       string `json:"token"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	JSDomain    string `json:"jetstream_domain"`
	JSAPIPrefix string `json:"jetstream_api_prefix"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`

	NSC         string `json:"nsc"`
	UserJWT     string `json:"user_jwt"`
	UserSeed    string `json:"user_seed"`
	SocksProxy  string `json:"socks_proxy"`
	WindowsCert string `json:"windows_cert_store"`
}

// readContext reads a context: its name, or the path of its file, which ends in .json.
func (e userEnvironment) readContext(name string) (t broker.Target, err error) {
	file, of := name, fmt.Sprintf("the nats context %q", name)
	if !strings.HasSuffix(name, ".json") {
		if strings.Contains(name, "..") || strings.ContainsAny(name, `/\`) {
			return t, fmt.Errorf("%s: the name of a context can't have .., / or \\; the path of a context's file must end with .json", of)
		}
		dir := e.natsFolder()
		if dir == "" {
			return t, fmt.Errorf("%s: there is no home directory to look in; set XDG_CONFIG_HOME, or give the path of the context's file", of)
		}
		file = filepath.Join(dir, "context", name+".json")
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return t, fmt.Errorf("%s: there is no file %s; `nats context ls` lists the contexts", of, file)
	}
	if err != nil {
		return t, fmt.Errorf("%s: %w", of, err)
	}
	var c natsContext
	if json.Unmarshal(text, &c) != nil { // its error may quote the file
		return t, fmt.Errorf("%s: %s is not a context's JSON", of, file)
	}
	if t, err = e.contextTarget(c, of); err != nil {
		return t, fmt.Errorf("%s: %w", of, err)
	}
	return t, plausible(t)
}

// contextTarget returns the target of a context. of names the context, for errors.
func (e userEnvironment) contextTarget(c natsContext, of string) (t broker.Target, err error) {
	for field, value := range map[string]string{
		"nsc": c.NSC, "user_jwt": c.UserJWT, "user_seed": c.UserSeed, "socks_proxy": c.SocksProxy, "windows_cert_store": c.WindowsCert,
	} {
		if value != "" {
			return t, fmt.Errorf("codeferry does not support %q; make a credentials file with nsc generate creds, or use flags", field)
		}
	}
	t = broker.Target{URL: c.URL, User: c.User, InboxPrefix: c.InboxPrefix, Domain: c.JSDomain, APIPrefix: c.JSAPIPrefix}
	if t.URL == "" {
		t.URL = defaultNATS
	}
	for _, path := range []struct {
		field, value string
		to           *string
	}{
		{"creds", c.Creds, &t.Creds},
		{"nkey", c.NKey, &t.NKey},
		{"ca", c.CA, (*string)(&t.TLS.CAFile)},
		{"cert", c.Cert, (*string)(&t.TLS.CertFile)},
		{"key", c.Key, (*string)(&t.TLS.KeyFile)},
	} {
		if *path.to, err = e.contextPath(path.value); err != nil {
			return t, fmt.Errorf("%q %w", path.field, err)
		}
	}
	for _, s := range []struct {
		field, value string
		to           *sender.Secret
	}{{"password", c.Password, &t.Password}, {"token", c.Token, &t.Token}} {
		secret, err := e.contextSecret(s.value)
		if err != nil {
			return t, fmt.Errorf("%q %w", s.field, err)
		}
		*s.to = sender.NewSecret(secret)
	}
	t.TLS.HandshakeFirst = c.TLSFirst
	t.Settings = broker.Settings{
		URL: `"url" of ` + of, User: `"user" and "password" of ` + of, Token: `"token" of ` + of, NKey: `"nkey" of ` + of, Creds: `"creds" of ` + of,
		CA: `"ca" of ` + of, Cert: `"cert" and "key" of ` + of, HandshakeFirst: `"tls_first" of ` + of,
	}
	return t, nil
}

// contextPath returns the path in a context's field, which can have ~, environment
// variables and file://, as for the nats command line. A path that comes to nothing is an
// error: without its ca a connection would need no TLS, and without its creds no login.
func (e userEnvironment) contextPath(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	path, isFile := strings.CutPrefix(text, "file://")
	if scheme, _, ok := strings.Cut(path, ":"); ok && !isFile && len(scheme) > 1 && !strings.ContainsAny(scheme, `/\.$~`) {
		return "", errors.New("is not a path; use a path, or file:// with a path")
	}
	missing := ""
	path = os.Expand(path, func(name string) string {
		value := e.getenv(name)
		if value == "" {
			missing = cmp.Or(missing, name)
		}
		return value
	})
	rest, ofHome := strings.CutPrefix(path, "~")
	switch {
	case missing != "":
		return "", unsetError(missing)
	case path == "":
		return "", errors.New("names no file")
	case ofHome && rest != "" && !strings.ContainsAny(rest[:1], `/\`):
		return "", errors.New("names the home directory of another user; write the whole path")
	case ofHome && e.home != "":
		return e.home + rest, nil
	}
	return path, nil
}

func unsetError(variable string) error {
	return fmt.Errorf("names the environment variable %s, which is not set", variable)
}

// contextSecret returns a password or token of a context: the text itself, or the value of
// the variable or file that it names.
func (e userEnvironment) contextSecret(text string) (string, error) {
	if name, ok := strings.CutPrefix(text, "env://"); ok {
		if value := e.getenv(name); value != "" {
			return value, nil
		}
		return "", unsetError(name)
	}
	if strings.HasPrefix(text, "file://") {
		path, err := e.contextPath(text)
		if err != nil {
			return "", err
		}
		secret, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("names a file that can't be read: %w", err)
		}
		value := strings.TrimRight(string(secret), "\r\n")
		if value == "" {
			return "", errors.New("names an empty file")
		}
		return value, nil
	}
	for _, scheme := range []string{"op://", "nsc://", "data:"} {
		if strings.HasPrefix(text, scheme) {
			return "", fmt.Errorf("begins with %s, which codeferry does not support; use env:// or file://", scheme)
		}
	}
	return text, nil
}

// variables returns the settings of the environment variables of the nats command line.
func (e userEnvironment) variables() (t broker.Target) {
	t = broker.Target{
		URL: e.getenv("NATS_URL"), User: e.getenv("NATS_USER"), Password: sender.NewSecret(e.getenv("NATS_PASSWORD")), Token: sender.NewSecret(e.getenv("NATS_TOKEN")),
		NKey: e.getenv("NATS_NKEY"), Creds: e.getenv("NATS_CREDS"),
		TLS: config.NATSTLS{CAFile: config.Path(e.getenv("NATS_CA")), CertFile: config.Path(e.getenv("NATS_CERT")), KeyFile: config.Path(e.getenv("NATS_KEY"))},
		Settings: broker.Settings{ //nolint:gosec // the names of variables
			URL: "NATS_URL", User: "NATS_USER and NATS_PASSWORD", Token: "NATS_TOKEN", NKey: "NATS_NKEY", Creds: "NATS_CREDS",
			CA: "NATS_CA", Cert: "NATS_CERT and NATS_KEY",
		},
	}
	if t.User != "" && t.Password.IsZero() && t.Token.IsZero() { // as nats does
		t.User, t.Token = "", sender.NewSecret(t.User)
		t.Settings.Token = "NATS_USER (a token, without NATS_PASSWORD)"
	}
	return t
}
