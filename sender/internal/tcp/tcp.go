// Package tcp sets up the connections to providers so that a dead connection is noticed
// soon: a network can forget a connection without a sign.
package tcp

import (
	"net"
	"syscall"
	"time"
)

// Silence is how long sent data can stay without a TCP acknowledgement before the
// connection counts as lost. It does not bound the time of an answer. It works on systems
// with TCP_USER_TIMEOUT, such as Linux. On other systems only KeepAlive notices a lost
// connection, while nothing is being sent.
const Silence = 5 * time.Second

// KeepAlive makes the system probe an idle connection, and close it after a few seconds
// without an answer.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 3 * time.Second, Count: 2}

// Control is for a net.Dialer. It sets Silence as the bound for missing acknowledgements.
// It never fails; a system that refuses keeps its own bound, of minutes.
func Control(_, _ string, c syscall.RawConn) error {
	_ = c.Control(func(fd uintptr) { bound(fd, Silence) }) // a closed socket fails elsewhere
	return nil
}
