package relay

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Vanish is Forget, and data is not even acknowledged: the packets are lost, as with a cut
// cable. It exists only on Linux.
func (r *Relay) Vanish() error {
	links := r.open()
	errs := make([]error, 0, 2*len(links))
	for _, l := range links {
		l.forget()
		errs = append(errs, deafen(l.near), deafen(l.far))
	}
	return errors.Join(errs...)
}

// deafen makes the kernel drop every packet to a connection before TCP sees it.
func deafen(c net.Conn) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("deafen a connection: %T has no socket", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("deafen a connection: %w", err)
	}
	drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("deafen a connection: %w", err)
	}
	return nil
}
