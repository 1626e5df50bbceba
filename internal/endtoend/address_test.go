package endtoend_test

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// address is a port on this machine that nobody else is given, and at which
// nobody listens yet: connections are refused.
type address struct {
	*net.TCPAddr
	socket *os.File
}

// reserve takes a port until the test ends.
func reserve(t *testing.T) *address {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "reserved")
	t.Cleanup(func() { _ = socket.Close() })
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := name.(*syscall.SockaddrInet4).Port
	return &address{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, socket}
}

// listen begins to take connections; the listener is the caller's to close.
func (a *address) listen(t *testing.T) net.Listener {
	t.Helper()
	defer func() { _ = a.socket.Close() }() // the listener has one of its own
	if err := syscall.Listen(int(a.socket.Fd()), 128); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(a.socket)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
