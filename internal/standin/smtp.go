package standin

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// SMTP is an SMTP server that does as its script says, and otherwise what an SMTP
// server does.
type SMTP struct {
	Host string
	Port int
	// Mails are what it has accepted.
	Mails chan SMTPMail
	// Ended is closed when the test ends.
	Ended chan struct{}

	mu    sync.Mutex
	lines []string
	opens int
}

// SMTPMail is what a server has accepted: the lines that began it, and the mail.
type SMTPMail struct{ From, To, Data string }

// SMTPScript says what a server does. Words are the verbs, GREETING for the first
// line, BODY for the mail's text, and END for the line that ends it.
type SMTPScript struct {
	// Replies replaces the answer to a word.
	Replies map[string]string
	// On replaces all that is done at a word; false ends the connection.
	On map[string]func(t *SMTPTalk, line string) bool
	// Extensions are offered in EHLO; by default STARTTLS where TLS is set, AUTH
	// PLAIN and SMTPUTF8.
	Extensions []string
	// User and Pass are the ones who may send, and have to say so by AUTH PLAIN.
	// Default: everyone.
	User, Pass string
	TLS        *tls.Config
	// Implicit speaks TLS from the start.
	Implicit bool
}

// SMTPTalk is one connection.
type SMTPTalk struct {
	net.Conn
	// R is what the client says.
	R      *bufio.Reader
	Server *SMTP

	script   SMTPScript
	secured  bool
	signedIn bool
	mail     SMTPMail
}

// Say writes a line.
func (t *SMTPTalk) Say(text string) bool {
	_, err := io.WriteString(t.Conn, text+"\r\n")
	return err == nil
}

// Line reads one.
func (t *SMTPTalk) Line() (string, bool) {
	line, err := t.R.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err == nil
}

// Wait waits until the client goes away.
func (t *SMTPTalk) Wait() bool {
	_, _ = io.Copy(io.Discard, t.R)
	return false
}

// Reset ends the connection by a reset.
func (t *SMTPTalk) Reset() bool {
	if c, ok := t.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	return false
}

// ServeSMTP serves until the test ends.
func ServeSMTP(t testing.TB, sc SMTPScript) *SMTP {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ServeSMTPOn(t, l, sc)
}

// ServeSMTPOn serves on a listener until the test ends.
func ServeSMTPOn(t testing.TB, l net.Listener, sc SMTPScript) *SMTP {
	t.Helper()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("SMTP is spoken over TCP, not %s", l.Addr().Network())
	}
	s := &SMTP{Host: a.IP.String(), Port: a.Port, Mails: make(chan SMTPMail, 1000), Ended: make(chan struct{})}
	var talks sync.WaitGroup
	open := make(map[net.Conn]bool)
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.opens++
			open[c] = true
			s.mu.Unlock()
			talks.Go(func() {
				defer func() {
					s.mu.Lock()
					delete(open, c)
					s.mu.Unlock()
					_ = c.Close()
				}()
				s.talk(c, sc)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		close(s.Ended)
		s.mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		s.mu.Unlock()
		talks.Wait()
	})
	return s
}

func (s *SMTP) talk(c net.Conn, sc SMTPScript) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10) // so that a big message does not fit
	}
	t := &SMTPTalk{Conn: c, Server: s, script: sc, signedIn: sc.User == ""}
	if sc.Implicit && !t.secure() {
		return
	}
	t.R = bufio.NewReader(t.Conn)
	if !t.do("GREETING", "") {
		return
	}
	for {
		line, ok := t.Line()
		if !ok {
			return
		}
		s.mu.Lock()
		s.lines = append(s.lines, line)
		s.mu.Unlock()
		word, _, _ := strings.Cut(line, " ")
		if !t.do(strings.ToUpper(word), line) {
			return
		}
	}
}

func (t *SMTPTalk) secure() bool {
	c := tls.Server(t.Conn, t.script.TLS)
	t.Conn, t.R, t.secured = c, bufio.NewReader(c), true
	return c.HandshakeContext(context.Background()) == nil // the test's end closes it
}

func (t *SMTPTalk) do(word, line string) bool {
	if f := t.script.On[word]; f != nil {
		return f(t, line)
	}
	return t.Usual(word, line)
}

// Usual is what a server does at a word unless it is told otherwise.
func (t *SMTPTalk) Usual(word, line string) bool {
	reply, told := t.script.Replies[word]
	answer := func(text string) bool {
		if told {
			text = reply
		}
		return t.Say(text)
	}
	switch word {
	case "GREETING":
		return answer("220 test ESMTP")
	case "EHLO", "LHLO":
		if told {
			return t.Say(reply)
		}
		return t.offer()
	case "STARTTLS":
		if told {
			return t.Say(reply)
		}
		return t.Say("220 go") && t.secure()
	case "AUTH":
		if !told && !t.signIn(line) {
			return t.Say("535 5.7.8 Error: authentication failed: " + line)
		}
		return answer("235 2.7.0 welcome")
	case "MAIL":
		if !t.signedIn {
			return t.Say("530 5.7.0 Authentication required")
		}
		t.mail = SMTPMail{From: line}
		return answer("250 2.1.0 Ok")
	case "RCPT":
		t.mail.To = line
		return answer("250 2.1.5 Ok")
	case "DATA":
		return t.data(answer)
	case "QUIT":
		t.Say("221 2.0.0 Bye")
		return false
	}
	return answer("250 2.0.0 Ok")
}

func (t *SMTPTalk) offer() bool {
	offers := t.script.Extensions
	if offers == nil {
		offers = []string{"AUTH PLAIN", "SMTPUTF8", "8BITMIME"}
		if t.script.TLS != nil {
			offers = append(offers, "STARTTLS")
		}
	}
	t.Say("250-test")
	for _, x := range offers {
		if x != "STARTTLS" || !t.secured {
			t.Say("250-" + x)
		}
	}
	return t.Say("250 HELP")
}

// signIn holds an AUTH PLAIN against the script's user (RFC 4616).
func (t *SMTPTalk) signIn(line string) bool {
	if t.script.User != "" {
		said, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "AUTH PLAIN "))
		t.signedIn = err == nil && string(said) == "\x00"+t.script.User+"\x00"+t.script.Pass
	}
	return t.signedIn
}

func (t *SMTPTalk) data(answer func(string) bool) bool {
	if _, told := t.script.Replies["DATA"]; told {
		return answer("")
	}
	if !t.Say("354 go on") {
		return false
	}
	if f := t.script.On["BODY"]; f != nil {
		return f(t, "")
	}
	b, err := io.ReadAll(textproto.NewReader(t.R).DotReader())
	if err != nil {
		return false
	}
	t.mail.Data = string(b)
	if f := t.script.On["END"]; f != nil {
		return f(t, "")
	}
	if reply, told := t.script.Replies["END"]; told {
		return t.Say(reply)
	}
	t.Server.Mails <- t.mail
	return t.Say("250 2.0.0 Ok: queued as Q" + strconv.Itoa(len(t.Server.Mails)))
}

// Lines returns what the clients have said so far, but for the mails.
func (s *SMTP) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Count is how many lines began with a word.
func (s *SMTP) Count(word string) (n int) {
	for _, line := range s.Lines() {
		if strings.HasPrefix(strings.ToUpper(line), word) {
			n++
		}
	}
	return n
}

// Connections is how many there have been.
func (s *SMTP) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}
