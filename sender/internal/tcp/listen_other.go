//go:build !unix || aix

package tcp

import "syscall"

// CanListen is false: this system can't tell whether anything has come.
const CanListen = false

// NothingToRead returns false: it is not known.
func NothingToRead(syscall.RawConn) bool { return false }
