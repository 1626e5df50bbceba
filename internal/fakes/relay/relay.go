// Package relay simulates the network between a client and a server: it can hold data back,
// close connections and refuse new ones, or forget connections, as a NAT or a load balancer
// does when it fails over, without telling either side. It is for tests.
package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// Relay relays connections to one server.
type Relay struct {
	to       string
	listener net.Listener
	ended    sync.WaitGroup

	mu sync.Mutex
	// links are the open connections, including forgotten ones.
	links    map[*link]struct{}
	accepted int
	state    State
	// changed is closed when the state changes.
	changed chan struct{}
	closed  bool
}

// State says what a relay does with data and new connections.
type State int

// The states. A relay begins open.
const (
	Open State = iota
	// Held lets no data pass and tells neither side, as a network that is down for
	// a while. The held data passes when the relay is open again.
	Held
	// Shut closes every connection, and each new one.
	Shut
)

// link is a connection from a client, with its connection to the server.
type link struct {
	near, far net.Conn

	mu        sync.Mutex
	forgotten bool
}

// New opens a relay to a server's host and port, on a port of 127.0.0.1 that the system
// chooses. Close ends it.
func New(to string) (*Relay, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a relay to %s: %w", to, err)
	}
	r := &Relay{to: to, listener: l, links: make(map[*link]struct{}), changed: make(chan struct{})}
	r.ended.Go(r.accept)
	return r, nil
}

// Addr is the host and port at which clients connect.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Accepted is the number of all connections so far.
func (r *Relay) Accepted() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// Forget drops all later data on the present connections. They stay open, and neither side is
// told. New connections work.
func (r *Relay) Forget() {
	for _, l := range r.open() {
		l.forget()
	}
}

// Set makes the relay open, held or shut.
func (r *Relay) Set(s State) {
	r.mu.Lock()
	r.state = s
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	if s == Shut {
		for _, l := range r.open() {
			l.close()
		}
	}
}

// Close closes every connection, and waits until no more data passes.
func (r *Relay) Close() {
	_ = r.listener.Close() // even after an error, no more connections come
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Set(Shut)
	r.ended.Wait()
}

func (r *Relay) open() []*link {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*link, 0, len(r.links))
	for l := range r.links {
		all = append(all, l)
	}
	return all
}

func (r *Relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return // the relay is closed
		}
		r.ended.Go(func() { r.connect(near) })
	}
}

func (r *Relay) connect(near net.Conn) {
	far, err := new(net.Dialer).DialContext(context.Background(), "tcp", r.to)
	if err != nil {
		_ = near.Close() // the client sees that the server is down
		return
	}
	l := &link{near: near, far: far}
	if !r.add(l) {
		l.close()
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { r.pump(l, far, near) })
	pumps.Go(func() { r.pump(l, near, far) })
	pumps.Wait()
	l.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.links, l)
}

// add adds a link; false if the relay is shut or closed.
func (r *Relay) add(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.state == Shut {
		return false
	}
	r.links[l] = struct{}{}
	r.accepted++
	return true
}

// pass waits while the relay is held, and returns false if it is shut.
func (r *Relay) pass() bool {
	for {
		r.mu.Lock()
		state, changed := r.state, r.changed
		r.mu.Unlock()
		if state != Held {
			return state == Open
		}
		<-changed
	}
}

// pump copies data from one end to the other while the relay is open, until the link is
// forgotten.
func (r *Relay) pump(l *link, to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !r.pass() || l.isForgotten() {
			break
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if l.isForgotten() {
		_, _ = io.Copy(io.Discard, from) // until this side closes; the other side is not told
		return
	}
	l.close()
}

func (l *link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgotten = true
}

func (l *link) isForgotten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forgotten
}

func (l *link) close() {
	_ = l.near.Close() // one of them may be closed already
	_ = l.far.Close()
}
