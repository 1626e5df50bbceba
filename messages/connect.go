package messages

import (
	"time"

	"github.com/nats-io/nats.go"
)

// Limits after which a silent connection is closed. With nats.go's own defaults a connection
// that is half open, or whose server is frozen, stays for up to six minutes.
const (
	pingInterval = 3 * time.Second
	pingsOut     = 2
	// writeTimeout bounds a write to a server that reads nothing. While a write waits,
	// nothing else happens on the connection, and nats.go counts no pings.
	writeTimeout = 3 * time.Second
	// After all servers of the list have failed, the next try comes after reconnectWait
	// and a random part of reconnectJitter.
	reconnectWait   = 500 * time.Millisecond
	reconnectJitter = 500 * time.Millisecond
)

// Connect connects to NATS with the options that a [Publisher] needs for the life of the
// process:
//
//   - While the connection is down, a publish fails at once. nats.go does not buffer it, so
//     a failed publish never arrives later (ReconnectBufSize; opts can't change it).
//   - A server that answers no ping is left after 6 to 9 s (PingInterval 3s,
//     MaxPingsOutstanding 2). A write to a server that does not read fails after 3 s
//     (FlusherTimeout). Then nats.go tries the other servers of the list, and those that
//     the cluster announced.
//   - It reconnects without a limit (MaxReconnects), also after refused credentials, since
//     they can be fixed meanwhile (IgnoreAuthErrorAbort). After all servers have failed it
//     waits half a second to a second (ReconnectWait, ReconnectJitter).
//
// opts can change all options but the first. Connect reads a password in url once. If the
// password can change, use nats.UserCredentials, nats.UserInfoHandler or nats.TokenHandler,
// which nats.go calls for each connection. Connect blocks until it is connected or each
// server has failed. A server fails after the time-out of the options (2s) at most, or twice
// that if it accepts the connection and then says nothing.
func Connect(url string, opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.Name("codeferry publisher"),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
	}, opts...)
	all = append(all, nats.ReconnectBufSize(-1))
	return nats.Connect(url, all...)
}
