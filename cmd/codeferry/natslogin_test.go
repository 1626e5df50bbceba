package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/messages/wire"
)

// door is a nats-server that lets in one login, in every form in which it can be given.
type door struct {
	url string
	// fields are of nats.*, files stand beside the configuration.
	fields string
	files  map[string][]byte
	// flags and env say the same; a name of files in them is that file's path.
	flags []string
	env   []string
	// context is the JSON of a context of the nats command line.
	context string
	// secrets are shown nowhere.
	secrets []string
}

// doors start a server each.
var doors = map[string]func(t *testing.T) door{
	"a user and password": func(t *testing.T) door {
		s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "codeferry", hidden+"/,@:" })
		return door{
			url: s.ClientURL(), fields: "user: codeferry, password: \"${file:password}\"", files: map[string][]byte{"password": []byte(hidden + "/,@:\n")},
			env: []string{"NATS_USER=codeferry", "NATS_PASSWORD=" + hidden + "/,@:"}, context: `"user": "codeferry", "password": "file://DIR/password"`,
		}
	},
	"a token": func(t *testing.T) door {
		s := natstest.Start(t, func(o *server.Options) { o.Authorization = hidden })
		return door{
			url: s.ClientURL(), fields: "token: \"${file:token}\"", files: map[string][]byte{"token": []byte(hidden)},
			env: []string{"NATS_TOKEN=" + hidden}, context: `"token": "` + hidden + `"`,
		}
	},
	"an nkey": func(t *testing.T) door {
		seed, name := natstest.NKey(t)
		s := natstest.Start(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: name}} })
		return door{
			url: s.ClientURL(), fields: "nkey: worker.nk", files: map[string][]byte{"worker.nk": seed},
			flags: []string{"--nkey", "DIR/worker.nk"}, env: []string{"NATS_NKEY=DIR/worker.nk"}, context: `"nkey": "DIR/worker.nk"`, secrets: []string{string(seed)},
		}
	},
	"a credentials file": func(t *testing.T) door {
		operator := natstest.NewOperator(t)
		s := natstest.Start(t, operator.Trust)
		creds := operator.Creds(time.Time{})
		_, token, _ := strings.Cut(string(creds), "\n")
		return door{
			url: s.ClientURL(), fields: "creds: worker.creds", files: map[string][]byte{"worker.creds": creds},
			flags: []string{"--creds", "DIR/worker.creds"}, env: []string{"NATS_CREDS=DIR/worker.creds"}, context: `"creds": "DIR/worker.creds"`, secrets: []string{token[:40]},
		}
	},
	"TLS by a private CA": func(t *testing.T) door {
		ca := testca.New(t)
		s := natstest.Start(t, func(o *server.Options) { o.TLSConfig = ca.Server(false, "127.0.0.1") })
		return door{
			url: strings.Replace(s.ClientURL(), "tls://", "nats://", 1), fields: "tls: {caFile: ca.pem}", files: map[string][]byte{"ca.pem": ca.Root()},
			flags: []string{"--tls-ca", "DIR/ca.pem"}, env: []string{"NATS_CA=DIR/ca.pem"}, context: `"ca": "DIR/ca.pem"`,
		}
	},
	"a client certificate, TLS first": func(t *testing.T) door {
		ca := testca.New(t)
		s := natstest.Start(t, func(o *server.Options) {
			o.TLSConfig, o.TLSVerify, o.TLSHandshakeFirst = ca.Server(true, "127.0.0.1"), true, true
		})
		cert, key := ca.Pair("worker")
		return door{
			url: s.ClientURL(), fields: "tls: {caFile: ca.pem, certFile: cert.pem, keyFile: key.pem, handshakeFirst: true}", files: map[string][]byte{"ca.pem": ca.Root(), "cert.pem": cert, "key.pem": key},
			flags:   []string{"--tls-ca", "DIR/ca.pem", "--tls-cert", "DIR/cert.pem", "--tls-key", "DIR/key.pem", "--tls-first"},
			context: `"ca": "DIR/ca.pem", "cert": "DIR/cert.pem", "key": "DIR/key.pem", "tls_first": true`,
		}
	},
	"several servers, the first dead": func(t *testing.T) door {
		s := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "codeferry", hidden })
		return door{
			url: "nats://" + freeAddr(t) + "," + s.ClientURL(), fields: "user: codeferry, password: \"${file:password}\"", files: map[string][]byte{"password": []byte(hidden)},
			env: []string{"NATS_USER=codeferry", "NATS_PASSWORD=" + hidden}, context: `"user": "codeferry", "password": "` + hidden + `"`,
		}
	},
	"a leaf node, with a domain": func(t *testing.T) door {
		_, leaves := hub(t)
		leaf := natstest.StartWith(t, &server.Options{ServerName: "leaf", LeafNode: server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{leaves}}}}})
		awaitHub(t, leaf.ClientURL())
		return door{url: leaf.ClientURL(), fields: "domain: hub", flags: []string{"--js-domain", "hub"}, context: `"jetstream_domain": "hub"`}
	},
}

// TestEveryLoginThroughTheProgram: a worker, and every kind of command, by a
// configuration, by flags, by variables and by a context.
func TestEveryLoginThroughTheProgram(t *testing.T) {
	t.Parallel()
	for name, start := range doors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enter(t, start(t))
		})
	}
}

func enter(t *testing.T, d door) {
	t.Helper()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	dir := t.TempDir()
	at := func(list []string) (all []string) {
		for _, text := range list {
			all = append(all, strings.ReplaceAll(text, "DIR", dir))
		}
		return all
	}
	put := func(name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range d.files {
		put(name, text)
	}
	cfg := put("codeferry.yaml", []byte(strings.NewReplacer(`{url: "nats://NATS"}`, fmt.Sprintf("{url: %q, %s}", d.url, d.fields), "SANDBOX", sandboxURL).Replace(configText)))
	put("nats/context/here.json", []byte(strings.ReplaceAll(fmt.Sprintf(`{"url": %q, %s}`, d.url, d.context), "DIR", dir)))
	put("nats/context.txt", []byte("here"))

	type way struct {
		env, flags []string
	}
	ways := map[string]way{
		"a configuration": {nil, []string{"-c", cfg}},
		"a context":       {[]string{"XDG_CONFIG_HOME=" + dir}, []string{"--context", "here"}},
		"its selection":   {[]string{"XDG_CONFIG_HOME=" + dir}, nil},
	}
	if d.flags != nil || d.env != nil {
		ways["flags"] = way{nil, append([]string{"-s", d.url}, at(d.flags)...)}
		if d.flags == nil { // it is a secret
			ways["flags"] = way{at(d.env), []string{"--nats", d.url}}
		}
	}
	if d.env != nil {
		ways["variables"] = way{append(at(d.env), "NATS_URL="+d.url), nil}
	}
	shown := ""
	with := func(w way, args ...string) result {
		t.Helper()
		r := callIn(t, w.env, slices.Concat(args, w.flags)...)
		shown += r.out + r.err
		return r
	}

	check := call(t, "check", "-c", cfg).want(t, 0)
	if warned := strings.Contains(check.out, "warning  NATS: NATS at nats://"); warned != strings.Contains(d.url, ",") {
		t.Errorf("check warns of a server is %t: %s", warned, check.out)
	}
	run := spawn(t, "run", "-c", cfg, "--log-format", "text")
	awaitReady(t, "http://"+run.find(`listen=(\S+)`)[1])
	n := 0
	for name, w := range ways {
		n++
		if r := with(w, "provision").want(t, 0); !strings.Contains(r.out, wire.StreamName) {
			t.Errorf("provision by %s: %s", name, r.out)
		}
		r := with(w, "send", "--channel", "sms", "--to", fmt.Sprintf("1301234567%d", n), "--type", "SignIn", "--code", "123456", "--wait", "20s", "--json").want(t, 0)
		if r.err != "" {
			t.Errorf("send by %s: %s", name, r.err)
		}
		if r := with(w, "status", ids(t, r.out)[0]).want(t, 0); !strings.Contains(r.out, " sent sms SignIn") {
			t.Errorf("status by %s: %s", name, r.out)
		}
		if r := with(w, "dead", "list").want(t, 0); r.out != "no dead letters\n" {
			t.Errorf("dead list by %s: %s", name, r.out)
		}
	}
	if got := len(inbox(t, sandboxURL, "")); got != n {
		t.Errorf("%d codes arrived, want %d", got, n)
	}
	if status := run.stop(); status != 0 {
		t.Errorf("the worker ended with %d: %s", status, run.output())
	}
	for _, secret := range append(d.secrets, hidden) {
		if strings.Contains(shown+check.out+check.err+run.output(), secret) {
			t.Errorf("something shows %s", secret)
		}
	}
}

// TestNATSMistakesThroughTheProgram: each command names the same thing to correct.
func TestNATSMistakesThroughTheProgram(t *testing.T) {
	t.Parallel()
	users := natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "codeferry", hidden }).ClientURL()
	off := natstest.Start(t, func(o *server.Options) { o.JetStream = false }).ClientURL()
	ca := testca.New(t)
	private := natstest.Start(t, func(o *server.Options) { o.TLSConfig = ca.Server(true, "127.0.0.1") }).ClientURL()
	roots, creds := testca.Write(t, "ca.pem", ca.Root()), testca.Write(t, "bad.creds", []byte(hidden))
	commands := [][]string{{"provision"}, {"status", "x"}, {"dead", "list"}, {"dead", "list", "--summary"}, {"dead", "show", "x"}, {"dead", "delete", "x", "--yes"}, {"send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456"}}
	inURL := func(server, login string) string { return strings.Replace(server, "://", "://"+login+"@", 1) }
	for _, tt := range []struct {
		name   string
		env    []string
		flags  []string
		wants  []string
		warned bool
		status int
	}{
		{"a wrong password", []string{"NATS_USER=codeferry", "NATS_PASSWORD=x" + hidden}, []string{"-s", users}, []string{"refuses the credentials; correct NATS_USER and NATS_PASSWORD ("}, false, exitFailed},
		{"a wrong password in the URL", nil, []string{"--nats", inURL(users, "codeferry:x"+hidden)}, []string{"refuses the credentials; correct the user and password in --nats (", "warning: --nats has a password, and ps and the shell's history show it; set NATS_USER and NATS_PASSWORD instead"}, true, exitFailed},
		{"a wrong token in the URL", nil, []string{"--nats", inURL(users, hidden)}, []string{"correct the token in --nats (", "warning: --nats has a token, and ps and the shell's history show it; set NATS_TOKEN instead"}, true, exitFailed},
		{"no login", nil, []string{"--nats", users}, []string{"refuses the credentials; there are none: set them with --creds, --nkey, NATS_USER and NATS_PASSWORD, NATS_TOKEN, or a context of the nats command line (--context) ("}, false, exitFailed},
		{"HTTP", nil, []string{"--nats", "http://127.0.0.1:4222"}, []string{"--nats begins with http://, but NATS uses nats:// or tls://; write it like nats://127.0.0.1:4222"}, false, exitUsage},
		{"no such credentials file", nil, []string{"--nats", users, "--creds", "/nope.creds"}, []string{"--creds names /nope.creds, which can't be read: no such file or directory"}, false, exitFailed},
		{"a bad credentials file", []string{"NATS_CREDS=" + creds}, []string{"--nats", users}, []string{"NATS_CREDS names " + creds + ", which is not a user's credentials file: it has no JWT"}, false, exitFailed},
		{"two logins", nil, []string{"--nats", users, "--creds", "a", "--nkey", "b"}, []string{"--creds", "--nkey", "can't be used together"}, false, exitUsage},
		{"a login in the URL and a file", nil, []string{"--nats", inURL(users, "codeferry:"+hidden), "--creds", "a"}, []string{"--creds can't be set together with the user and password in --nats, because a connection has one login"}, true, exitUsage},
		{"a certificate without its key", nil, []string{"--nats", users, "--tls-cert", "a"}, []string{"--tls-cert", "--tls-key"}, false, exitUsage},
		{"an unknown CA", nil, []string{"--nats", private}, []string{"has a certificate that is not trusted here; set --tls-ca or NATS_CA to a file with its CA's root certificate ("}, false, exitFailed},
		{"no client certificate", nil, []string{"--nats", private, "--tls-ca", roots}, []string{"requires a client certificate; set one with --tls-cert and --tls-key, or NATS_CERT and NATS_KEY ("}, false, exitFailed},
	} {
		for _, args := range commands {
			r := callIn(t, tt.env, append(slices.Clone(args), tt.flags...)...).want(t, tt.status)
			lines := 1
			if tt.warned {
				lines = 2
			}
			for _, want := range tt.wants {
				if !strings.Contains(r.err, want) {
					t.Errorf("%s: %v lacks %q: %s", tt.name, args, want, r.err)
				}
			}
			if got := strings.Count(r.err, "\n"); got != lines {
				t.Errorf("%s: %v has %d lines, want %d: %s", tt.name, args, got, lines, r.err)
			}
			if strings.Contains(r.out+r.err, hidden) {
				t.Errorf("%s: %v shows the secret: %s", tt.name, args, r.err)
			}
		}
	}

	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	file := func(fields string) string {
		t.Helper()
		return write(t, "codeferry.yaml", strings.NewReplacer(`{url: "nats://NATS"}`, "{"+fields+"}", "SANDBOX", sandboxURL).Replace(configText))
	}
	for name, tt := range map[string]struct{ fields, want string }{
		"a wrong password":         {fmt.Sprintf("url: %q, user: codeferry, password: x%s", users, hidden), "refuses the credentials; correct nats.user and nats.password ("},
		"no login":                 {fmt.Sprintf("url: %q", users), "refuses the credentials; there are none: set them with nats.user and nats.password, nats.token, nats.nkey or nats.creds ("},
		"a bad credentials file":   {fmt.Sprintf("url: %q, creds: %s", users, creds), "nats.creds names " + creds + ", which is not a user's credentials file"},
		"an unknown CA":            {fmt.Sprintf("url: %q", private), "set nats.tls.caFile to a file"},
		"no client certificate":    {fmt.Sprintf("url: %q, tls: {caFile: %s}", private, roots), "requires a client certificate; set one with nats.tls.certFile and nats.tls.keyFile ("},
		"no JetStream":             {fmt.Sprintf("url: %q", off), "nothing answers for JetStream: start nats-server with -js"},
		"replicas without cluster": {fmt.Sprintf("url: %q, replicas: 3, user: codeferry, password: %s", users, hidden), "nats.replicas is 3, but this server is not in a cluster; set it to 1, or let nats.url name a cluster"},
	} {
		cfg := file(tt.fields)
		check := call(t, "check", "-c", cfg).want(t, exitFailed)
		if strings.Count(check.out, "error ") != 1 || !strings.Contains(check.out, tt.want) {
			t.Errorf("%s: check lacks %q: %s", name, tt.want, check.out)
		}
		shown := check.out
		if name == "no JetStream" {
			for _, args := range commands[1:5] {
				if r := call(t, append(slices.Clone(args), "-c", cfg)...).want(t, exitFailed); !strings.Contains(r.err, tt.want) || strings.Contains(r.err, "codeferry provision") {
					t.Errorf("%s: %v says %s", name, args, r.err)
				}
			}
		}
		provision := call(t, "provision", "-c", cfg).want(t, exitFailed)
		if !strings.Contains(provision.err, tt.want) || strings.Count(provision.err, "\n") != 1 {
			t.Errorf("%s: provision lacks %q: %s", name, tt.want, provision.err)
		}
		if shown += provision.err; strings.Contains(shown, hidden) {
			t.Errorf("%s: the secret is shown: %s", name, shown)
		}
	}
}

// TestAWorkerTakesNewCertificatesAndPasswords: while it runs, the CA and the password are
// replaced, and the old ones are of no use any more.
func TestAWorkerTakesNewCertificatesAndPasswords(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	fetch(t, http.MethodPut, sandboxURL+"/settings", `{"flowControl": false}`)
	before, after := testca.New(t), testca.New(t)
	s := natstest.Start(t, func(o *server.Options) {
		o.TLSConfig, o.Username, o.Password = before.Server(false, "127.0.0.1"), "codeferry", hidden+"1"
	})
	roots, password := testca.Write(t, "ca.pem", before.Root()), testca.Write(t, "password", []byte(hidden+"1"))
	fields := fmt.Sprintf("{url: %q, user: codeferry, password: \"${file:%s}\", tls: {caFile: %s}}", s.ClientURL(), password, roots)
	cfg := write(t, "codeferry.yaml", strings.NewReplacer(`{url: "nats://NATS"}`, fields, "SANDBOX", sandboxURL).Replace(configText))
	run := spawn(t, "run", "-c", cfg, "--log-format", "text")
	listen := "http://" + run.find(`listen=(\S+)`)[1]
	awaitReady(t, listen)
	send := func() result {
		t.Helper()
		return call(t, "send", "-c", cfg, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s")
	}
	send().want(t, 0)

	s.Stop()
	s.Edit(func(o *server.Options) {
		o.TLSConfig, o.Password = after.Server(false, "127.0.0.1"), hidden+"2"
	})
	s.Again(t)
	run.find(`has a certificate that is not trusted here; add its CA's root certificate to ` + roots)
	check.Eventually(t, "/readyz says so", func() bool {
		status, text := fetch(t, http.MethodGet, listen+"/readyz", "")
		return status == http.StatusServiceUnavailable && strings.Contains(text, "nats: the server has a certificate that is not trusted here")
	})
	testca.Replace(t, roots, after.Root())
	run.find(`NATS refuses the credentials; correct nats.user and nats.password`)
	testca.Replace(t, password, []byte(hidden+"2"))
	run.find(`NATS is back`)
	awaitReady(t, listen)
	send().want(t, 0)
	if status := run.stop(); status != 0 {
		t.Errorf("the worker ended with %d: %s", status, run.output())
	}
	if strings.Contains(run.output(), hidden) {
		t.Errorf("the log shows a password: %s", run.output())
	}
}
