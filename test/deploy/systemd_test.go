package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
)

const unit = root + "/deploy/systemd/codeferry.service"

// TestUnit: systemd takes the unit, its exposure is what docs/deployment.md says at most, and
// it waits longer for the end of a worker than the worker takes.
func TestUnit(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	setting := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("the unit does not set %s", name)
		}
		return m[1]
	}
	stop, err := strconv.ParseFloat(setting("TimeoutStopSec"), 64)
	if err != nil || stop < config.Default().Worker.Grace.Seconds()+5 {
		t.Errorf("TimeoutStopSec is %g (error %v), and a worker takes %s to stop", stop, err, config.Default().Worker.Grace)
	}
	if setting("Type") != "notify" || setting("WatchdogSec") == "" {
		t.Error("the unit uses neither notifications nor the watchdog")
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		check.Lacks(t, "this test needs systemd-analyze")
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for codeferry\.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security says no exposure:\n%s", out)
	}
	page, err := os.ReadFile(root + "/docs/deployment.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("`systemd-analyze security` rates it ([0-9.]+)").FindSubmatch(page)
	if documented == nil {
		t.Fatal("docs/deployment.md has no exposure of the unit")
	}
	got, err1 := strconv.ParseFloat(string(m[1]), 64)
	want, err2 := strconv.ParseFloat(string(documented[1]), 64)
	if err1 != nil || err2 != nil || got > want {
		t.Errorf("the exposure is %s, and docs/deployment.md says %s", m[1], documented[1])
	}

	// Only the program itself is missing on this machine.
	out, _ = exec.CommandContext(t.Context(), analyze, "verify", unit).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "codeferry.service") && !strings.Contains(line, "/usr/bin/codeferry is not executable") {
			t.Errorf("systemd-analyze verify: %s", line)
		}
	}
}

// TestSystemdConfiguration: the example beside the unit is a configuration, takes its secrets
// from where systemd puts them, and writes only where the unit may.
func TestSystemdConfiguration(t *testing.T) {
	t.Parallel()
	const file = root + "/deploy/systemd/codeferry.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secrets := 0
	cfg, err := config.Parse(file, text, config.Env{ReadFile: func(name string) ([]byte, error) {
		secret, ok := strings.CutPrefix(name, "/run/credentials/codeferry.service/secrets_")
		check.True(t, "the secret is one that systemd hands over", ok, name)
		secrets++
		if secret == "sealing.key" {
			return []byte("codeferry-private-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), nil
		}
		return []byte("secret"), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	check.True(t, "it takes secrets", secrets > 0, secrets)
	check.Equal(t, "dataDir", cfg.DataDir, "/var/lib/codeferry")
}
