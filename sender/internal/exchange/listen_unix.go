//go:build unix

package exchange

import (
	"errors"
	"syscall"
)

// canListen tells that a connection can be asked whether anything has come over it.
const canListen = true

// nothingToRead tells whether a socket is open and nothing has come.
func nothingToRead(socket syscall.RawConn) bool {
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
