package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
)

// initIn runs codeferry init with a person's answers; none, and nobody is asked.
func initIn(t *testing.T, answers string, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	s := streams{in: strings.NewReader(answers), out: &o, err: &e, asks: answers != ""}
	status = execute(t.Context(), append([]string{"init"}, args...), s)
	return status, o.String(), e.String()
}

// wantConfiguration checks what init wrote: it can be read, the schema takes it, its app
// has the connectors, and the key is its owner's alone.
func wantConfiguration(t *testing.T, dir, nats string, connectors map[messages.Channel]string) {
	t.Helper()
	file := filepath.Join(dir, "codeferry.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "# yaml-language-server: $schema="+schemaURL+"\n") {
		t.Errorf("its first line does not name the schema:\n%s", text)
	}
	if err := bySchema(t, string(text)); err != nil {
		t.Errorf("the schema refuses it: %v\n%s", err, text)
	}
	cfg, err := config.Load(file, config.Env{Lookup: env.Lookup})
	if err != nil {
		t.Fatalf("%v\nin %s", err, text)
	}
	if cfg.NATS.URL != nats {
		t.Errorf("nats.url is %q, want %q", cfg.NATS.URL, nats)
	}
	if len(cfg.Warnings) > 0 {
		t.Errorf("it has warnings: %v", cfg.Warnings)
	}
	if len(cfg.Sealing.Keys) != 1 {
		t.Errorf("it has %d sealing keys, want 1", len(cfg.Sealing.Keys))
	}
	for _, ch := range messages.Channels() {
		var kinds []string
		for _, step := range cfg.Apps["default"].Route(ch) {
			kinds = append(kinds, cfg.Connectors[step.Connector].Type)
		}
		if got := strings.Join(kinds, " "); got != connectors[ch] {
			t.Errorf("%s goes over %q, want %q", ch, got, connectors[ch])
		}
	}
	info, err := os.Stat(filepath.Join(dir, "sealing.key"))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, want 0600", info.Mode())
	}
}

func TestInitForEachConnector(t *testing.T) {
	t.Parallel()
	for _, kind := range config.ConnectorTypes() {
		for flag, url := range map[string]string{"embedded": "", "nats://127.0.0.1:4222": "nats://127.0.0.1:4222"} {
			t.Run(kind+" "+flag[:4], func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "new")
				ch := config.ConnectorChannel(kind)
				status, out, errs := initIn(t, "", "--"+string(ch), kind, "--nats", flag, "--dir", dir)
				if status != 0 {
					t.Fatalf("exit status %d: %s", status, errs)
				}
				wantConfiguration(t, dir, url, map[messages.Channel]string{ch: kind})
				if says := strings.Contains(out, "If your NATS has a login"); says != (url != "") {
					t.Errorf("with %s it speaks of the login: %t\n%s", flag, says, out)
				}
				for _, want := range []string{"check -c " + dir, "run -c " + dir, "https://github.com/codeferry/codeferry/blob/main/docs/connectors/" + kind + ".md explains each field", "--channel " + string(ch)} {
					if !strings.Contains(out, want) {
						t.Errorf("it does not say %q:\n%s", want, out)
					}
				}
			})
		}
	}
}

// TestInitListsTheVariables: also those of --nats, each once, and none that $${ writes.
func TestInitListsTheVariables(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	status, out, errs := initIn(t, "", "--email", "sendgrid", "--sms", "aliyun-sms", "--nats", "nats://${natsUser}:${NATS_PASSWORD}@127.0.0.1:4222,nats://${natsUser}:${file:pass}@127.0.0.2:4222", "--dir", dir)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, errs)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^  \d+\. export (\w+)=…$`).FindAllStringSubmatch(out, -1) {
		names = append(names, m[1])
	}
	check.Equal(t, "the variables", strings.Join(names, " "), "natsUser NATS_PASSWORD SENDGRID_API_KEY ALIBABA_CLOUD_ACCESS_KEY_ID ALIBABA_CLOUD_ACCESS_KEY_SECRET")
}

// TestInitShowsTheLogin: the lines for the login, TLS and the inboxes are right without
// their comment signs.
func TestInitShowsTheLogin(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	if status, _, errs := initIn(t, "", "--sms", "aliyun-sms", "--nats", "tls://127.0.0.1:4222", "--dir", dir); status != 0 {
		t.Fatalf("exit status %d: %s", status, errs)
	}
	file := filepath.Join(dir, "codeferry.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	open := regexp.MustCompile(`(?m)^  # (user|password|tls|inboxPrefix): `).ReplaceAllString(string(text), "  $1: ")
	if err := os.WriteFile(file, []byte(open), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := bySchema(t, open); err != nil {
		t.Errorf("the schema refuses it: %v\n%s", err, open)
	}
	cfg, err := config.Load(file, config.Env{Lookup: env.Lookup})
	if err != nil {
		t.Fatalf("%v\nin %s", err, open)
	}
	n := cfg.NATS
	if n.User != "worker" || n.Password.Reveal() != "secret" || filepath.Base(string(n.TLS.CAFile)) != "ca.pem" || n.InboxPrefix != "_INBOX_worker" {
		t.Errorf("it has user %q, CA %q and inboxes %q", n.User, n.TLS.CAFile, n.InboxPrefix)
	}
}

func TestInitAsksOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	status, out, errs := initIn(t, "pigeon\nsmtp\n1\nnats://10.0.0.1:4222\n", "--dir", dir)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, errs)
	}
	wantConfiguration(t, dir, "nats://10.0.0.1:4222", map[messages.Channel]string{messages.Email: "smtp", messages.SMS: "aliyun-sms"})
	if n := strings.Count(out, "Number or name:"); n != 3 {
		t.Errorf("it asked %d times for a connector, want 3, one of them again:\n%s", n, out)
	}
	for _, want := range []string{
		`"pigeon" is not in the list; give a number from 1 to 5, or a name.`, "export SMTP_PASSWORD=…",
		"docs/connectors/smtp.md and https://", "explain each field", "--channel email --to", "--channel sms --to",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers string
		args    []string
		status  int
		says    string
	}{
		"nobody to ask":           {args: nil, status: exitUsage, says: "give --email, --sms or both"},
		"both none":               {args: []string{"--email", "none"}, status: exitUsage, says: "at least one connector"},
		"both none, answered":     {answers: "none\nnone\n\n", status: exitUsage, says: "at least one connector"},
		"an unknown type":         {args: []string{"--email", "pigeon"}, status: exitUsage, says: "aliyun-dm"},
		"another channel's":       {args: []string{"--sms", "smtp"}, status: exitUsage, says: "--sms"},
		"an address of HTTP":      {args: []string{"--email", "smtp", "--nats", "http://u:s3cret@h"}, status: exitUsage, says: "--nats begins with http://"},
		"an address with a space": {args: []string{"--email", "smtp", "--nats", "nats://a b"}, status: exitUsage, says: "--nats is not an address"},
		"an answer like that":     {answers: "smtp\nnone\nhttp://u:s3cret@h\n", status: exitUsage, says: "--nats begins with http://"},
		"the answers end halfway": {answers: "smtp\n", status: exitFailed, says: "nothing was written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			status, _, errs := initIn(t, c.answers, append(c.args, "--dir", dir)...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if !strings.Contains(errs, c.says) || strings.Contains(errs, "s3cret") {
				t.Errorf("it says %q, want %q in it", errs, c.says)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("it wrote %v, %v", files, err)
			}
		})
	}
}

// TestInitOverwritesNothing: neither a configuration nor a key.
func TestInitOverwritesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if status, _, errs := initIn(t, "", "--email", "smtp", "--dir", dir); status != 0 {
		t.Fatalf("exit status %d: %s", status, errs)
	}
	key, err := fs.ReadFile(os.DirFS(dir), "sealing.key")
	if err != nil {
		t.Fatal(err)
	}
	status, _, errs := initIn(t, "", "--email", "smtp", "--dir", dir)
	if status != exitFailed {
		t.Errorf("beside a configuration: exit status %d, want %d", status, exitFailed)
	}
	if !strings.Contains(errs, "overwrites nothing") {
		t.Errorf("beside a configuration it says %q", errs)
	}
	if err := os.Remove(filepath.Join(dir, "codeferry.yaml")); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := initIn(t, "", "--email", "smtp", "--dir", dir); status != 0 {
		t.Fatalf("beside a key: exit status %d: %s", status, errs)
	}
	if now, err := fs.ReadFile(os.DirFS(dir), "sealing.key"); err != nil || !bytes.Equal(now, key) {
		t.Errorf("the key is another one now, %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "codeferry.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sealing.key"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := initIn(t, "", "--email", "smtp", "--dir", dir); status != exitFailed || !strings.Contains(errs, "move it away") {
		t.Errorf("beside something else: exit status %d: %s", status, errs)
	}
}

// TestInitReadsOnlyAKeyOfItsOwn: whatever else has the key's name is neither read to its end,
// which may never come, nor replaced.
func TestInitReadsOnlyAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"a named pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":     func(path string) error { return os.Symlink("/dev/zero", path) },
		"a large file": func(path string) error {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<40)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := put(filepath.Join(dir, "sealing.key")); err != nil {
				t.Fatal(err)
			}
			r := call(t, "init", "--email", "smtp", "--dir", dir).want(t, exitFailed)
			if want := filepath.Join(dir, "sealing.key") + " is there already and is not the file of a private key; move it away"; !strings.Contains(r.err, want) {
				t.Errorf("it says %q, want %q in it", r.err, want)
			}
			if _, err := os.Lstat(filepath.Join(dir, "codeferry.yaml")); err == nil {
				t.Error("it wrote a configuration")
			}
		})
	}
}

// TestExamplesOfInit: what init says about its examples, check says too, and both say it of
// every connector but one, whose example has none. preview shows the whole sender.
func TestExamplesOfInit(t *testing.T) {
	t.Parallel()
	lines := regexp.MustCompile(` \(line [0-9]+\)`)
	for kind, want := range map[string]struct {
		examples, from string
	}{
		"aliyun-dm":      {"no-reply@mail.example.com, Example", "Example <no-reply@mail.example.com>"},
		"aws-ses":        {"no-reply@example.com", "Example <no-reply@example.com>"},
		"sendgrid":       {"no-reply@example.com, Example", "Example <no-reply@example.com>"},
		"smtp":           {"smtp.example.com, no-reply@example.com", "Example <no-reply@example.com>"},
		"aliyun-sms":     {"示例, SMS_123456781, SMS_123456782, SMS_987654322, SMS_123456783, SMS_123456784, SMS_987654324", ""},
		"aliyun-sms-mas": {},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			status, out, errs := initIn(t, "", "--"+string(config.ConnectorChannel(kind)), kind, "--dir", dir)
			if status != 0 {
				t.Fatal(errs)
			}
			file := filepath.Join(dir, "codeferry.yaml")
			if got := strings.Contains(lines.ReplaceAllString(out, ""), "Still examples: "+want.examples+".\n"); got != (want.examples != "") {
				t.Errorf("init says %s", out)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var report bytes.Buffer
			(&checkCmd{}).examples(&checkReport{streams: streams{out: &report}}, file)
			if got := strings.Contains(lines.ReplaceAllString(report.String(), ""), "warning  "+file+": has examples of codeferry init, to be replaced by your own: "+want.examples+"\n"); got != (want.examples != "") {
				t.Errorf("check says %s of\n%s", report.String(), text)
			}
			for _, e := range exampleValues(string(text)) {
				if line := strings.Split(string(text), "\n")[e.line-1]; !strings.Contains(line, e.value) {
					t.Errorf("line %d is %q, without %s", e.line, line, e.value)
				}
			}
			var variables []string
			for _, v := range regexp.MustCompile(`export (\w+)=`).FindAllStringSubmatch(out, -1) {
				variables = append(variables, v[1]+"=secret")
			}
			r := callIn(t, variables, "preview", "-c", file).want(t, 0)
			from := regexp.MustCompile(`(?m)^from +(.*)$`).FindStringSubmatch(r.out)
			if (from == nil) != (want.from == "") || from != nil && from[1] != want.from {
				t.Errorf("preview shows the sender %q, want %q", from, want.from)
			}
		})
	}
}

// TestExampleValues: the words of the guides are examples, as whole values of their settings;
// comments have none, and nothing that may be a secret is one.
func TestExampleValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"fromEmail: no-reply@example.com":                                  "no-reply@example.com (line 1)",
		"\r\nemailAddress: Example <no-reply@example.com>":                 "no-reply@example.com (line 2)",
		"emailAddress: 'Example <no-reply@example.com>'":                   "no-reply@example.com (line 1)",
		"accountName: no-reply@mail.example.com # mine":                    "no-reply@mail.example.com (line 1)",
		"auth: {user: no-reply@example.com, pass: x}":                      "no-reply@example.com (line 1)",
		"host: \"smtp.example.com\"":                                       "smtp.example.com (line 1)",
		"{\"host\": \"smtp.example.com\"}":                                 "smtp.example.com (line 1)",
		"templateCode: SMS_123456789":                                      "SMS_123456789 (line 1)",
		"templateCode: {china: SMS_123456782, overseas: 'SMS_9876543210'}": "SMS_123456782 (line 1)",
		"fromName: 'Example'":                                              "Example (line 1)",
		"fromEmail: no-reply@my-example.com":                               "",
		"fromEmail: no-reply@example.com.cn":                               "",
		"fromEmail: x@example.com":                                         "",
		"# fromEmail: no-reply@example.com":                                "",
		"a: b # host: smtp.example.com":                                    "",
		"templateCode: SMS_1234567890":                                     "",
		"fromAlias: Example Ltd":                                           "",

		"url: nats://worker:hunter2@nats.example.com:4222": "",
		"url: nats://no-reply@example.com":                 "",
		"url: nats://user:smtp.example.com@h":              "",
		"url: a@h,user:no-reply@example.com":               "",
		"pass: no-reply@example.com":                       "",
		"apiKey: SMS_123456789":                            "",
		"password: \"user: no-reply@example.com x\"":       "",
	} {
		if got := listed(exampleValues(text)); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestInitAndCheckPrintNoPassword: neither prints a part of the login in a URL, whatever it
// looks like.
func TestInitAndCheckPrintNoPassword(t *testing.T) {
	t.Parallel()
	server := freeAddr(t)
	for _, url := range []string{
		"nats://worker:hunter2@nats.example.com:4222", "nats://hunter2@example.com", "tls://a:hunter2@example.org,tls://a:hunter2@b.example.org",
		"nats://worker:hunter2.example.com@" + server, "nats://hunter2.example.com@" + server,
	} {
		dir := t.TempDir()
		status, out, errs := initIn(t, "", "--email", "smtp", "--nats", url, "--dir", dir)
		if status != 0 {
			t.Fatal(errs)
		}
		file := filepath.Join(dir, "codeferry.yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), url) {
			t.Fatalf("the configuration lacks %s", url)
		}
		var report bytes.Buffer
		(&checkCmd{}).examples(&checkReport{streams: streams{out: &report}}, file)
		said := out + errs + report.String()
		if strings.HasSuffix(url, server) { // nobody is there, so the whole command is quick
			r := callIn(t, []string{"SMTP_PASSWORD=hunter2"}, "check", "-c", file, "--timeout", "1ms").want(t, exitFailed)
			said += r.out + r.err
		}
		if strings.Contains(said, "hunter2") {
			t.Errorf("with --nats %s init and check print %s", url, said)
		}
		if !strings.Contains(said, "smtp.example.com (line ") {
			t.Errorf("with --nats %s they name no example: %s", url, said)
		}
	}
}

// TestInitWarnsOfAPassword: it goes into the file, and the warning says what to write instead.
func TestInitWarnsOfAPassword(t *testing.T) {
	t.Parallel()
	for url, warns := range map[string]bool{"nats://worker:s3cret@127.0.0.1:4222": true, "nats://s3cret@127.0.0.1:4222": true, "nats://127.0.0.1:4222": false, "nats://worker:${WORKER_NATS_PASSWORD}@127.0.0.1:4222": false} {
		status, out, errs := initIn(t, "", "--sms", "aliyun-sms", "--nats", url, "--dir", t.TempDir())
		if status != 0 || strings.Contains(out+errs, "s3cret") {
			t.Errorf("%s: exit status %d: %s%s", url, status, out, errs)
		}
		if strings.HasPrefix(errs, "codeferry: warning: --nats has a ") != warns || warns && !strings.Contains(errs, "${file:PATH}") {
			t.Errorf("%s: it says %q", url, errs)
		}
	}
}
