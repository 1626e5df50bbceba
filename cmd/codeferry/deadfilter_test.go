package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestWrongFiltersOfDeadLetters: a flag that can't be meant is a wrong command line, whose
// status is 2, and nothing is asked of NATS. No address is shown.
func TestWrongFiltersOfDeadLetters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flag, value, want string }{
		{"--app", "a.b", `--app: "a.b" is not an app name`},
		{"--app", "alice@example.com", `--app: "a***@example.com" is not an app name`},
		{"--app", "13012345678", "can't be reached"}, // it can be a name
		{"--channel", "fax", `--channel: "fax" is neither email nor sms`},
		{"--type", "alice@example.com", `--type: "a***@example.com" is not a usage type`},
		{"--reason", "x\x1b", "--reason: \"x\ufffd\" is not one of invalid"},
		{"--since", "5", "--since: 5 has no unit"},
		{"--until", "soon", "--until: "},
		{"--to", "nobody", "--to is not an address"}, // every recipient without a digit has its hash
	} {
		for _, command := range [][]string{{"list"}, {"delete", "--yes", "--dry-run"}, {"replay", "--dry-run"}} {
			var out, errs bytes.Buffer
			args := append(append([]string{"dead"}, command...), "--nats", "nats://127.0.0.1:1", c.flag, c.value)
			status := execute(t.Context(), args, streams{out: &out, err: &errs})
			want := exitUsage
			if strings.Contains(c.want, "reached") {
				want = exitFailed
			}
			if status != want || !strings.Contains(errs.String(), c.want) {
				t.Errorf("%v: exit status %d, want %d: %s", args, status, want, errs.String())
			}
		}
	}
}
