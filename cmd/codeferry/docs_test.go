package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
)

const root = "../.."

var block = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```")

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

var env = config.Env{Lookup: func(name string) (string, bool) {
	return map[string]string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID": sandbox.DefaultKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": sandbox.DefaultKeySecret,
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "SENDGRID_API_KEY": "SG.example", "SMTP_PASSWORD": "secret",
		"CODEFERRY_ENCRYPTION_KEY": "0123456789abcdef0123456789abcdef", "CODEFERRY_HTTP_TOKEN": "0123456789abcdef0123456789abcdef",
		"GOOGLE_CLIENT_ID": "client", "GOOGLE_CLIENT_SECRET": "secret", "GOOGLE_REFRESH_TOKEN": "token",
	}[name], true
}}

func TestConfigurationsInTheDocs(t *testing.T) {
	t.Parallel()
	n := 0
	for file, texts := range blocks(t, "yaml") {
		for _, text := range texts {
			n++
			if _, err := config.Parse(file, []byte(text), env); err != nil {
				t.Errorf("%v\nin %s", err, text)
			}
		}
	}
	if n == 0 {
		t.Error("the docs have no configuration")
	}
}

// TestCommandsInTheDocs runs every command line of the README and docs/ against
// a running codeferry dev: codeferry itself, curl, and what nats pub would
// publish. What stays running is started and stopped; go test is not started
// from within go test.
func TestCommandsInTheDocs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: ", err)
	}
	const id = "01JDCT5Z6Q0000000000000000"
	lines := 0
	for file, texts := range blocks(t, "sh") {
		t.Run(strings.TrimPrefix(file, root+"/"), func(t *testing.T) {
			d := spawnDev(t)
			// The ids that the docs name exist: one was sent, and one is dead.
			js := jetStream(t, d.nats)
			for _, to := range []string{"+8613012345678", "nobody"} {
				if _, err := js.Publish(t.Context(), "codeferry.send.default.sms.Register.docs", fmt.Appendf(nil, `{"id":%q,"to":%q,"type":"Register","payload":{"code":"123456"}}`, id, to)); err != nil {
					t.Fatal(err)
				}
			}
			d.find(id + ` dead`)
			cfg := write(t, "codeferry.yaml", strings.NewReplacer("NATS", strings.TrimPrefix(d.nats, "nats://"), "SANDBOX", d.sandbox).Replace(configText))
			here := strings.NewReplacer(
				"http://127.0.0.1:8080", d.http, "http://127.0.0.1:9090", d.sandbox, "-c codeferry.yaml", "-c "+cfg,
				"go run ./cmd/codeferry", "codeferry", "--listen 127.0.0.1:9090", "--listen 127.0.0.1:0",
			)
			for _, text := range texts {
				for line := range strings.Lines(text) {
					runDocLine(t, d, js, here.Replace(strings.TrimSpace(line)))
				}
			}
		})
		lines++
	}
	if lines < 4 {
		t.Errorf("only %d files have commands", lines)
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

var natsPub = regexp.MustCompile(`^nats pub (\S+) '(.*)'$`)

func runDocLine(t *testing.T, d dev, js jetstream.JetStream, line string) {
	t.Helper()
	switch {
	case line == "" || strings.HasPrefix(line, "go test "):
	case line == "codeferry dev": // d is one
	case strings.HasPrefix(line, "codeferry sandbox"):
		spawn(t, strings.Fields(line)[1:]...).find("sandbox on ")
	case natsPub.MatchString(line):
		m := natsPub.FindStringSubmatch(line)
		if _, err := js.Publish(t.Context(), m[1], []byte(m[2])); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	case strings.HasPrefix(line, "codeferry "), strings.HasPrefix(line, "curl "):
		if args, ok := strings.CutPrefix(line, "codeferry "); ok {
			line = binary(t) + " " + args
			// bench makes streams of its own, and not where there are some.
			if !strings.Contains(line, " -c ") && !strings.Contains(line, " completion ") && !strings.Contains(line, " bench ") {
				line += " --nats " + d.nats
			}
		} else {
			line = strings.Replace(line, "curl ", "curl -sS --fail ", 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Env = command(ctx, t).Env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	default:
		t.Errorf("nobody runs this line: %s", line)
	}
}

// TestCompose looks at docker-compose.yml: its commands parse, and the
// configuration that it mounts is one.
func TestCompose(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image   string
			Command []string
			Volumes []string
			Build   struct{ Dockerfile string }
			// Environment is what deploy/codeferry.yaml reads.
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nats", "sandbox", "worker"} {
		if _, ok := compose.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range compose.Services {
		if s.Build.Dockerfile == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, s.Build.Dockerfile)); err != nil {
			t.Error(err)
		}
		r := call(t, append(s.Command, "--help")...)
		if r.status != 0 {
			t.Errorf("%s: %v is no command: %s", name, s.Command, r.err)
		}
	}
	// Where the host sets nothing, the defaults of the compose file hold.
	worker := config.Env{Lookup: func(name string) (string, bool) {
		v, ok := compose.Services["worker"].Environment[name]
		_, fallback, isDefault := strings.Cut(strings.TrimSuffix(v, "}"), ":-")
		return fallback, ok && isDefault
	}}
	cfg, err := config.Load(root+"/deploy/codeferry.yaml", worker)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.CheckHTTP(cfg, time.Now()); err != nil {
		t.Error(err)
	}
	if cfg.NATS.URL != "nats://nats:4222" || len(cfg.Apps[messages.DefaultApp].SMS) != 1 {
		t.Errorf("%+v", cfg)
	}
}
