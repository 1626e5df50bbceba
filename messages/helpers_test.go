package messages_test

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

// wantField fails the test unless err is a *FieldError about a field.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var wrong *messages.FieldError
	if !errors.As(err, &wrong) {
		t.Fatalf("error is %v, want a *FieldError about %s", err, field)
	}
	if wrong.Field != field || !strings.HasPrefix(err.Error(), field+" ") {
		t.Errorf("error is %q, want one about %s", err, field)
	}
}

func newPublisher(t *testing.T, nc *nats.Conn, o messages.PublisherOptions) *messages.Publisher {
	t.Helper()
	p, err := messages.NewPublisher(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// lossyDialer makes connections that lose the next lose acknowledgements of the stream. It
// sends to lost for each.
type lossyDialer struct {
	lose atomic.Int32
	lost chan struct{}
}

func newLossyDialer(lose int32) *lossyDialer {
	d := &lossyDialer{lost: make(chan struct{}, 100)}
	d.lose.Store(lose)
	return d
}

func (d *lossyDialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: c, in: bufio.NewReader(c), dialer: d}, nil
}

// lossyConn reads the server's protocol one operation at a time.
type lossyConn struct {
	net.Conn
	in     *bufio.Reader
	dialer *lossyDialer
	ready  []byte
}

func (c *lossyConn) Read(b []byte) (int, error) {
	for len(c.ready) == 0 {
		op, err := c.operation()
		if err != nil {
			return 0, err
		}
		if bytes.Contains(op, []byte(`{"stream":"CODEFERRY"`)) && c.dialer.lose.Add(-1) >= 0 {
			c.dialer.lost <- struct{}{}
			continue
		}
		c.ready = op
	}
	n := copy(b, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *lossyConn) operation() ([]byte, error) {
	line, err := c.in.ReadBytes('\n')
	if err != nil || !bytes.HasPrefix(line, []byte("MSG ")) && !bytes.HasPrefix(line, []byte("HMSG ")) {
		return line, err
	}
	words := strings.Fields(string(line))
	size, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return nil, err
	}
	body := make([]byte, size+len("\r\n"))
	for n := 0; n < len(body); {
		m, err := c.in.Read(body[n:])
		if err != nil {
			return nil, err
		}
		n += m
	}
	return append(line, body...), nil
}
