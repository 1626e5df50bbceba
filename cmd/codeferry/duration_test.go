package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "0s": now, "10m": now.Add(-10 * time.Minute), "1d": now.AddDate(0, 0, -1), "1d12h": now.Add(-36 * time.Hour),
		"2026-11-20T12:00:00Z": now.AddDate(0, 0, -1), "2026-11-20T12:00:00+08:00": now.AddDate(0, 0, -1).Add(-8 * time.Hour),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"5": "5 has no unit: 5s, 5m, 1h, 1d", "-1h": "is neither a time such as", "yesterday": "is neither a time such as", "2026-11-20": "is neither a time such as",
	} {
		if got, err := parseTime(text, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseTime(%q) = %v, %v; want an error with %q", text, got, err, want)
		}
	}
}

// TestDurationsOfFlags: each flag that is a duration takes days, and says of a number what it
// lacks.
func TestDurationsOfFlags(t *testing.T) {
	t.Parallel()
	send := []string{"send", "--channel", "sms", "--to", "nobody", "--type", "SignIn", "--code", "123456"}
	for _, args := range [][]string{
		append(send, "--wait"),
		append(send, "--ttl"),
		append(send, "--timeout"),
		{"dead", "replay", "--all", "--extend"},
		{"check", "-c", "x", "--timeout"},
		{"bench", "--latency"},
	} {
		run := func(value string) (status int, text string) {
			var out, errs bytes.Buffer
			status = execute(t.Context(), append(args, value), streams{out: &out, err: &errs})
			return status, errs.String()
		}
		if status, text := run("5"); status != exitUsage || !strings.Contains(text, args[len(args)-1]+": 5 has no unit: 5s, 5m, 1h, 1d") {
			t.Errorf("%v 5: exit status %d: %s", args, status, text)
		}
		if status, text := run("soon"); status != exitUsage || !strings.Contains(text, `"soon" is not a duration such as 10s, 5m, 12h or 1d`) {
			t.Errorf("%v soon: exit status %d: %s", args, status, text)
		}
	}
	var out, errs bytes.Buffer
	if status := execute(t.Context(), append(send, "--ttl", "1d12h", "--wait", "1d"), streams{out: &out, err: &errs}); status != exitUsage || !strings.Contains(errs.String(), "to is not a phone number") {
		t.Errorf("days: exit status %d: %s", status, errs.String())
	}
}
