package main

import (
	"strings"
	"testing"
)

// followed is a running codeferry outcomes --follow.
type followed struct{ *process }

func followOutcomes(t *testing.T, args ...string) followed {
	t.Helper()
	return followed{spawn(t, append([]string{"outcomes", "--follow"}, args...)...)}
}

// stops ends it as Ctrl-C does, once it has printed an outcome, and returns its last line.
func (f followed) stops(t *testing.T) string {
	t.Helper()
	f.find(`default`)
	if status := f.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, f.output())
	}
	lines := strings.Split(strings.TrimSpace(f.output()), "\n")
	return lines[len(lines)-1]
}
