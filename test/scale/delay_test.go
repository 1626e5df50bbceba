package scale

import (
	"net"
	"sync"
	"testing"
	"time"
)

// delayed relays connections to a server's address, and holds what passes back for a while in
// each direction, as a long way does. It returns the address to connect to, and ends with the
// test.
func delayed(t *testing.T, to string, oneWay time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &delayer{to: to, oneWay: oneWay, open: make(map[net.Conn]struct{})}
	r.running.Go(func() { r.accept(l) })
	t.Cleanup(func() {
		_ = l.Close() // accept ends
		r.close()
		r.running.Wait()
	})
	return l.Addr().String()
}

type delayer struct {
	to      string
	oneWay  time.Duration
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

// chunk is data that arrives at a time.
type chunk struct {
	data []byte
	due  time.Time
}

func (r *delayer) accept(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return // closed
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = near.Close() // the other side sees that the server is down
			continue
		}
		if !r.add(near, far) {
			return
		}
		r.running.Go(func() { r.pump(near, far) })
		r.running.Go(func() { r.pump(far, near) })
	}
}

func (r *delayer) add(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.closed {
			_ = c.Close()
			continue
		}
		r.open[c] = struct{}{}
	}
	return !r.closed
}

func (r *delayer) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for c := range r.open {
		_ = c.Close()
	}
}

// pump passes data on until one of the connections is closed, and then closes both.
func (r *delayer) pump(from, to net.Conn) {
	way := make(chan chunk, 4096)
	r.running.Go(func() {
		for c := range way {
			if wait := time.Until(c.due); wait > 0 {
				<-time.After(wait)
			}
			if _, err := to.Write(c.data); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	})
	defer close(way)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			way <- chunk{append([]byte(nil), buffer[:n]...), time.Now().Add(r.oneWay)}
		}
		if err != nil {
			return
		}
	}
}
