//go:build !unix

package exchange

import "syscall"

// canListen is false: net/http makes the exchanges, which has a goroutine that listens.
const canListen = false

func nothingToRead(syscall.RawConn) bool { return false }
