package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	fakesmtp "github.com/codeferry/codeferry/internal/fakes/smtp"
)

// mailConfig is a configuration that sends by an SMTP server.
func mailConfig(t *testing.T, srv *fakesmtp.Server, more string) string {
	t.Helper()
	text := fmt.Sprintf("dataDir: %s\napps: {default: {email: [mail]}}\nconnectors:\n  mail:\n    type: smtp\n    host: %s\n    port: %d\n    fromEmail: no-reply@example.com\n", t.TempDir(), srv.Host, srv.Port)
	for line := range strings.SplitSeq(more, "\n") {
		text += "    " + line + "\n"
	}
	text += "    templates:\n"
	for _, usage := range []string{"Register", "SignIn", "ForgotPassword", "Generic"} {
		text += fmt.Sprintf("      - {usageType: %s, subject: s, content: \"{{code}}\"}\n", usage)
	}
	return write(t, "mail.yaml", text)
}

// TestCheckNamesTheSetting that fixes an error, or the flag that ended a check.
func TestCheckNamesTheSetting(t *testing.T) {
	t.Parallel()
	quiet := fakesmtp.Script{On: map[string]func(*fakesmtp.Talk, string) bool{"GREETING": func(k *fakesmtp.Talk, _ string) bool { return k.Wait() }}}
	for name, c := range map[string]struct {
		server fakesmtp.Script
		more   string
		args   []string
		want   []string
		not    string
	}{
		"the name": {
			fakesmtp.Script{Replies: map[string]string{"EHLO": "550 5.7.1 Invalid HELO name"}},
			"name: a.example", nil,
			[]string{"misconfigured", "550 5.7.1", "Set name"},
			"--timeout",
		},
		"a silent port": {quiet, "timeout: 200ms", nil, []string{"SMTP.Timeout", "secure: true"}, "--timeout"},
		"the command's own limit": {
			quiet, "timeout: 10m",
			[]string{"--timeout", "200ms"},
			[]string{"--timeout 200ms ended it", "SMTP.Timeout", "secure: true"},
			"",
		},
		"the limit of a message": {
			quiet, "timeout: 10m",
			[]string{"--timeout", "200ms", "--send-to", "a@example.com"},
			[]string{"send to a***@example.com: --timeout 200ms ended it"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := mailConfig(t, fakesmtp.Serve(t, c.server), c.more)
			r := call(t, append([]string{"check", "-c", cfg}, c.args...)...).want(t, exitFailed)
			for _, want := range c.want {
				if !strings.Contains(r.out, want) {
					t.Errorf("the output lacks %q:\n%s", want, r.out)
				}
			}
			if c.not != "" && strings.Contains(r.out, c.not) {
				t.Errorf("the output has %q:\n%s", c.not, r.out)
			}
		})
	}
}

// TestCheckTimeout: without --timeout only the connector's own time-out applies.
func TestCheckTimeout(t *testing.T) {
	t.Parallel()
	ctx, cancel := new(checkCmd).limit(t.Context())
	defer cancel()
	if at, bounded := ctx.Deadline(); bounded {
		t.Errorf("without --timeout the deadline is %v, want none", at)
	}
	ctx, cancel = (&checkCmd{Timeout: time.Nanosecond}).limit(t.Context())
	defer cancel()
	<-ctx.Done()
	c := &checkCmd{Timeout: time.Nanosecond}
	if err := c.explainTimeout(ctx, context.Cause(ctx)); !strings.Contains(err.Error(), "--timeout 1ns") {
		t.Errorf("error is %v, want one that names --timeout 1ns", err)
	}
}

// TestCheckJSONOfMistakes: with --json each mistake in the file is an object, and so is anything
// else that keeps check from beginning.
func TestCheckJSONOfMistakes(t *testing.T) {
	t.Parallel()
	type line struct{ Result, What, Text string }
	quiet := mailConfig(t, fakesmtp.Serve(t, fakesmtp.Script{}), "")
	for name, c := range map[string]struct {
		args   []string
		status int
		want   []string // a part of each object's what and text
	}{
		"two mistakes":          {[]string{"-c", write(t, "wrong.yaml", "listen: nowhere\nworker: {grace: soon}\n")}, exitFailed, []string{"wrong.yaml:1:", "listen ", "wrong.yaml:2:", "worker.grace "}},
		"no file":               {[]string{"-c", "nowhere.yaml"}, exitFailed, []string{"nowhere.yaml", "read the configuration"}},
		"no file in the folder": {nil, exitUsage, []string{"codeferry.yaml", "codeferry init"}},
		"an unknown connector":  {[]string{"-c", quiet, "--connector", "nobody"}, exitFailed, []string{"mail.yaml", `no connector "nobody"; it has mail`}},
	} {
		r := call(t, append([]string{"check", "--json"}, c.args...)...).want(t, c.status)
		if r.err != "" {
			t.Errorf("%s: it prints text, too: %s", name, r.err)
		}
		var said strings.Builder
		for text := range strings.Lines(r.out) {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil || l.Result != "error" {
				t.Errorf("%s: %v: %s", name, err, text)
			}
			said.WriteString(l.What + ": " + l.Text + "\n")
		}
		for _, want := range c.want {
			if !strings.Contains(said.String(), want) {
				t.Errorf("%s: no object holds %q: %s", name, want, r.out)
			}
		}
	}
}
