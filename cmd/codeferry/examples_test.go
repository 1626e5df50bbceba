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

	"github.com/alecthomas/kong"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
)

// helpOf returns the help of each command and of each group of commands, by its name.
func helpOf(t *testing.T) map[string]string {
	t.Helper()
	parser, err := kong.New(new(cli), durations(), kong.Vars{"program": "", "version": "", "emailTypes": "", "smsTypes": ""})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	var walk func(*kong.Node)
	walk = func(n *kong.Node) {
		for _, c := range n.Children {
			all[strings.TrimPrefix(c.FullPath(), parser.Model.Name+" ")] = c.Detail
			walk(c)
		}
	}
	walk(parser.Model.Node)
	return all
}

// examplesIn returns the lines of the examples of a help.
func examplesIn(help string) (lines []string) {
	_, text, _ := strings.Cut(help, "Examples:\n")
	for line := range strings.Lines(text) {
		line, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
		if !indented {
			break
		}
		lines = append(lines, line)
	}
	return lines
}

// TestExamplesInTheHelp runs each example of each command as it is printed: in a folder that
// codeferry init has made, with a running codeferry dev in the place of the addresses.
func TestExamplesInTheHelp(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: ", err)
	}
	d := spawnDev(t)
	check.Eventually(t, "the streams exist", func() bool { return call(t, "dead", "list", "--nats", d.nats).status == 0 })
	for command, help := range helpOf(t) {
		t.Run(command, func(t *testing.T) {
			// The commands of dead letters change each other's: one after the other.
			if command != "dead" && !strings.HasPrefix(command, "dead ") {
				t.Parallel()
			}
			lines := examplesIn(help)
			if len(lines) == 0 {
				t.Fatalf("codeferry %s --help has no examples: %s", command, help)
			}
			r := newExampleRig(t, d, command)
			own := command == "help"
			for _, line := range lines {
				own = own || strings.HasPrefix(line, "codeferry "+command)
				r.run(line)
			}
			if !own {
				t.Errorf("no example begins with codeferry %s", command)
			}
		})
	}
}

// exampleRig is a folder with what the examples name.
type exampleRig struct {
	t       *testing.T
	d       dev
	folder  string
	env     []string
	replace *strings.Replacer
	// sent tells that there is a message with exampleID.
	sent bool
}

// exampleID is in the examples of the commands that take an id.
const exampleID = "01JDCT5Z6Q0000000000000000"

// newExampleRig makes the folder for the examples of a command.
func newExampleRig(t *testing.T, d dev, of string) *exampleRig {
	t.Helper()
	r := &exampleRig{t: t, d: d, folder: t.TempDir()}
	server, sandbox := d.nats, d.sandbox
	switch of {
	case "sandbox": // its faults are for nobody else
		sandbox = spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	case "bench": // it takes no server with streams
		server = natstest.Start(t).ClientURL()
	case "provision":
		operator := natstest.NewOperator(t)
		server = natstest.Start(t, operator.Trust).ClientURL()
		r.file("deploy.creds", string(operator.Creds(time.Time{})))
	}
	if of != "init" && of != "keygen" {
		if status, _, errs := initIn(t, "", "--email", "aliyun-dm", "--sms", "aliyun-sms", "--nats", server, "--dir", r.folder); status != 0 {
			t.Fatal(errs)
		}
		file := filepath.Join(r.folder, "codeferry.yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`(?m)^    type: aliyun-.*$`).ReplaceAll(text, []byte("$0\n    endpoint: "+d.sandbox))
		if of == "provision" {
			text = regexp.MustCompile(`(?m)^  url: .*$`).ReplaceAll(text, []byte("$0\n  creds: deploy.creds"))
		}
		r.file("codeferry.yaml", string(text))
	}
	for _, name := range []string{"production", "staging"} {
		r.file("contexts/nats/context/"+name+".json", fmt.Sprintf(`{"url": %q, "creds": %q}`, server, map[bool]string{true: filepath.Join(r.folder, "deploy.creds")}[of == "provision"]))
	}
	for _, browser := range []string{"xdg-open", "open"} {
		r.file("bin/"+browser, "#!/bin/sh\n")
	}
	bin := filepath.Join(r.folder, "bin")
	if err := os.Symlink(binary(t), filepath.Join(bin, "codeferry")); err != nil {
		t.Fatal(err)
	}
	// A login of the default server stands for a server without one.
	login := server
	if of == "provision" {
		login = natstest.Start(t).ClientURL()
	}
	r.env = append(command(t.Context(), t).Env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "XDG_CONFIG_HOME="+filepath.Join(r.folder, "contexts"), "SHELL=/bin/bash")
	if of != "bench" && of != "provision" {
		r.env = append(r.env, "NATS_URL="+server)
	}
	r.replace = strings.NewReplacer(
		"nats://127.0.0.1:4222 --creds", server+" --creds", "nats://127.0.0.1:4222", login, "nats://127.0.0.1:14222", server,
		"http://127.0.0.1:8080", d.http, "http://127.0.0.1:9090", sandbox, "curl ", "curl -sS --fail ",
	)
	return r
}

func (r *exampleRig) file(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		r.t.Fatal(err)
	}
}

// run runs an example.
func (r *exampleRig) run(line string) {
	r.t.Helper()
	switch {
	case line == "codeferry init": // it asks
		if status, _, errs := initIn(r.t, "aliyun-dm\naliyun-sms\n\n", "--dir", r.folder); status != 0 {
			r.t.Errorf("%s: exit status %d: %s", line, status, errs)
		}
		return
	case strings.HasPrefix(line, "codeferry dev"):
		r.starts(line+" --listen 127.0.0.1:0 --nats-listen 127.0.0.1:0 --sandbox-listen 127.0.0.1:0", "Outcomes, as they come")
		return
	case strings.HasPrefix(line, "codeferry run"):
		r.starts(line+" --listen 127.0.0.1:0", "codeferry runs")
		return
	case strings.HasPrefix(line, "codeferry sandbox"):
		r.starts(line+" --listen 127.0.0.1:0", "sandbox on ")
		return
	case strings.Contains(line, " --follow"):
		r.starts(line, "")
		return
	case strings.HasPrefix(line, "codeferry bench"):
		line += " -n 20" // the last one counts
	case strings.HasPrefix(line, "codeferry dead") && strings.Contains(line, exampleID):
		r.dies()
	case strings.Contains(line, exampleID) && !r.sent:
		r.publish("+8613012345678", "user-1", " sent ")
		r.sent = true
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", r.replace.Replace(line))
	cmd.Dir, cmd.Env = r.folder, r.env
	out, err := cmd.CombinedOutput()
	if err != nil || strings.HasPrefix(line, "codeferry ") && strings.Contains(string(out), exampleCode) {
		r.t.Errorf("%s: %v: %s", line, err, out)
	}
}

// starts runs a command that goes on until Ctrl-C. It says a text when it has begun.
func (r *exampleRig) starts(line, says string) {
	r.t.Helper()
	cmd := command(context.WithoutCancel(r.t.Context()), r.t, strings.Fields(line)[1:]...)
	cmd.Dir, cmd.Env = r.folder, r.env
	p := watchProcess(r.t, cmd)
	if says == "" {
		followed{p}.stops(r.t)
		return
	}
	p.find(says)
	if status := p.stop(); status != 0 {
		r.t.Errorf("%s: exit status %d: %s", line, status, p.output())
	}
}

// exampleCode is in the messages with exampleID, and in no output.
const exampleCode = "907613"

// dies publishes a message with exampleID that becomes a dead letter. The provider's error has
// gone afterwards.
func (r *exampleRig) dies() {
	r.t.Helper()
	faulty(r.t, r.d, "isv.MOBILE_NUMBER_ILLEGAL")
	defer healthy(r.t, r.d)
	r.publish("+8613012345679", messages.NewID(time.Now()), " dead ") // no other code supersedes it
}

// publish publishes a message with exampleID, and waits for what becomes of it.
func (r *exampleRig) publish(to, key, becomes string) {
	r.t.Helper()
	before := strings.Count(r.d.output(), exampleID+becomes)
	js := jetStream(r.t, r.d.nats)
	if _, err := js.Publish(r.t.Context(), "codeferry.send.default.sms.SignIn."+key, fmt.Appendf(nil, `{"id":%q,"to":%q,"type":"SignIn","payload":{"code":%q}}`, exampleID, to, exampleCode)); err != nil {
		r.t.Fatal(err)
	}
	r.d.find(fmt.Sprintf(`(?s)(%s%s.*){%d}`, exampleID, becomes, before+1))
}
