package faults

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// TestAServerThatStartsReloads: the signal for it does not end a server that is still starting.
func TestAServerThatStartsReloads(t *testing.T) {
	t.Parallel()
	reloaded := make(chan struct{})
	file := filepath.Join(t.TempDir(), "n0.conf")
	c := &cluster{
		configs: []string{"listen: \"127.0.0.1:-1\"\n"}, release: func() {},
		servers: []*process{{role: "nats", args: []string{file}, log: io.Discard, seen: func(line []byte) {
			if strings.Contains(string(line), "Reloaded server configuration") {
				close(reloaded)
			}
		}}},
	}
	if err := c.configure(firstPassword); err != nil {
		t.Fatal(err)
	}
	if err := c.servers[0].start(); err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	if err := c.admit("another"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reloaded:
	case <-c.servers[0].exited:
		t.Error("the signal has ended it")
	}
}

// TestAServerThatEndsDoesNotReload: nobody waits for a server that ends before it is ready.
func TestAServerThatEndsDoesNotReload(t *testing.T) {
	t.Parallel()
	p := &process{role: "nats", args: []string{filepath.Join(t.TempDir(), "none.conf")}, log: io.Discard}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	p.reload() // it has no configuration
	check.Equal(t, "it was started", p.kill(), true)
}

func TestLineWriter(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	var seen []string
	w := &lineWriter{to: &out, seen: func(line []byte) { seen = append(seen, string(line)) }}
	for _, part := range []string{"a", "b\nc\n", "", "d", "\n", "e"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write(%q) returned %d, %v", part, n, err)
		}
	}
	check.Equal(t, "lines", strings.Join(seen, ""), "ab\nc\nd\n")
	check.Equal(t, "number of lines", len(seen), 3)
	check.Equal(t, "output", out.String(), "ab\nc\nd\n")
}
