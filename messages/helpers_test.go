package messages_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/messages"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer has goroutines of its own
	}
	goleak.VerifyTestMain(m)
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

// natsServer is a real server with JetStream, on a port and a store of its own.
type natsServer struct {
	*server.Server
	opts server.Options
}

func startServer(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(),
		NoLog: true, NoSigs: true,
	}}
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *natsServer) start(t *testing.T) {
	t.Helper()
	opts := s.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	s.Server = srv
	s.opts.Port = srv.Addr().(*net.TCPAddr).Port // the same again after a stop
}

func (s *natsServer) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

func (s *natsServer) connect(t *testing.T, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0)}, opts...)
	nc, err := messages.Connect(s.ClientURL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// provision makes the streams, the ledger and the consumers, as a worker does.
func provision(t *testing.T, nc *nats.Conn, o messages.StreamOptions) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range messages.Streams(o) {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatalf("create %s: %v", cfg.Name, err)
		}
	}
	if _, err := js.CreateKeyValue(t.Context(), messages.Ledger(o)); err != nil {
		t.Fatal(err)
	}
	for _, c := range messages.Channels() {
		if _, err := js.CreateConsumer(t.Context(), messages.StreamName, messages.Consumer(c, o)); err != nil {
			t.Fatalf("create consumer %s: %v", c, err)
		}
	}
	return js
}

func newPublisher(t *testing.T, nc *nats.Conn, o messages.PublisherOptions) *messages.Publisher {
	t.Helper()
	p, err := messages.NewPublisher(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stored counts the messages that wait in CODEFERRY.
func stored(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), messages.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// lossyDialer makes connections that lose as many acknowledgements of the stream
// as lose says. lost hears of each.
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

// lossyConn reads the server's protocol an operation at a time.
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
