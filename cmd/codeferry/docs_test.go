package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
)

const root = "../.."

var block = regexp.MustCompile("(?ms)^ *```([a-z]+)\n(.*?)^ *```")

// blocks returns the fenced blocks of a language in the README and docs/, by file.
func blocks(t *testing.T, language string) map[string][]string {
	t.Helper()
	files := []string{root + "/README.md"}
	for _, dir := range []string{"docs", "docs/connectors"} {
		in, err := filepath.Glob(filepath.Join(root, dir, "*.md"))
		if err != nil || len(in) == 0 {
			t.Fatalf("%s: %d documents, %v", dir, len(in), err)
		}
		files = append(files, in...)
	}
	found := make(map[string][]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			if m[1] == language {
				found[file] = append(found[file], m[2])
			}
		}
	}
	return found
}

// env is what the configurations in the docs take from outside.
var env = config.Env{ReadFile: func(name string) ([]byte, error) {
	if filepath.Base(name) == "sealing.key" {
		return []byte("codeferry-private-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), nil
	}
	return os.ReadFile(name)
}, Lookup: func(name string) (string, bool) {
	value, known := map[string]string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID": fakealiyun.DefaultKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": fakealiyun.DefaultKeySecret,
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "SENDGRID_API_KEY": "SG.example", "SMTP_PASSWORD": "secret",
		"CODEFERRY_ENCRYPTION_KEY": "0123456789abcdef0123456789abcdef", "CODEFERRY_HTTP_TOKEN": "0123456789abcdef0123456789abcdef",
		"WORKER_NATS_PASSWORD": "secret", "WORKER_NATS_TOKEN": "secret", "WORKER_PASSWORD": "secret",
		"GOOGLE_CLIENT_ID": "client", "GOOGLE_CLIENT_SECRET": "secret", "GOOGLE_REFRESH_TOKEN": "token",
	}[name]
	return value, known
}}

func TestConfigurationsInTheDocs(t *testing.T) {
	t.Parallel()
	n := 0
	for file, texts := range blocks(t, "yaml") {
		for _, text := range texts {
			n++
			if strings.HasPrefix(text, "nats:") && !strings.Contains(text, "\napps:") {
				text += strings.Replace(configText, `nats: {url: "nats://NATS"}`, "", 1) // a part of one
			}
			if _, err := config.Parse(file, []byte(text), env); err != nil {
				t.Errorf("a configuration of the docs has a mistake: %v\n(the variables that the docs name are in env, cmd/codeferry/docs_test.go)\nin %s", err, text)
			}
			if err := bySchema(t, text); err != nil {
				t.Errorf("docs/codeferry.schema.json refuses it: %v\nin %s", err, text)
			}
		}
	}
	if n == 0 {
		t.Error("the docs have no configuration")
	}
}

// TestCommandsInTheDocs runs every command line of the README and docs/ against
// a running codeferry dev: codeferry itself, curl, and nats pub -J. If the nats command is not
// installed, the test publishes its message. It starts and stops commands that keep running.
// It does not start go test inside go test.
func TestCommandsInTheDocs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: ", err)
	}
	const id = "01JDCT5Z6Q0000000000000000"
	lines := 0
	for file, texts := range blocks(t, "sh") {
		t.Run(strings.TrimPrefix(file, root+"/"), func(t *testing.T) {
			t.Parallel()
			d := spawnDev(t)
			check.Eventually(t, "the streams exist", func() bool { return call(t, "dead", "list", "--nats", d.nats).status == 0 })
			// The docs use this id: one message with it was sent, and one is dead.
			js := jetStream(t, d.nats)
			for to, becomes := range map[string]string{"+8613012345678": "sent", "nobody": "dead"} {
				if _, err := js.Publish(t.Context(), "codeferry.send.default.sms.Register.user-1", fmt.Appendf(nil, `{"id":%q,"to":%q,"type":"Register","payload":{"code":"123456"}}`, id, to)); err != nil {
					t.Fatal(err)
				}
				d.find(id + " " + becomes) // before the next one supersedes it
			}
			// The context that the docs name exists, too.
			contexts := t.TempDir()
			if err := os.MkdirAll(filepath.Join(contexts, "nats", "context"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(contexts, "nats", "context", "production.json"), fmt.Appendf(nil, `{"url":%q}`, d.nats), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := write(t, "codeferry.yaml", strings.NewReplacer("NATS", strings.TrimPrefix(d.nats, "nats://"), "SANDBOX", d.sandbox).Replace(configText))
			here := strings.NewReplacer(
				"http://127.0.0.1:8080", d.http, "http://127.0.0.1:9090", d.sandbox, "-c codeferry.yaml", "-c "+cfg,
				"nats://127.0.0.1:4222", d.nats, "go run -v ./cmd/codeferry", "codeferry", "go run ./cmd/codeferry", "codeferry", "--listen 127.0.0.1:9090", "--listen 127.0.0.1:0",
			)
			for _, text := range texts {
				for line := range strings.Lines(text) {
					runDocLine(t, d, js, contexts, here.Replace(strings.TrimSpace(line)))
				}
			}
		})
		lines++
	}
	if lines < 4 {
		t.Errorf("only %d files have commands", lines)
	}
}

// TestMetricsInTheDocs: the table of docs/operation.md has every metric of codeferry's own
// that a worker serves once it is ready, and no other one.
func TestMetricsInTheDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(codeferry_[a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = true
	}
	metrics, scrape := spawnDev(t).http+"/metrics", ""
	check.Eventually(t, "the worker is ready", func() bool {
		_, scrape = fetch(t, http.MethodGet, metrics, "")
		return strings.Contains(scrape, "\ncodeferry_ready 1\n")
	})
	served := map[string]bool{"codeferry_certificate_expiry_timestamp_seconds": true} // only with http.tls, which dev does not have
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (codeferry_[a-z_]+) `).FindAllStringSubmatch(scrape, -1) {
		served[m[1]] = true
	}
	for name := range served {
		if !documented[name] {
			t.Errorf("docs/operation.md does not have the metric %s", name)
		}
	}
	for name := range documented {
		if !served[name] {
			t.Errorf("docs/operation.md has %s, and a worker does not serve it", name)
		}
	}
	for _, line := range []string{
		`codeferry_messages_total{channel="sms",connector="aliyun-sms",outcome="sent",reason=""} 0`,
		`codeferry_messages_total{channel="email",connector="",outcome="dead",reason="expired"} 0`,
		`codeferry_dead_letters{channel="sms",reason="rejected"} 0`, `codeferry_nats_connected 1`,
	} {
		if !strings.Contains(scrape, "\n"+line+"\n") {
			t.Errorf("a new worker does not serve %s", line)
		}
	}
}

func jetStream(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// natsPub needs the -J: without it, nats pub does not wait for the stream's acknowledgement.
var natsPub = regexp.MustCompile(`^nats pub -J (\S+) '(.*)'$`)

// variable matches those that a line sets for its command.
var variable = regexp.MustCompile(`^([A-Z_]+=\S+ )+`)

// runDocLine runs a line. The contexts of the nats command line are below contexts.
func runDocLine(t *testing.T, d dev, js jetstream.JetStream, contexts, line string) {
	t.Helper()
	set := variable.FindString(line)
	line = strings.TrimPrefix(line, set)
	switch {
	case line == "" || strings.HasPrefix(line, "go test "):
	case line == "codeferry dev": // d is one
	case strings.HasPrefix(line, "codeferry run "): // beside d's own worker
		run := spawn(t, append(strings.Fields(line)[1:], "--listen", "127.0.0.1:0")...)
		run.find("codeferry runs")
		run.stop()
	case strings.HasPrefix(line, "codeferry sandbox"):
		spawn(t, strings.Fields(line)[1:]...).find("sandbox on ")
	case strings.HasPrefix(line, "codeferry outcomes ") && strings.Contains(line, " --follow"):
		followed{spawn(t, append(strings.Fields(line)[1:], "--nats", d.nats)...)}.stops(t)
	case natsPub.MatchString(line):
		m := natsPub.FindStringSubmatch(line)
		if path, err := exec.LookPath("nats"); err == nil {
			runNATSPub(t, path, d.nats, m[1], m[2])
		} else if _, err := js.Publish(t.Context(), m[1], []byte(m[2])); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	case strings.HasPrefix(line, "codeferry "), strings.HasPrefix(line, "curl "):
		if args, ok := strings.CutPrefix(line, "codeferry "); ok {
			line = set + binary(t) + " " + args
			// bench creates its own streams, and refuses a server that has them.
			named := func(what string) bool { return strings.Contains(line+" ", what) }
			if !slices.ContainsFunc([]string{" -c ", " -s ", " --context ", "NATS_URL=", " completion ", " man ", " bench "}, named) {
				line += " --nats " + d.nats
			}
		} else {
			line = strings.Replace(line, "curl ", "curl -sS --fail ", 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Env = append(command(ctx, t).Env, "XDG_CONFIG_HOME="+contexts)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	default:
		t.Errorf("this test can't run the line: %s", line)
	}
}

// runNATSPub runs nats pub -J with the server of the test.
func runNATSPub(t *testing.T, path, server, subject, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--server", server, "pub", "-J", subject, body).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Stored in Stream: CODEFERRY") {
		t.Errorf("nats pub -J %s: %v: %s", subject, err, out)
	}
}
