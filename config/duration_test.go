package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "5s": 5 * time.Second, "1h30m": 90 * time.Minute, "-5m": -5 * time.Minute, "+5m": 5 * time.Minute, "1.5h": 90 * time.Minute,
		"1d": day, "0d": 0, "7d": 7 * day, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, ".5d": 12 * time.Hour, "1d1h1m1s1ms": day + time.Hour + time.Minute + time.Second + time.Millisecond,
		"-1d": -day, "-1d12h": -36 * time.Hour, "+1d": day, "106751d": 106751 * day,
	} {
		got, err := config.ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"5":          "5 has no unit: 5s, 5m, 1h, 1d",
		"10":         "10 has no unit: 10s, 10m, 1h, 1d",
		"-5":         "-5 has no unit: -5s, -5m, 1h, 1d",
		"2.5":        "2.5 has no unit: 2.5s, 2.5m, 1h, 1d",
		"":           `"" is not a duration such as 10s, 5m, 12h or 1d`,
		"d":          `"d" is not a duration such as 10s, 5m, 12h or 1d`,
		"1 d":        `"1 d" is not a duration such as 10s, 5m, 12h or 1d`,
		"1d5":        `"1d5" is not a duration such as 10s, 5m, 12h or 1d`,
		"1d-5h":      `"1d-5h" is not a duration such as 10s, 5m, 12h or 1d`,
		"1d+5h":      `"1d+5h" is not a duration such as 10s, 5m, 12h or 1d`,
		"1d2d":       `"1d2d" is not a duration such as 10s, 5m, 12h or 1d`,
		"12h1d":      `"12h1d" is not a duration such as 10s, 5m, 12h or 1d`,
		"tomorrow":   `"tomorrow" is not a duration such as 10s, 5m, 12h or 1d`,
		"106752d":    `"106752d" is not a duration such as 10s, 5m, 12h or 1d`,
		"106751d24h": `"106751d24h" is not a duration such as 10s, 5m, 12h or 1d`,
		"1e9d":       `"1e9d" is not a duration such as 10s, 5m, 12h or 1d`,
		"9999999h":   `"9999999h" is not a duration such as 10s, 5m, 12h or 1d`,
	} {
		got, err := config.ParseDuration(text)
		if err == nil || err.Error() != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want the error %s", text, got, err, want)
		}
		if bare := strings.Contains(want, "no unit"); errors.Is(err, config.ErrNoUnit) != bare {
			t.Errorf("ParseDuration(%q): that it is ErrNoUnit should be %t", text, bare)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, text := range []string{"1d", "1d12h", "-1.5d", "5", "", "106751d23h", "1h1d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.ParseDuration(text)
		if err != nil {
			if d != 0 {
				t.Errorf("%v beside an error", d)
			}
			return
		}
		// What Go writes of it is read as the same.
		if again, err := config.ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%q is %v, and that is %v, %v", text, d, again, err)
		}
		// What Go reads is read the same.
		if plain, err := time.ParseDuration(text); err == nil && plain != d {
			t.Errorf("%q is %v, want %v", text, d, plain)
		}
	})
}
