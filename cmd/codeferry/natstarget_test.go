package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/sender"
)

// hidden is in each password and token of these tests, and in no error.
const hidden = "s3cret"

// surrounded returns an environment with variables, and with contexts by their name; the
// one that is selected has the name context.txt.
func surrounded(t *testing.T, variables, contexts map[string]string) userEnvironment {
	t.Helper()
	home := t.TempDir()
	for name, text := range contexts {
		path := filepath.Join(home, ".config", "nats", "context", name+".json")
		if name == "context.txt" {
			path = filepath.Join(home, ".config", "nats", name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return userEnvironment{func(name string) string { return variables[name] }, home}
}

// outline writes a target in one line, for tables.
func outline(t broker.Target) string {
	var b strings.Builder
	for _, f := range []struct{ name, value string }{
		{"", t.URL},
		{"user=", t.User},
		{"password=", t.Password.Reveal()},
		{"token=", t.Token.Reveal()},
		{"nkey=", t.NKey},
		{"creds=", t.Creds},
		{"ca=", string(t.TLS.CAFile)},
		{"cert=", string(t.TLS.CertFile)},
		{"key=", string(t.TLS.KeyFile)},
		{"name=", t.TLS.ServerName},
		{"inbox=", t.InboxPrefix},
		{"domain=", t.Domain},
		{"api=", t.APIPrefix},
	} {
		if f.value != "" {
			b.WriteString(" " + f.name + f.value)
		}
	}
	if t.TLS.HandshakeFirst {
		b.WriteString(" first")
	}
	return strings.TrimPrefix(b.String(), " ")
}

// TestPrecedenceOfNATSSettings: what each place says, and which of several is taken.
func TestPrecedenceOfNATSSettings(t *testing.T) {
	t.Parallel()
	contexts := map[string]string{
		"prod": `{"description": "x", "url": "nats://prod", "creds": "/prod.creds", "ca": "/prod.ca", "inbox_prefix": "_P", "jetstream_domain": "hub", "color_scheme": "x"}`,
		"user": `{"url": "tls://user", "user": "u", "password": "p", "tls_first": true, "cert": "/c", "key": "/k", "jetstream_api_prefix": "js.hub"}`,
		"url":  `{"url": "nats://inline:pw@url,nats://inline:pw@url2"}`,
		"none": `{}`,
	}
	selected := func(name string) map[string]string {
		all := maps.Clone(contexts)
		all["context.txt"] = name + "\n"
		return all
	}
	configured := &broker.Target{URL: "nats://configured", User: "cu", Password: sender.NewSecret("cp"), TLS: config.NATSTLS{CAFile: "/configured.ca", ServerName: "n"}, Domain: "cd"}
	for _, tt := range []struct {
		name       string
		url        string
		flags      natsFlags
		configured *broker.Target
		variables  map[string]string
		contexts   map[string]string
		want       string
	}{
		{name: "nothing", want: "nats://127.0.0.1:4222"},
		{name: "a flag", url: "nats://a,nats://b", want: "nats://a,nats://b"},
		{name: "all flags", url: "nats://a", flags: natsFlags{Creds: "c", TLSCA: "ca", TLSCert: "cert", TLSKey: "key", TLSFirst: true, InboxPrefix: "_I", jetStreamFlags: jetStreamFlags{JSDomain: "d"}}, want: "nats://a creds=c ca=ca cert=cert key=key inbox=_I domain=d first"},
		{name: "an nkey", flags: natsFlags{NKey: "n", jetStreamFlags: jetStreamFlags{JSAPIPrefix: "js"}}, want: "nats://127.0.0.1:4222 nkey=n api=js"},

		{name: "a configuration", configured: configured, want: "nats://configured user=cu password=cp ca=/configured.ca name=n domain=cd"},
		{name: "a configuration and variables", configured: configured, variables: map[string]string{"NATS_URL": "nats://env", "NATS_CREDS": "e", "NATS_CONTEXT": "prod"}, want: "nats://configured user=cu password=cp ca=/configured.ca name=n domain=cd"},
		{name: "a configuration and a selected context", configured: configured, contexts: selected("prod"), want: "nats://configured user=cu password=cp ca=/configured.ca name=n domain=cd"},
		{name: "a configuration and flags", configured: configured, url: "nats://a", flags: natsFlags{Creds: "c", jetStreamFlags: jetStreamFlags{JSAPIPrefix: "js"}}, want: "nats://a creds=c ca=/configured.ca name=n api=js"},
		{name: "a configuration and a context", configured: configured, flags: natsFlags{Context: "prod"}, contexts: contexts, want: "nats://prod creds=/prod.creds ca=/prod.ca inbox=_P domain=hub"},

		{name: "variables", variables: map[string]string{"NATS_URL": "nats://env", "NATS_CREDS": "e", "NATS_CA": "ca", "NATS_CERT": "cert", "NATS_KEY": "key"}, want: "nats://env creds=e ca=ca cert=cert key=key"},
		{name: "a user in variables", variables: map[string]string{"NATS_USER": "u", "NATS_PASSWORD": "p"}, want: "nats://127.0.0.1:4222 user=u password=p"},
		{name: "a token in variables", variables: map[string]string{"NATS_TOKEN": "t"}, want: "nats://127.0.0.1:4222 token=t"},
		{name: "a user without a password is a token", variables: map[string]string{"NATS_USER": "t"}, want: "nats://127.0.0.1:4222 token=t"},
		{name: "an nkey in a variable", variables: map[string]string{"NATS_NKEY": "n"}, want: "nats://127.0.0.1:4222 nkey=n"},
		{name: "a flag and a login in variables", url: "nats://a", variables: map[string]string{"NATS_URL": "nats://env", "NATS_USER": "u", "NATS_PASSWORD": "p"}, want: "nats://a user=u password=p"},
		{name: "a login in a flag and in variables", flags: natsFlags{NKey: "n"}, variables: map[string]string{"NATS_URL": "nats://env", "NATS_USER": "u", "NATS_PASSWORD": "p"}, want: "nats://env nkey=n"},
		{name: "a login in the URL and in variables", url: "nats://u:p@a", variables: map[string]string{"NATS_CREDS": "e"}, want: "nats://u:p@a"},
		{name: "a login in a flag and in a variable's URL", flags: natsFlags{Creds: "c"}, variables: map[string]string{"NATS_URL": "u:p@env:4222"}, want: "nats://env:4222 creds=c"},
		{name: "an address without a scheme", flags: natsFlags{Creds: "c"}, variables: map[string]string{"NATS_URL": "env:4222"}, want: "env:4222 creds=c"},

		{name: "a context", flags: natsFlags{Context: "user"}, contexts: contexts, want: "tls://user user=u password=p cert=/c key=/k api=js.hub first"},
		{name: "a context without a URL", flags: natsFlags{Context: "none"}, contexts: contexts, want: "nats://127.0.0.1:4222"},
		{name: "a context and variables", flags: natsFlags{Context: "prod"}, contexts: contexts, variables: map[string]string{"NATS_URL": "nats://env", "NATS_CREDS": "e"}, want: "nats://prod creds=/prod.creds ca=/prod.ca inbox=_P domain=hub"},
		{name: "a context and flags", url: "nats://USER:4222", flags: natsFlags{Context: "user", NKey: "n", TLSCA: "ca", InboxPrefix: "_I"}, contexts: contexts, want: "tls://USER:4222 nkey=n ca=ca cert=/c key=/k inbox=_I api=js.hub first"},
		{name: "a context's URL with a login, and a flag", flags: natsFlags{Context: "url", Creds: "c"}, contexts: contexts, want: "nats://url,nats://url2 creds=c"},
		{name: "a context in a variable", variables: map[string]string{"NATS_CONTEXT": "prod"}, contexts: selected("user"), want: "nats://prod creds=/prod.creds ca=/prod.ca inbox=_P domain=hub"},
		{name: "a server of a context", url: "url2", flags: natsFlags{Context: "url"}, contexts: contexts, want: "url2"},
		{name: "a context in a variable below the others", url: "nats://prod", variables: map[string]string{"NATS_CONTEXT": "prod", "NATS_TOKEN": "t"}, contexts: contexts, want: "nats://prod token=t ca=/prod.ca inbox=_P domain=hub"},
		{name: "the selected context", contexts: selected("prod"), want: "nats://prod creds=/prod.creds ca=/prod.ca inbox=_P domain=hub"},
		{name: "the selected context with another login", contexts: selected("prod"), flags: natsFlags{NKey: "n"}, want: "nats://prod nkey=n ca=/prod.ca inbox=_P domain=hub"},
		{name: "the selected context, and a server by a flag", url: "nats://a", contexts: selected("user"), want: "nats://a"},
		{name: "the selected context, and a server by a variable", variables: map[string]string{"NATS_URL": "nats://env"}, contexts: selected("user"), want: "nats://env"},
		{name: "a selection that was taken back", contexts: selected(""), want: "nats://127.0.0.1:4222"},
	} {
		got, err := tt.flags.target(tt.url, tt.configured, surrounded(t, tt.variables, tt.contexts))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if text := outline(got); text != tt.want {
			t.Errorf("%s: the target is %q, want %q", tt.name, text, tt.want)
		}
	}
}

// TestAContextAndAnotherServer: a context that is named on purpose and another server are an
// error, because that server would get the context's password. Exactly its own servers pass.
func TestAContextAndAnotherServer(t *testing.T) {
	t.Parallel()
	contexts := map[string]string{"prod": `{"url": "nats://u:` + hidden + `@prod,nats://prod2:4333"}`}
	for name, tt := range map[string]struct {
		url       string
		flags     natsFlags
		variables map[string]string
		want      []string
	}{
		"--context and --nats":         {"nats://a", natsFlags{Context: "prod"}, nil, []string{"--nats names the server nats://a", "--context a context", "nats://prod,nats://prod2:4333", "choose one"}},
		"one of several":               {"nats://prod,nats://a", natsFlags{Context: "prod"}, nil, []string{"choose one"}},
		"another port":                 {"nats://prod2", natsFlags{Context: "prod"}, nil, []string{"choose one"}},
		"NATS_CONTEXT and --nats":      {"nats://a", natsFlags{}, map[string]string{"NATS_CONTEXT": "prod"}, []string{"--nats names the server nats://a", "NATS_CONTEXT a context", "choose one"}},
		"NATS_CONTEXT and NATS_URL":    {"", natsFlags{}, map[string]string{"NATS_CONTEXT": "prod", "NATS_URL": "nats://x:" + hidden + "@env"}, []string{"NATS_URL names the server nats://env", "NATS_CONTEXT a context", "choose one"}},
		"--context with its own":       {"nats://prod2:4333", natsFlags{Context: "prod"}, nil, nil},
		"NATS_CONTEXT with its own":    {"", natsFlags{}, map[string]string{"NATS_CONTEXT": "prod", "NATS_URL": "prod:4222"}, nil},
		"another NATS_URL, and --nats": {"nats://prod", natsFlags{}, map[string]string{"NATS_CONTEXT": "prod", "NATS_URL": "nats://env"}, nil},
	} {
		_, err := tt.flags.target(tt.url, nil, surrounded(t, tt.variables, contexts))
		if (err != nil) != (tt.want != nil) {
			t.Errorf("%s: got %v, want an error: %v", name, err, tt.want != nil)
			continue
		}
		for _, want := range tt.want {
			if exit := new(exitError); !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hidden) || !errors.As(err, &exit) || exit.code != exitUsage {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

// TestAConfigurationAndAnotherServer: the login of -c is for its own servers alone. Another
// one needs a login by flags.
func TestAConfigurationAndAnotherServer(t *testing.T) {
	t.Parallel()
	login := broker.Target{URL: "nats://prod,nats://prod2:4333", User: "u", Password: sender.NewSecret(hidden)}
	for name, tt := range map[string]struct {
		url        string
		flags      natsFlags
		configured broker.Target
		want       string // "" is an error
	}{
		"another server":              {"nats://a", natsFlags{}, login, ""},
		"an address without a scheme": {"a:4222", natsFlags{}, login, ""},
		"a tunnel":                    {"nats://127.0.0.1:4222", natsFlags{}, login, ""},
		"one of several":              {"nats://prod,nats://a", natsFlags{}, login, ""},
		"another port":                {"nats://prod2", natsFlags{}, login, ""},
		"a certificate alone":         {"nats://a", natsFlags{TLSCert: "c", TLSKey: "k"}, login, ""},
		"a token":                     {"nats://a", natsFlags{}, broker.Target{URL: "nats://prod", Token: sender.NewSecret(hidden)}, ""},
		"credentials":                 {"nats://a", natsFlags{}, broker.Target{URL: "nats://prod", Creds: "c"}, ""},
		"an nkey":                     {"nats://a", natsFlags{}, broker.Target{URL: "nats://prod", NKey: "n"}, ""},
		"a login in the URL":          {"nats://a", natsFlags{}, broker.Target{URL: "nats://u:" + hidden + "@prod"}, ""},

		"its own":                   {"nats://prod2:4333", natsFlags{}, login, "nats://prod2:4333 user=u password=" + hidden},
		"no login":                  {"nats://a", natsFlags{}, broker.Target{URL: "nats://prod"}, "nats://a"},
		"a login by a flag":         {"nats://a", natsFlags{Creds: "c"}, login, "nats://a creds=c"},
		"a login in the flag's URL": {"nats://x:y@a", natsFlags{}, login, "nats://x:y@a"},
	} {
		got, err := tt.flags.target(tt.url, &tt.configured, surrounded(t, nil, nil))
		if tt.want != "" {
			if text := outline(got); err != nil || text != tt.want {
				t.Errorf("%s: got %q, %v, want %q", name, text, err, tt.want)
			}
			continue
		}
		exit := new(exitError)
		if !errors.As(err, &exit) || exit.code != exitUsage || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: got %v, want a usage error", name, err)
			continue
		}
		for _, want := range []string{"--nats names the server ", "-c a configuration with the server nats://prod", "choose one of the two", "as nats.url into a copy of the configuration", "--context", "--creds or --nkey"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

// TestTLSStaysRequired: a server's login does not go out in the clear because --nats or NATS_URL
// names the server without TLS.
func TestTLSStaysRequired(t *testing.T) {
	t.Parallel()
	contexts := map[string]string{
		"tls": `{"url": "tls://u:p@prod,nats://prod2", "creds": ""}`,
		"wss": `{"url": "wss://prod,wss://prod2:80", "token": "t"}`,
		"off": `{"url": "nats://prod", "token": "t"}`,
	}
	for _, tt := range []struct{ context, url, want string }{
		{"tls", "nats://prod:4222", "tls://prod:4222"},
		{"tls", "prod", "tls://prod"},
		{"tls", "NATS://x:y@prod, prod2:4222", "tls://x:y@prod,tls://prod2:4222"},
		{"tls", "tls://prod", "tls://prod"},
		{"wss", "ws://prod", "wss://prod"},
		{"wss", "ws://prod:443", "wss://prod:443"},
		{"wss", "ws://prod2", ""}, // port 443, with TLS
		{"wss", "nats://prod", ""},
		{"off", "nats://prod", "nats://prod"},
		{"off", "ws://prod", ""},
		{"off", "tls://prod", "tls://prod"},
	} {
		e := surrounded(t, nil, contexts)
		byVariable := surrounded(t, map[string]string{"NATS_CONTEXT": tt.context, "NATS_URL": tt.url}, contexts)
		byBoth := surrounded(t, map[string]string{"NATS_CONTEXT": tt.context, "NATS_URL": "nats://elsewhere"}, contexts)
		configured, err := e.readContext(tt.context)
		if err != nil {
			t.Fatal(err)
		}
		for how, try := range map[string]func() (broker.Target, error){
			"--context":            func() (broker.Target, error) { return natsFlags{Context: tt.context}.target(tt.url, nil, e) },
			"-c":                   func() (broker.Target, error) { return natsFlags{}.target(tt.url, &configured, e) },
			"NATS_CONTEXT":         func() (broker.Target, error) { return natsFlags{}.target("", nil, byVariable) },
			"NATS_CONTEXT, --nats": func() (broker.Target, error) { return natsFlags{}.target(tt.url, nil, byBoth) },
		} {
			if how == "-c" && strings.Contains(tt.url, "@") {
				continue // a login of its own
			}
			got, err := try()
			if (err != nil) != (tt.want == "") || err == nil && got.URL != tt.want {
				t.Errorf("%s %s and %s: got %q, %v, want %q", how, tt.context, tt.url, got.URL, err, tt.want)
			}
		}
	}
}

// TestIgnoredVariables: -c and --context silence the variables, and say so.
func TestIgnoredVariables(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"NATS_USER": "u", "NATS_PASSWORD": hidden}
	getenv := func(name string) string { return variables[name] }
	for _, tt := range []struct {
		flags serverFlags
		want  string
	}{
		{serverFlags{}, ""},
		{serverFlags{NATS: "nats://a"}, ""},
		{serverFlags{Config: "c.yaml"}, "the server, the login and TLS come from -c; these environment variables are not used: NATS_USER, NATS_PASSWORD"},
		{serverFlags{Config: "c.yaml", natsFlags: natsFlags{Context: "prod"}}, "the server, the login and TLS come from --context; these environment variables are not used: NATS_USER, NATS_PASSWORD"},
	} {
		if got := tt.flags.ignoredVariables(getenv); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.flags, got, tt.want)
		}
		if got := tt.flags.ignoredVariables(func(string) string { return "" }); got != "" {
			t.Errorf("%+v without variables: got %q", tt.flags, got)
		}
	}
	r := callIn(t, []string{"NATS_TOKEN=" + hidden}, "dead", "list", "-c", "nowhere.yaml").want(t, exitFailed)
	if !strings.HasPrefix(r.err, "codeferry: warning: the server, the login and TLS come from -c; these environment variables are not used: NATS_TOKEN\n") {
		t.Errorf("the program prints %q", r.err)
	}
}

// TestNobodyNamedAServer: the error of the default says so, and what names another one.
func TestNobodyNamedAServer(t *testing.T) {
	t.Parallel()
	nobody := "nats://" + freeAddr(t)
	connect := func(url string) string {
		t.Helper()
		target, err := natsFlags{}.target(url, nil, surrounded(t, nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		if target.URL == defaultNATS { // somebody may serve there
			target.URL = nobody
		}
		nc, err := broker.Connect(t.Context(), target, zerolog.Nop())
		if err == nil {
			nc.Close()
			t.Fatal("it connected")
		}
		return err.Error()
	}
	if got, want := connect(""), "no NATS server is named, and the default "+nobody+" can't be reached: start one there, or name yours with --nats, --context or -c, or with the variable NATS_URL or NATS_CONTEXT ("; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := connect(nobody), "NATS at "+nobody+" can't be reached; "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNamesOfNATSSettings: an error names the place that a setting is from.
func TestNamesOfNATSSettings(t *testing.T) {
	t.Parallel()
	e := surrounded(t, map[string]string{"NATS_URL": "nats://env", "NATS_CREDS": "e"}, map[string]string{"prod": `{"user": "u", "password": "p", "ca": "/ca"}`})
	const prod = ` of the nats context "prod"`
	for name, tt := range map[string]struct {
		flags      natsFlags
		configured *broker.Target
		url        string
		want       broker.Settings
	}{
		"variables":       {want: broker.Settings{URL: "NATS_URL", Creds: "NATS_CREDS"}},
		"a flag":          {url: "nats://a", want: broker.Settings{URL: "--nats", Creds: "NATS_CREDS", CA: "--tls-ca or NATS_CA"}},
		"a context":       {flags: natsFlags{Context: "prod"}, want: broker.Settings{URL: `"url"` + prod, User: `"user" and "password"` + prod, CA: `"ca"` + prod, Cert: `"cert" and "key"` + prod}},
		"a configuration": {configured: &broker.Target{URL: "nats://c"}, flags: natsFlags{TLSCA: "x", NKey: "n"}, want: broker.Settings{NKey: "--nkey", CA: "--tls-ca"}},
	} {
		target, err := tt.flags.target(tt.url, tt.configured, e)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, want := reflect.ValueOf(target.Settings), reflect.ValueOf(tt.want)
		for i := range want.NumField() {
			if field := want.Type().Field(i).Name; !want.Field(i).IsZero() && got.Field(i).String() != want.Field(i).String() {
				t.Errorf("%s: %s is named %q, want %q", name, field, got.Field(i), want.Field(i))
			}
		}
	}
	target, err := natsFlags{}.target("", &broker.Target{URL: "nats://c"}, e)
	if err != nil || target.Settings != (broker.Settings{}) {
		t.Errorf("a configuration's settings have the names %+v, %v; want its fields'", target.Settings, err)
	}
}

func TestNATSContexts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "elsewhere.json")
	for path, text := range map[string]string{file: `{"url": "nats://file"}`, filepath.Join(folder, "password"): "p w\n", filepath.Join(folder, "empty"): "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	variables := map[string]string{"DIR": "/dir", "PASSWORD": "from env"}
	for name, tt := range map[string]struct{ text, want, fails string }{
		"paths":                  {text: `{"creds": "~/x.creds", "ca": "$DIR/ca.pem", "cert": "file:///c", "key": "${DIR}/k"}`, want: "creds=HOME/x.creds ca=/dir/ca.pem cert=/c key=/dir/k"},
		"a password by env":      {text: `{"user": "u", "password": "env://PASSWORD"}`, want: "user=u password=from env"},
		"a password by file":     {text: `{"user": "u", "password": "file://` + folder + `/password"}`, want: "user=u password=p w"},
		"a password with //":     {text: `{"user": "u", "password": "a://b"}`, want: "user=u password=a://b"},
		"a token":                {text: `{"token": "t"}`, want: "token=t"},
		"unknown fields":         {text: `{"token": "t", "new": [1]}`, want: "token=t"},
		"no JSON":                {text: `{"password": "` + hidden, fails: "is not a context's JSON"},
		"a number":               {text: `{"password": 7}`, fails: "is not a context's JSON"},
		"nsc":                    {text: `{"nsc": "nsc://o/a/u"}`, fails: `codeferry does not support "nsc"; make a credentials file`},
		"a JWT":                  {text: `{"user_jwt": "` + hidden + `"}`, fails: `codeferry does not support "user_jwt"`},
		"a proxy":                {text: `{"socks_proxy": "` + hidden + `"}`, fails: `codeferry does not support "socks_proxy"`},
		"creds from elsewhere":   {text: `{"creds": "op://vault/item"}`, fails: `"creds" is not a path; use a path, or file:// with a path`},
		"a password elsewhere":   {text: `{"user": "u", "password": "op://` + hidden + `"}`, fails: `"password" begins with op://, which codeferry does not support`},
		"a variable that is not": {text: `{"token": "env://GONE"}`, fails: `"token" names the environment variable GONE, which is not set`},
		"a file that is not":     {text: `{"token": "file:///nope"}`, fails: `"token" names a file that can't be read: open /nope: no such file`},
		"an empty file":          {text: `{"token": "file://` + folder + `/empty"}`, fails: `"token" names an empty file`},
		"a CA of no variable":    {text: `{"url": "nats://h", "user": "u", "password": "` + hidden + `", "ca": "$GONE"}`, fails: `"ca" names the environment variable GONE, which is not set`},
		"a login of no variable": {text: `{"creds": "${GONE}/x.creds"}`, fails: `"creds" names the environment variable GONE, which is not set`},
		"an empty path":          {text: `{"cert": "file://", "key": "k"}`, fails: `"cert" names no file`},
		"another's home":         {text: `{"creds": "~other/x.creds"}`, fails: `"creds" names the home directory of another user; write the whole path`},
		"two logins":             {text: `{"user": "u", "password": "` + hidden + `", "creds": "c"}`, fails: `"creds" of the nats context "x" can't be set together with "user" and "password" of the nats context "x", because a connection has one login`},
		"a password alone":       {text: `{"password": "` + hidden + `"}`, fails: `belong together, but there is only a password`},
		"a certificate alone":    {text: `{"cert": "c"}`, fails: `"cert" and "key" of the nats context "x" belong together, but there is only one of them`},
		"a URL of HTTP":          {text: `{"url": "http://u:` + hidden + `@a"}`, fails: `"url" of the nats context "x" begins with http://, but NATS uses nats:// or tls://`},
	} {
		e := surrounded(t, variables, map[string]string{"x": tt.text})
		got, err := natsFlags{Context: "x"}.target("", nil, e)
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) || !strings.Contains(err.Error(), `the nats context "x"`) || strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: %v, want an error with %q", name, err, tt.fails)
			}
			continue
		}
		want := strings.ReplaceAll("nats://127.0.0.1:4222 "+tt.want, "HOME", e.home)
		if text := outline(got); err != nil || text != want {
			t.Errorf("%s: %q, %v, want %q", name, text, err, want)
		}
	}
	e := surrounded(t, nil, nil)
	if got, err := (natsFlags{Context: file}).target("", nil, e); err != nil || got.URL != "nats://file" {
		t.Errorf("the path of a context: %q, %v", got.URL, err)
	}
	for _, tt := range []struct {
		flag      string
		variables map[string]string
		contexts  map[string]string
		wants     []string
	}{
		{"gone", nil, nil, []string{`--context: the nats context "gone"`, "there is no file " + filepath.Join(e.home, ".config/nats/context/gone.json"), "nats context ls"}},
		{"../x", nil, nil, []string{`--context: the nats context "../x"`, "can't have .."}},
		{"/nope.json", nil, nil, []string{"there is no file /nope.json"}},
		{"", map[string]string{"NATS_CONTEXT": "gone"}, nil, []string{`the nats context "gone"`, "(NATS_CONTEXT)"}},
		{"", nil, map[string]string{"context.txt": "gone"}, []string{`the nats context "gone"`, "(the selected one; name a server with --nats, or select another context)"}},
	} {
		e := e
		if tt.contexts != nil {
			e = surrounded(t, nil, tt.contexts)
		}
		e.getenv = func(name string) string { return tt.variables[name] }
		_, err := natsFlags{Context: tt.flag}.target("", nil, e)
		for _, want := range tt.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", tt, err, want)
			}
		}
	}
	e.getenv = func(name string) string { return map[string]string{"XDG_CONFIG_HOME": folder}[name] }
	if _, err := (natsFlags{Context: "gone"}).target("", nil, e); err == nil || !strings.Contains(err.Error(), filepath.Join(folder, "nats", "context", "gone.json")) {
		t.Errorf("XDG_CONFIG_HOME: %v", err)
	}
}

func TestVariablesOfNATSAreChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		variables map[string]string
		want      string
	}{
		{map[string]string{"NATS_URL": "http://u:" + hidden + "@a"}, "NATS_URL begins with http://, but NATS uses nats:// or tls://"},
		{map[string]string{"NATS_URL": "nats://u:" + hidden + "%zz@a"}, "NATS_URL is not an address"},
		{map[string]string{"NATS_PASSWORD": hidden}, "NATS_USER and NATS_PASSWORD belong together, but there is only a password"},
		{map[string]string{"NATS_USER": "u", "NATS_PASSWORD": hidden, "NATS_CREDS": "c"}, "NATS_CREDS can't be set together with NATS_USER and NATS_PASSWORD, because a connection has one login"},
		{map[string]string{"NATS_URL": "nats://" + hidden + "@a", "NATS_NKEY": "c"}, "NATS_NKEY can't be set together with the token in NATS_URL"},
		{map[string]string{"NATS_CERT": "c"}, "NATS_CERT and NATS_KEY belong together, but there is only one of them"},
	} {
		_, err := natsFlags{}.target("", nil, surrounded(t, tt.variables, nil))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%v: %v, want %q", tt.variables, err, tt.want)
		}
	}
}

// TestBenchTakesNoServerByChance: it makes and deletes streams.
func TestBenchTakesNoServerByChance(t *testing.T) {
	t.Parallel()
	e := surrounded(t, map[string]string{"NATS_URL": "nats://env", "NATS_CREDS": "e"}, map[string]string{"context.txt": "prod", "prod": `{"url": "nats://prod"}`})
	for name, tt := range map[string]struct {
		bench benchCmd
		want  string
	}{
		"nothing":   {benchCmd{}, ""},
		"a server":  {benchCmd{NATS: "nats://a"}, "nats://a creds=e"},
		"a context": {benchCmd{natsFlags: natsFlags{Context: "prod", NKey: "n"}}, "nats://prod nkey=n"},
	} {
		got, err := tt.bench.target(e)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text := outline(got); text != tt.want {
			t.Errorf("%s: the target is %q, want %q", name, text, tt.want)
		}
	}
}
