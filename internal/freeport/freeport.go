// Package freeport finds ports for servers that a test starts and restarts.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports are below those that Linux (from 32768 on), macOS and Windows (from 49152 on) use
// for outgoing connections. Otherwise an outgoing connection could take the port of a server
// while the server restarts.
const from, to = 20_000, 32_768

// tries is the number of ports to try for each wanted one.
const tries = 100

// Ports returns n different ports of 127.0.0.1 that were free when it checked.
func Ports(n int) ([]int, error) {
	ports := make([]int, 0, n)
	held := make([]net.Listener, 0, n) // all stay open until n are found, so that they differ
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range tries * n {
		if len(ports) == n {
			break
		}
		port := from + rand.IntN(to-from) //nolint:gosec // no secret
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", Addr(port))
		if err != nil {
			continue // in use
		}
		held, ports = append(held, l), append(ports, port)
	}
	if len(ports) < n {
		return nil, errors.New("there are no free ports on 127.0.0.1")
	}
	return ports, nil
}

// Addr is a port's address.
func Addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
