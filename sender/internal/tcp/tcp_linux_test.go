package tcp

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestControl: the system closes a connection without acknowledgements.
func TestControl(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialer := net.Dialer{KeepAliveConfig: KeepAlive, Control: Control}
	c, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ option, value int }{
		"TCP_USER_TIMEOUT": {unix.TCP_USER_TIMEOUT, int(Silence.Milliseconds())},
		"TCP_KEEPIDLE":     {unix.TCP_KEEPIDLE, int(KeepAlive.Idle / time.Second)},
	} {
		if err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, want.option); got != want.value || err != nil {
				t.Errorf("%s is %d, %v; want %d", name, got, err, want.value)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}
