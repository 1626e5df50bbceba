package smtp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	gosmtp "github.com/wneessen/go-mail/smtp"
)

// brittle is a connection that, once takes is set, takes only the first bytes of what is
// written.
type brittle struct {
	net.Conn
	takes int // -1 for all
}

func (b *brittle) Write(p []byte) (int, error) {
	if b.takes < 0 {
		return b.Conn.Write(p)
	}
	return b.takes, errors.New("broken")
}

func (b *brittle) Read(p []byte) (int, error) {
	if b.takes < 0 {
		return b.Conn.Read(p)
	}
	return 0, io.EOF
}

// TestTheFirstByteOfTheEnd separates doubt from a message without its end.
func TestTheFirstByteOfTheEnd(t *testing.T) {
	for takes, want := range map[int]stage{0: atBody, 1: atEnd, 3: atEnd} {
		ours, theirs := net.Pipe()
		var server sync.WaitGroup
		server.Go(func() {
			defer func() { _ = theirs.Close() }()
			r := bufio.NewReader(theirs)
			_, _ = io.WriteString(theirs, "220 test\r\n")
			for {
				line, err := r.ReadString('\n')
				switch {
				case err != nil:
					return
				case strings.HasPrefix(line, "DATA"):
					_, _ = io.WriteString(theirs, "354 go on\r\n")
				}
			}
		})
		b := &brittle{ours, -1}
		s := &session{wire: &wire{Conn: b}}
		var err error
		if s.client, err = gosmtp.NewClient(s.wire, "test"); err != nil {
			t.Fatal(err)
		}
		w, err := s.client.Data()
		if err != nil {
			t.Fatal(err)
		}
		body := w.(*gosmtp.DataCloser)
		if err := s.write(body, []byte("body\r\n")); err != nil {
			t.Fatal(err)
		}
		b.takes = takes
		if _, at, err := s.finish(body); at != want || err == nil || !s.broken {
			t.Errorf("%d bytes of the end: stage %d, want %d (%v)", takes, at, want, err)
		}
		_ = ours.Close()
		server.Wait()
	}
}
