package service

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestInsistLogs each reason at once, and the end of the wait.
func TestInsistLogs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reasons []string // of one try a second; the wait begins with the first failure
		want    string
	}{
		"it works at once": {nil, ""},
		"one reason": {
			[]string{"away:1", "away:23", "away:4"},
			`{"level":"warn","error":"away:1","message":"waiting"}{"level":"info","lasted":"2s","message":"over"}`,
		},
		"another reason within the minute": {
			[]string{"away", "refused", "away", "refused"},
			`{"level":"warn","error":"away","message":"waiting"}{"level":"warn","error":"refused","message":"waiting"}{"level":"info","lasted":"3s","message":"over"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				now := time.Unix(0, 0)
				err := insistence{log: zerolog.New(&log), what: "waiting", over: "over", longest: time.Millisecond, now: func() time.Time { return now }}.insist(t.Context(), func() error {
					if len(c.reasons) == 0 {
						return nil
					}
					reason := c.reasons[0]
					c.reasons = c.reasons[1:]
					defer func() { now = now.Add(time.Second) }()
					return errors.New(reason)
				})
				if got := strings.ReplaceAll(log.String(), "\n", ""); err != nil || got != c.want {
					t.Errorf("%v\ngot  %s\nwant %s", err, got, c.want)
				}
			})
		})
	}
}
