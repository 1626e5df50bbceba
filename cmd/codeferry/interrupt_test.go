package main

import (
	"net"
	"strings"
	"testing"
)

// TestCtrlCWhileItConnects: a command whose server accepts the connection and says nothing
// ends at the first Ctrl-C, and does not wait for the server's time-out.
func TestCtrlCWhileItConnects(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	p := spawn(t, "dead", "list", "--nats", silent.Addr().String())
	conn, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if status := p.stop(); status != exitFailed || strings.TrimSpace(p.output()) != "codeferry: interrupted" {
		t.Errorf("exit status %d and %q, want %d and that it was interrupted", status, p.output(), exitFailed)
	}
}
