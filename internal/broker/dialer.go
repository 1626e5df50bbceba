package broker

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// dialer dials for nats.go, which takes no context. Until it is released, its context ends the
// look-up of a name, the dial, and the handshake after it. After that it dials for the
// reconnects, which end with the connection.
type dialer struct {
	timeout time.Duration
	// shuffle puts n addresses of a host into a random order.
	shuffle func(n int, swap func(i, j int))

	mu sync.Mutex
	// ctx is that of [Connect], and nil after the release.
	ctx context.Context //nolint:containedctx // nats.go's interface has no argument for it
	// guards stop the closing of the connections at the end of ctx.
	guards []func() bool
}

func newDialer(ctx context.Context, timeout time.Duration) *dialer {
	return &dialer{ctx: ctx, timeout: timeout, shuffle: rand.Shuffle}
}

// release ends the dependence on the context: the connection lives on.
func (d *dialer) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, stop := range d.guards {
		stop()
	}
	d.ctx, d.guards = nil, nil
}

// Dial tries the host's addresses in a random order, and each for its part of the time-out,
// as nats.go does.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx := d.context()
	hosts, err := resolve(ctx, address)
	if err != nil {
		return nil, err
	}
	d.shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	one := net.Dialer{Timeout: d.timeout / time.Duration(len(hosts))}
	var conn net.Conn
	for _, host := range hosts {
		if conn, err = one.DialContext(ctx, network, host); err == nil {
			d.guard(ctx, conn)
			return conn, nil
		}
	}
	return nil, err
}

func (d *dialer) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		return context.Background()
	}
	return d.ctx
}

// guard closes a connection at the end of the context: nats.go waits on it for the server's
// first line and for TLS.
func (d *dialer) guard(ctx context.Context, conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx != nil {
		d.guards = append(d.guards, context.AfterFunc(ctx, func() { _ = conn.Close() }))
	}
}

// resolve returns an address with each IP address of its host.
func resolve(ctx context.Context, address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) != nil {
		return []string{address}, nil //nolint:nilerr // the dial says what is wrong with it
	}
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	all := make([]string, 0, len(ips))
	for _, ip := range ips {
		all = append(all, net.JoinHostPort(ip, port))
	}
	return all, nil
}
