// Package freeport finds ports for servers that a test starts and restarts.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
)

// The ports are below those that Linux (from 32768 on), macOS and Windows (from 49152 on) use
// for outgoing connections. Otherwise an outgoing connection could take the port of a server
// while the server restarts.
const from, to = 20_000, 32_768

// tries is the number of ports to try for each wanted one.
const tries = 100

// Ports returns n different ports of 127.0.0.1 on which no TCP server listens. Until release, or
// the end of this process, no other call returns them, not even one of another process: a
// server may not have begun to listen yet, or be down for a restart.
func Ports(n int) (ports []int, release func(), err error) {
	// A UDP socket reserves its port for this package, and leaves TCP to the server.
	var held []io.Closer
	release = func() {
		for _, h := range held {
			_ = h.Close() // it holds nothing but the port
		}
	}
	for range tries * n {
		if len(ports) == n {
			return ports, release, nil
		}
		port := from + rand.IntN(to-from) //nolint:gosec // no secret
		reserved, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", Addr(port))
		if err != nil {
			continue // reserved
		}
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", Addr(port))
		if err != nil {
			_ = reserved.Close() // as in release
			continue             // in use
		}
		_ = l.Close() // there are no connections
		held, ports = append(held, reserved), append(ports, port)
	}
	release()
	return nil, nil, errors.New("there are no free ports on 127.0.0.1")
}

// Addr is a port's address.
func Addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
