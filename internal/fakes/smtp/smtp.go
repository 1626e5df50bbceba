// Package smtp is a fake mail server that follows a script.
package smtp

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

// Server is an SMTP server that follows its script, and otherwise behaves as a usual SMTP
// server.
type Server struct {
	Host string
	Port int
	// Mails receives the accepted mails.
	Mails chan Mail
	// Ended is closed when the test ends.
	Ended chan struct{}

	mu    sync.Mutex
	lines []string
	opens int
	// taken is the number of accepted mails.
	taken int
}

// Mail is an accepted mail, with its MAIL and RCPT lines.
type Mail struct{ From, To, Data string }

// Script says what a server does at each word. The words are the verbs, GREETING for the
// first line, BODY for the mail's text, and END for the line that ends it.
type Script struct {
	// Replies replaces the answer to a word.
	Replies map[string]string
	// On replaces everything that the server does at a word; false ends the connection.
	On map[string]func(t *Talk, line string) bool
	// Extensions are offered in EHLO. Default: STARTTLS if TLS is set, AUTH PLAIN and
	// SMTPUTF8.
	Extensions []string
	// User and Pass are the only user that may send, after AUTH PLAIN. Default: everyone
	// may send.
	User, Pass string
	TLS        *tls.Config
	// Implicit speaks TLS from the start.
	Implicit bool
	// Took is called with each accepted mail, before the client gets the answer. Default:
	// mails go to Mails.
	Took func(Mail)
}

// Talk is one connection.
type Talk struct {
	net.Conn
	// R reads from the client.
	R      *bufio.Reader
	Server *Server

	script   Script
	secured  bool
	signedIn bool
	mail     Mail
}

// Say writes a line.
func (t *Talk) Say(text string) bool {
	_, err := io.WriteString(t.Conn, text+"\r\n")
	return err == nil
}

// Line reads one.
func (t *Talk) Line() (string, bool) {
	line, err := t.R.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err == nil
}

// Secured reports whether the connection uses TLS.
func (t *Talk) Secured() bool { return t.secured }

// Wait waits until the client goes away.
func (t *Talk) Wait() bool {
	_, _ = io.Copy(io.Discard, t.R)
	return false
}

// Reset ends the connection by a reset.
func (t *Talk) Reset() bool {
	if c, ok := t.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	return false
}

// Serve serves until the test ends.
func Serve(t testing.TB, sc Script) *Server {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ServeOn(t, l, sc)
}

// ServeOn serves on a listener until the test ends.
func ServeOn(t testing.TB, l net.Listener, sc Script) *Server {
	t.Helper()
	s, stop := Start(l, sc)
	t.Cleanup(stop)
	return s
}

// Start serves on a TCP listener until stop is called. stop waits until every connection has
// ended.
func Start(l net.Listener, sc Script) (s *Server, stop func()) {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		panic("SMTP is spoken over TCP, not " + l.Addr().Network())
	}
	s = &Server{Host: a.IP.String(), Port: a.Port, Mails: make(chan Mail, 1000), Ended: make(chan struct{})}
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
	return s, func() {
		_ = l.Close()
		close(s.Ended)
		s.mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		s.mu.Unlock()
		talks.Wait()
	}
}

func (s *Server) talk(c net.Conn, sc Script) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(64 << 10) // so that a big message does not fit
	}
	t := &Talk{Conn: c, Server: s, script: sc, signedIn: sc.User == ""}
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

func (t *Talk) secure() bool {
	c := tls.Server(t.Conn, t.script.TLS)
	t.Conn, t.R, t.secured = c, bufio.NewReader(c), true
	return c.HandshakeContext(context.Background()) == nil // the test's end closes it
}

func (t *Talk) do(word, line string) bool {
	if f := t.script.On[word]; f != nil {
		return f(t, line)
	}
	return t.Usual(word, line)
}

// Usual is what a server does at a word without a script.
func (t *Talk) Usual(word, line string) bool {
	reply, scripted := t.script.Replies[word]
	answer := func(text string) bool {
		if scripted {
			text = reply
		}
		return t.Say(text)
	}
	switch word {
	case "GREETING":
		return answer("220 test ESMTP")
	case "EHLO", "LHLO":
		if scripted {
			return t.Say(reply)
		}
		return t.offer()
	case "STARTTLS":
		if scripted {
			return t.Say(reply)
		}
		return t.Say("220 go") && t.secure()
	case "AUTH":
		if !scripted && !t.signIn(line) {
			return t.Say("535 5.7.8 Error: authentication failed: " + line)
		}
		return answer("235 2.7.0 welcome")
	case "MAIL":
		if !t.signedIn {
			return t.Say("530 5.7.0 Authentication required")
		}
		t.mail = Mail{From: line}
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

func (t *Talk) offer() bool {
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

// signIn compares an AUTH PLAIN with the script's user (RFC 4616).
func (t *Talk) signIn(line string) bool {
	if t.script.User != "" {
		plain, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "AUTH PLAIN "))
		t.signedIn = err == nil && string(plain) == "\x00"+t.script.User+"\x00"+t.script.Pass
	}
	return t.signedIn
}

func (t *Talk) data(answer func(string) bool) bool {
	if _, scripted := t.script.Replies["DATA"]; scripted {
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
	if reply, scripted := t.script.Replies["END"]; scripted {
		return t.Say(reply)
	}
	if t.script.Took != nil {
		t.script.Took(t.mail)
		return t.Say("250 2.0.0 Ok: queued")
	}
	t.Server.Mails <- t.mail
	return t.Say("250 2.0.0 Ok: queued as Q" + strconv.Itoa(t.Server.took()))
}

// took counts a mail.
func (s *Server) took() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	return s.taken
}

// Lines returns all lines of the clients so far, without the mails' text.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Count is the number of lines that began with a word.
func (s *Server) Count(word string) (n int) {
	for _, line := range s.Lines() {
		if strings.HasPrefix(strings.ToUpper(line), word) {
			n++
		}
	}
	return n
}

// Connections is the number of connections so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}
