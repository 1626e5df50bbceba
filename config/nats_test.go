package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/config"
)

// onNATS is minimal with a server of its own, and fields of nats.*.
func onNATS(fields string) string {
	return minimal + "nats:\n  url: nats://a.example\n" + fields
}

func TestLoginsAndTLSAreRead(t *testing.T) {
	files := map[string]string{"/etc/codeferry/nats.password": "p w\n", "/run/token": "t0ken\r\n"}
	for name, tt := range map[string]struct {
		fields string
		want   config.NATS
	}{
		"a user":                  {"  user: codeferry\n  password: ${file:nats.password}\n", config.NATS{User: "codeferry"}},
		"a token":                 {"  token: ${file:/run/token}\n", config.NATS{}},
		"an nkey":                 {"  nkey: keys/worker.nk\n", config.NATS{NKey: "/etc/codeferry/keys/worker.nk"}},
		"a credentials file":      {"  creds: ../worker.creds\n", config.NATS{Creds: "/etc/worker.creds"}},
		"one for an auth callout": {"  creds: /run/sentinel.creds\n  user: codeferry\n  password: ${file:nats.password}\n", config.NATS{Creds: "/run/sentinel.creds", User: "codeferry"}},
		"TLS": {
			"  tls: {caFile: ca.pem, certFile: /run/cert.pem, keyFile: key.pem, serverName: nats.internal, handshakeFirst: true}\n",
			config.NATS{TLS: config.NATSTLS{CAFile: "/etc/codeferry/ca.pem", CertFile: "/run/cert.pem", KeyFile: "/etc/codeferry/key.pem", ServerName: "nats.internal", HandshakeFirst: true}},
		},
	} {
		got := mustParse(t, onNATS(tt.fields), files).NATS
		if got.User != tt.want.User {
			t.Errorf("%s: the user is %q, want %q", name, got.User, tt.want.User)
		}
		if got.User != "" && got.Password.Reveal() != "p w" {
			t.Errorf("%s: the password is %q", name, got.Password.Reveal())
		}
		if name == "a token" && got.Token.Reveal() != "t0ken" {
			t.Errorf("%s is %q", name, got.Token.Reveal())
		}
		if got.NKey != tt.want.NKey {
			t.Errorf("%s: nkey is %q, want %q", name, got.NKey, tt.want.NKey)
		}
		if got.Creds != tt.want.Creds {
			t.Errorf("%s: creds is %q, want %q", name, got.Creds, tt.want.Creds)
		}
		if got.TLS != tt.want.TLS {
			t.Errorf("%s: tls is %+v, want %+v", name, got.TLS, tt.want.TLS)
		}
	}
}

func TestLoginAndTLSMistakes(t *testing.T) {
	const one = ", because a connection has one login; leave one of them out"
	const server = " needs a server of your own, because the embedded one has no users; give nats.url, or leave it out"
	for _, tt := range []struct{ text, want string }{
		{onNATS("  user: u\n"), "16:3: nats.password is required if nats.user is set"},
		{onNATS("  password: p\n"), "16:3: nats.user is required if nats.password is set"},
		{onNATS("  user: u\n  password: ${EMPTY}\n"), "18:13: nats.password is empty; give it a value, or leave it out"},
		{onNATS("  user: ${EMPTY}\n  password: p\n"), "17:9: nats.user is empty; give it a value, or leave it out"},
		{onNATS("  token: ''\n"), "17:10: nats.token is empty; give it a value, or leave it out"},
		{onNATS("  token: 7\n"), "17:10: nats.token is not text; put it in quotes"},
		{onNATS("  user: u\n  password: p\n  token: t\n"), "19:10: nats.token can't be set together with nats.user" + one},
		{onNATS("  user: u\n  password: p\n  nkey: n\n"), "19:9: nats.nkey can't be set together with nats.user" + one},
		{onNATS("  token: t\n  nkey: n\n"), "18:9: nats.nkey can't be set together with nats.token" + one},
		{onNATS("  nkey: n\n  creds: c\n"), "18:10: nats.creds can't be set together with nats.nkey" + one},
		{minimal + "nats: {url: 'nats://u:p@a', user: u, password: p}\n", "15:35: nats.user can't be set together with the user and password in nats.url" + one},
		{minimal + "nats: {url: 'nats://t@a', nkey: n}\n", "15:33: nats.nkey can't be set together with the token in nats.url" + one},
		{minimal + "nats: {url: 'nats://t@a', creds: n}\n", ""},
		{minimal + "nats: {user: u, password: p}\n", "15:14: nats.user" + server + "\n15:27: nats.password" + server},
		{minimal + "nats: {token: t}\n", "15:15: nats.token" + server},
		{minimal + "nats: {nkey: n}\n", "15:14: nats.nkey" + server},
		{minimal + "nats: {tls: {caFile: a}}\n", "15:13: nats.tls needs a server of your own, because the embedded one has no TLS; give nats.url, or leave it out"},
		{onNATS("  tls: {certFile: a}\n"), "17:8: nats.tls.keyFile is required if nats.tls.certFile is set"},
		{onNATS("  tls: {keyFile: a}\n"), "17:8: nats.tls.certFile is required if nats.tls.keyFile is set"},
		{onNATS("  tls: {certfile: a}\n"), "17:9: nats.tls.certfile is not a field here; did you mean certFile?"},
		{onNATS("  tls: {handshakeFirst: maybe}\n"), `17:25: nats.tls.handshakeFirst "maybe" is not true or false`},
		{minimal + "nats: {url: http://127.0.0.1:4222}\n", "15:13: nats.url begins with http://, but NATS uses nats:// or tls://; write it like nats://127.0.0.1:4222"},
	} {
		if tt.want == "" {
			mustParse(t, tt.text, nil)
			continue
		}
		want := strings.Split(tt.want, "\n")
		for i := range want {
			want[i] = "codeferry.yaml:" + want[i]
		}
		wantProblems(t, tt.text, nil, want...)
	}
}

func TestACredentialsFileOfTheEmbeddedServerIsWarnedOf(t *testing.T) {
	c := mustParse(t, minimal+"nats: {creds: worker.creds}\n", nil)
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Error(), "nats.creds has no effect") {
		t.Errorf("the warnings are %v", c.Warnings)
	}
}

func TestCheckServers(t *testing.T) {
	const noAddress = "is not an address"
	for urls, want := range map[string]string{
		"nats://a":                              "",
		"a":                                     "",
		"a:4222":                                "",
		"tls://a.example:4443":                  "",
		"TLS://a":                               "",
		"ws://a/nats":                           "",
		"wss://a,ws://b":                        "",
		"nats://a, tls://b ,c:1":                "",
		"nats://[::1]:4222":                     "",
		"nats://s3cret:s3cret@a":                "",
		"nats://s3cret@a,nats://b":              "",
		"nats://s3%2Fcret:s3cret@a/":            "",
		"":                                      "empty address",
		"nats://a,":                             "empty address",
		"nats://a,,nats://b":                    "empty address",
		"http://127.0.0.1:4222":                 "begins with http://, but NATS uses nats:// or tls://",
		"HTTPS://a":                             "begins with https://, but NATS uses nats:// or tls://",
		"nats://a,http://s3cret@b":              "begins with http://",
		"s3cret://a":                            "begins with an unknown scheme",
		"redis://a":                             "begins with an unknown scheme",
		"nats://":                               "has no host",
		"nats://s3cret:s3cret@":                 "has no host",
		"nats://:4222":                          "has no host",
		"nats://s3cret:s3cret@a:notaport":       noAddress,
		"nats://a:70000":                        noAddress,
		"nats://me:s3cret%zz@127.0.0.1:4222":    noAddress,
		"nats://me:s3cret@[::1":                 noAddress,
		"nats://me:s3/cret@127.0.0.1":           noAddress,
		"nats://s3cret/x@127.0.0.1":             noAddress,
		"nats://s3cret?x@127.0.0.1":             noAddress,
		"nats://s3cret#x@127.0.0.1":             noAddress,
		"nats://a,ws://b":                       "mixes ws:// or wss:// with nats:// or tls://",
		"s3cret:s3cret@a:4222":                  "",
		"nats://a\n":                            "",
		"nats://s3cret:s3\x00cret@a":            noAddress,
		"nats://s3cret:s3cret@a nats://s3cret@": noAddress,
	} {
		err := config.CheckServers(urls)
		switch {
		case err == nil && want != "":
			t.Errorf("%q is taken, want an error with %q", urls, want)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", urls, err, want)
		case err != nil && strings.Contains(err.Error(), "s3"):
			t.Errorf("%q: the error shows a piece of it: %v", urls, err)
		}
	}
}

func TestInlineLogin(t *testing.T) {
	for urls, want := range map[string]string{
		"nats://a":                 "",
		"a,b":                      "",
		"nats://u:p@a":             "user and password",
		"u:p@a":                    "user and password",
		"nats://t@a":               "token",
		"nats://a, nats://t@b":     "token",
		"nats://u:@a":              "user and password",
		"nats://u:%zz@a":           "",
		"http://u:p@a,nats://b":    "",
		"nats://u:%zz@a,tls://t@b": "token",
	} {
		if got := config.InlineLogin(urls); got != want {
			t.Errorf("%q has %q, want %q", urls, got, want)
		}
	}
}

// TestSecretsOfNATSDontShow prints the logins in every way, and their mistakes.
func TestSecretsOfNATSDontShow(t *testing.T) {
	for _, fields := range []string{"  user: u\n  password: ZQX1aZQX\n", "  token: 'ZQX1aZQX'\n"} {
		c, err := config.Parse(file, []byte(onNATS(fields)), markedEnv())
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			wantNoMark(t, fields, fmt.Sprintf(strings.Repeat(verb, 3), c, c.NATS, &c.NATS))
		}
		text := onNATS(fields)
		for i := len(minimal); i < len(text); i++ {
			for _, slip := range []string{"", `"`, "'", ":", ": ", "{", "}", "[", "]", ",", "#", " #", "&", "*", "|", "\n", "\t", "${"} {
				wantNoMarkInError(t, text[:i]+slip+text[i:])
			}
		}
	}
	for _, url := range []string{"nats://u:ZQX%zz@a", "nats://u:ZQX/@a", "http://ZQX@a", "ZQX://a", "nats://ZQX:ZQX@a, ws://ZQX@b"} {
		if !wantNoMarkInError(t, minimal+"nats: {url: '"+url+"'}\n") {
			t.Errorf("%s is taken", url)
		}
	}
}
