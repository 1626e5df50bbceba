package endtoend_test

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// address is a reserved port on this machine. Until listen is called, nobody listens there and
// connections are refused.
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

// listen begins to accept connections; the caller has to close the listener.
func (a *address) listen(t *testing.T) net.Listener {
	t.Helper()
	defer func() { _ = a.socket.Close() }() // the listener has its own socket
	if err := syscall.Listen(int(a.socket.Fd()), 128); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(a.socket)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
