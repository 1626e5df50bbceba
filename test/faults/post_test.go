package faults

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestPostOffice: a mail is taken with its code. One to a domain that does not exist never is,
// and one to a domain that greylists is refused at first.
func TestPostOffice(t *testing.T) {
	p := newProvider(ShortNeighbors(R1, 1))
	if err := p.serveAll(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	_, addr := p.addrs(1)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	answers := bufio.NewReader(c)
	hear := func() string {
		t.Helper()
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	say := func(line, want string) {
		t.Helper()
		if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
			t.Fatal(err)
		}
		if got := hear(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %s", line, got, want)
		}
	}
	hear() // its greeting
	const grey = "RCPT TO:<u@grey7.example>"
	say("MAIL FROM:<a@example.com>", "250")
	say("RCPT TO:<u000000001"+badDomain+">", "450 4.1.2")
	say(grey, "250")
	p.post.storm(true)
	say(grey, "450 4.7.1")
	say(grey, "450 4.7.1")
	say("RCPT TO:<u@example.com>", "250")
	p.post.mu.Lock()
	p.post.firsts["grey7.example"] = p.post.firsts["grey7.example"].Add(-greyDelay)
	p.post.mu.Unlock()
	say(grey, "250")
	say("RCPT TO:<u@grey8.example>", "450 4.7.1")
	p.post.storm(false)
	say("RCPT TO:<u@grey8.example>", "250")
	say("DATA", "354")
	say("Date: 123456\r\n\r\nyour code 000042.\r\n.", "250")

	want := trace{"u@grey8.example", "000042"}
	inbox := p.inbox()
	if len(inbox) != 1 || traceOf(inbox[0].To, inbox[0].TemplateParam, inbox[0].TextBody) != want {
		t.Errorf("it took %+v, want %v", inbox, want)
	}
	if made := p.made(); len(made) != 1 || made[0].trace != want || made[0].worker != 1 {
		t.Errorf("it was sent %+v, want %v by worker 1", made, want)
	}
	if got := p.faults(); got["dead domain"] != 1 || got["greylisted"] != 3 {
		t.Errorf("it counts %v", got)
	}
}
