package freeport_test

import (
	"net"
	"testing"

	"github.com/codeferry/codeferry/internal/freeport"
)

func TestPorts(t *testing.T) {
	ports, release, err := freeport.Ports(20)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	seen := make(map[int]bool)
	for _, port := range ports {
		if seen[port] {
			t.Errorf("%d was returned twice", port)
		}
		seen[port] = true
		if port >= 32_768 {
			t.Errorf("%d may be given to an outgoing connection", port)
		}
		l, err := net.Listen("tcp", freeport.Addr(port))
		if err != nil {
			t.Errorf("%d is not free: %v", port, err)
			continue
		}
		_ = l.Close() // there are no connections
	}
}

// TestPortsAreReserved: two calls share no port before the release, although nobody listens yet.
func TestPortsAreReserved(t *testing.T) {
	seen := make(map[int]bool)
	for range 4 {
		ports, release, err := freeport.Ports(200)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		for _, port := range ports {
			if seen[port] {
				t.Errorf("%d was returned by two calls", port)
			}
			seen[port] = true
		}
	}
}
