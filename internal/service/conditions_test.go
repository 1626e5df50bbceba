package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/worker"
)

func TestConditionsInReadyz(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c := NewConditions(func() time.Time { return now })
	var working error
	w := &web{conditions: c}
	lost := ""
	w.setWorker(workerState{func() error { return working }, func() ([]worker.BlockedChannel, bool) { return nil, true }, func() string { return lost }})
	for _, step := range []struct {
		name   string
		do     func() bool
		news   bool
		after  time.Duration
		status int
		text   string
	}{
		{"a note", func() bool { return c.Note("reload", "listen has changed") }, true, 0, 200, "ok\nreload: listen has changed (for 0s)\n"},
		{"the note again", func() bool { return c.Note("reload", "listen has changed") }, false, 2 * time.Second, 200, "ok\nreload: listen has changed (for 2s)\n"},
		{"what blocks", func() bool { return c.Block("ledger", "it is full") }, true, 0, 503, "ledger: it is full (for 0s)\nreload: listen has changed (for 2s)\n"},
		{"other words", func() bool { return c.Block("ledger", "it is gone") }, true, time.Second, 503, "ledger: it is gone (for 1s)\nreload: listen has changed (for 3s)\n"},
		{"a second that blocks", func() bool { return c.Block("deadletters", "full") }, true, 0, 503, "ledger: it is gone (for 1s)\ndeadletters: full (for 0s)\nreload: listen has changed (for 3s)\n"},
		{"a note that was a block", func() bool { return c.Note("deadletters", "full") }, true, 0, 503, "ledger: it is gone (for 1s)\nreload: listen has changed (for 3s)\ndeadletters: full (for 0s)\n"},
		{"cleared", func() bool { lasted, held := c.Clear("ledger"); return held && lasted == time.Second }, true, 0, 200, "ok\nreload: listen has changed (for 3s)\ndeadletters: full (for 0s)\n"},
		{"cleared again", func() bool { _, held := c.Clear("ledger"); return held }, false, 0, 200, "ok\nreload: listen has changed (for 3s)\ndeadletters: full (for 0s)\n"},
		{"the worker waits", func() bool { working = errTest; return true }, true, 0, 503, "it waits\nreload: listen has changed (for 3s)\ndeadletters: full (for 0s)\n"},
		{"outcomes are lost", func() bool { working, lost = nil, "no stream takes them"; return true }, true, 0, 200, "ok\nreload: listen has changed (for 3s)\ndeadletters: full (for 0s)\noutcomes: they can't be stored, and codes are still sent: no stream takes them\n"},
	} {
		now = now.Add(step.after)
		if news := step.do(); news != step.news {
			t.Errorf("%s: news is %v", step.name, news)
		}
		rec := httptest.NewRecorder()
		w.readyz(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if rec.Code != step.status || rec.Body.String() != step.text {
			t.Errorf("%s: %d %q, want %d %q", step.name, rec.Code, rec.Body, step.status, step.text)
		}
	}
}

// TestHealthz: a channel without a connector that serves is a reason there, and only a note
// in /readyz.
func TestHealthz(t *testing.T) {
	t.Parallel()
	c := NewConditions(nil)
	c.Note("reload", "listen has changed")
	var blocked []worker.BlockedChannel
	w := &web{conditions: c}
	statuses := func(when string, readyz, healthz int) {
		t.Helper()
		for path, want := range map[string]int{"/readyz": readyz, "/healthz": healthz} {
			rec := httptest.NewRecorder()
			handle := w.readyz
			if path == "/healthz" {
				handle = w.healthz
			}
			handle(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if rec.Code != want {
				t.Errorf("%s: %s is %d, want %d: %s", when, path, rec.Code, want, rec.Body)
			}
			for _, b := range blocked {
				if !strings.Contains(rec.Body.String(), "channel "+string(b.Channel)+": the circuit breaker of every connector ("+strings.Join(b.Connectors, ", ")+") is open") {
					t.Errorf("%s: %s does not name %v: %s", when, path, b, rec.Body)
				}
			}
		}
	}
	statuses("before there is a worker", 503, 503)
	w.setWorker(workerState{func() error { return nil }, func() ([]worker.BlockedChannel, bool) { return blocked, true }, func() string { return "" }})
	statuses("all is well", 200, 200)
	blocked = []worker.BlockedChannel{{Channel: "sms", Connectors: []string{"first", "second"}}}
	statuses("no connector for SMS serves", 200, 503)
	c.Block("stopping", "it ends")
	statuses("it stops", 503, 503)
}

type testError string

func (e testError) Error() string { return string(e) }

const errTest = testError("it waits")
