//go:build unix && !aix

package tcp

import (
	"errors"
	"syscall"
)

// CanListen is true if this system can tell whether anything has come over a connection.
// AIX can't, since it has no MSG_DONTWAIT.
const CanListen = true

// NothingToRead reports whether a socket is open and nothing has come. It does not block.
func NothingToRead(socket syscall.RawConn) bool {
	nothing := false
	err := socket.Control(func(fd uintptr) {
		var b [1]byte
		for {
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			nothing = errors.Is(err, syscall.EAGAIN)
			return
		}
	})
	return err == nil && nothing
}
