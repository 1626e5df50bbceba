package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker"
)

// server speaks as much of NATS's protocol as a client needs.
type server struct {
	l net.Listener
	// silent: it answers nothing.
	silent atomic.Bool
	// say holds lines to send to the client.
	say chan string
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l: l, say: make(chan string)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(ctx, c) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		serving.Wait()
	})
	return s
}

func (s *server) serve(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	ended := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		select {
		case words := <-s.say:
			_, _ = io.WriteString(c, words)
		case <-ended:
		}
	})
	defer telling.Wait()
	defer close(ended)
	if s.silent.Load() {
		<-ctx.Done()
		return
	}
	_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"m\",\"version\":\"2.15.2\",\"max_payload\":1048576,\"proto\":1,\"headers\":true}\r\n")
	for lines := bufio.NewReader(c); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "PING") && !s.silent.Load() {
			_, _ = io.WriteString(c, "PONG\r\n")
		}
	}
}

// beating is a pulse with its server.
type beating struct {
	t     *testing.T
	web   *web
	ended chan error
}

func beat(t *testing.T, s *server) *beating {
	t.Helper()
	nc, err := broker.Connect(t.Context(), broker.Target{URL: "nats://" + s.l.Addr().String(), Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	b := &beating{t: t, web: &web{conditions: NewConditions(nil)}, ended: make(chan error, 1)}
	b.web.setWorker(workerState{func() error { return nil }, func() ([]worker.BlockedChannel, bool) { return nil, true }, func() string { return "" }})
	p := &pulse{nc: nc, conditions: b.web.conditions, permissions: &permissions{conditions: b.web.conditions}, connected: natsConnected(nil), log: zerolog.Nop()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.ended <- p.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		nc.Close()
	})
	return b
}

func (b *beating) readyz() string {
	rec := httptest.NewRecorder()
	b.web.readyz(rec, httptest.NewRequestWithContext(b.t.Context(), "GET", "/readyz", nil))
	return fmt.Sprint(rec.Code, " ", rec.Body)
}

func (b *beating) until(want string) {
	b.t.Helper()
	check.Eventually(b.t, "/readyz is "+want, func() bool { return strings.HasPrefix(b.readyz(), want) })
}

func TestPulseOfASilentServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := beat(t, s)
	b.until("200 ok")
	s.silent.Store(true)
	b.until("503 nats: the server " + s.l.Addr().String() + " does not answer")
	b.until("503 nats: not connected")
	s.silent.Store(false)
	b.until("200 ok")
}

// TestPulseOfAConnectionThatIsClosed: if nats.go closes the connection for good, the service
// ends.
func TestPulseOfAConnectionThatIsClosed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := beat(t, s)
	s.say <- "-ERR 'Words of a later server'\r\n"
	select {
	case err := <-b.ended:
		if !errors.Is(err, errClosed) || !strings.Contains(err.Error(), "Words of a later server") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on with a closed connection")
	}
	b.until("503 nats: ")
}

// TestPulseLogsTheEnd of a silence. The connection itself logs that it is back.
func TestPulseLogsTheEnd(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	now := time.Unix(0, 0)
	c := NewConditions(func() time.Time { return now })
	p := &pulse{conditions: c, connected: natsConnected(nil), log: zerolog.New(&log)}
	p.here()
	c.Block(conditionNATS, "it does not answer")
	now = now.Add(5 * time.Second)
	p.here()
	p.here()
	p.gone(nil)
	p.here()
	if got, want := log.String(), `{"level":"info","lasted":"5s","message":"NATS answers again"}`+"\n"; got != want {
		t.Errorf("the log says %s, want %s", got, want)
	}
}

// TestPulseKeepsTheReason why there is no connection, until another one is known.
func TestPulseKeepsTheReason(t *testing.T) {
	t.Parallel()
	c := NewConditions(nil)
	p := &pulse{conditions: c, connected: natsConnected(nil)}
	required := &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}
	for _, step := range []struct {
		why  error
		want string
	}{
		{nil, "not connected"},
		{required, "the server requires a client certificate (remote error: tls: certificate required); set one with nats.tls.certFile and nats.tls.keyFile"},
		{nil, "the server requires a client certificate"},
		{errors.New("connection refused"), "not connected; the servers of nats.url are tried again and again (connection refused)"},
		{nil, "(connection refused)"},
	} {
		p.gone(step.why)
		if blocking, _ := c.texts(); len(blocking) != 1 || !strings.Contains(blocking[0], step.want) {
			t.Errorf("after %v: %v, want %s", step.why, blocking, step.want)
		}
	}
	p.here()
	p.gone(nil)
	if blocking, _ := c.texts(); len(blocking) != 1 || strings.Contains(blocking[0], "refused") {
		t.Errorf("lost again: %v", blocking)
	}
}

// TestPulseShowsARefusal by one server, whatever the others say, until no server refuses.
func TestPulseShowsARefusal(t *testing.T) {
	t.Parallel()
	c := NewConditions(nil)
	var refusal error
	p := &pulse{conditions: c, connected: natsConnected(nil), target: broker.Target{Token: sender.NewSecret("x")}, refusal: func() error { return refusal }}
	down := errors.New("connection refused")
	const refused = "the server refuses the credentials (nats: authorization violation); correct nats.token"
	for _, step := range []struct {
		refusal, why error
		want         string
	}{
		{nil, nil, "not connected; the servers of nats.url are tried again and again (for"},
		{nats.ErrAuthorization, nil, refused},
		{nats.ErrAuthorization, down, refused},
		{nats.ErrAuthorization, nats.ErrAuthorization, refused},
		{nil, nil, "not connected; the servers of nats.url are tried again and again (for"},
		{nats.ErrAuthorization, nil, refused},
		{nil, down, "(connection refused)"},
		{nil, nil, "(connection refused)"},
	} {
		refusal = step.refusal
		p.gone(step.why)
		if blocking, _ := c.texts(); len(blocking) != 1 || !strings.Contains(blocking[0], step.want) {
			t.Errorf("after %+v: %v", step, blocking)
		}
	}
}

func TestPermissionsAreForgotten(t *testing.T) {
	t.Parallel()
	c := NewConditions(nil)
	var log strings.Builder
	p := &permissions{conditions: c, log: zerolog.New(&log)}
	violation := func(text string) error {
		return fmt.Errorf("%w: Permissions Violation for %s", nats.ErrPermissionViolation, text)
	}
	blocks := func() int {
		blocking, _ := c.texts()
		return len(blocking)
	}
	for text, want := range map[string]int{
		`Publish to "$JS.API.STREAM.CREATE.CODEFERRY"`:                0,
		`Publish to "codeferry.outcome.default.sms.sent"`:             0,
		`Publish to "$JS.API.CONSUMER.MSG.NEXT.CODEFERRY.sms"`:        1,
		`Publish to "$JS.ACK.CODEFERRY.sms.1.1.1.1.0"`:                1,
		`Publish to "$KV.codeferry-ledger.x"`:                         1,
		`Publish to "js.hub.DIRECT.GET.KV_codeferry-ledger.$KV.x"`:    1,
		`Publish to "$JS.API.CONSUMER.MSG.NEXT.CODEFERRY_OUTCOMES.x"`: 0,
		`Subscription to "_INBOX.x.*"`:                                1,
	} {
		log.Reset()
		p.denied(violation(text))
		if n := blocks(); n != want {
			t.Errorf("%s: %d conditions block, want %d", text, n, want)
		}
		p.look(time.Now())
		if n := blocks(); n != want {
			t.Errorf("%s: the denial ends at once", text)
		}
		p.look(time.Now().Add(deniedFor + time.Second))
		if n := blocks(); n != 0 {
			t.Errorf("%s: the denial never ends", text)
		}
		p.look(time.Now().Add(deniedFor + time.Second))
		if n := strings.Count(log.String(), "the permissions are there"); n != want {
			t.Errorf("%s: the log says %d times that it has ended, want %d", text, n, want)
		}
	}
}
