package tcp

import (
	"time"

	"golang.org/x/sys/unix"
)

// bound sets TCP_USER_TIMEOUT (RFC 5482). If the system does not have it, as in some
// sandboxes, bound does nothing.
func bound(fd uintptr, silence time.Duration) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
}
