package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestManual: the page has each command with its flags, the variables and the exit statuses,
// and a roff reads it without a complaint. What is typed is there as it is typed.
func TestManual(t *testing.T) {
	t.Parallel()
	page := call(t, "man").want(t, 0).out
	known := regexp.MustCompile(`^\.(TH|SH|SS|PP|TP|nf|fi)( |$)`)
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !known.MatchString(line) {
			t.Errorf("a line means something else to roff: %q", line)
		}
		for _, r := range line {
			if r < ' ' || r > '~' {
				t.Errorf("a line has %U: %q", r, line)
			}
		}
	}
	for command := range helpOf(t) {
		if strings.Count(page, `.SS "codeferry `+command+`"`) != 1 {
			t.Errorf("it does not have %s once", command)
		}
	}
	for _, heading := range []string{"NAME", "SYNOPSIS", "COMMANDS", "THE NATS SERVER", "ENVIRONMENT", "EXIT STATUS", "SEE ALSO"} {
		if strings.Count(page, `.SH "`+heading+`"`) != 1 {
			t.Errorf("it does not have the section %s once", heading)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		return // its structure is as it should be
	}
	cmd := exec.CommandContext(t.Context(), groff, "-man", "-ww", "-Tascii", "-P-c", "-rLL=200n")
	cmd.Stdin = strings.NewReader(page)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	shown, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("groff: %v: %s", err, complaints.String())
	}
	text := regexp.MustCompile(`.\x08`).ReplaceAllString(string(shown), "") // bold is struck twice
	text = regexp.MustCompile(` +`).ReplaceAllString(text, " ")             // lines are justified
	for _, want := range []string{
		"codeferry - Delivers verification codes", "codeferry dead list --summary --since 24h", "-c, --config=FILE", "--[no-]flow-control",
		"CODEFERRY_CONFIG", "NATS_USER and NATS_PASSWORD", "NO_COLOR", `-d '{"flowControl":false}'`, "143", "--nats, --context or -c names the server",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if n := strings.Count(text, "names the server. Without them"); n != 1 {
		t.Errorf("it tells %d times how a command finds its server, want once", n)
	}
}

// TestRoff: no text is taken for a request.
func TestRoff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		".SH x": `\&.SH x`, "'x": `\(aqx`, `a\b`: `a\eb`, "--a.b": `\-\-a.b`, "é": `\[u00E9]`, "😀": `\[u1F600]`,
	} {
		if got := roff(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
