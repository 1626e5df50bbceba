package jetpull

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// endTimeout bounds the wait for the messages that are asked for.
	endTimeout = requestExpires + 200*time.Millisecond
	// flushTimeout bounds the wait for the server after that.
	flushTimeout = 5 * time.Second
)

// End makes no more requests. It waits until the server has answered all requests or they
// have expired, and returns the messages that came meanwhile. It has to wait: if the
// server answers a request after the Puller stopped listening, that message comes again
// only after AckWait, as one whose worker was lost. This is also true after a reconnect:
// the server may still hold the requests from before. End blocks for some seconds at most,
// and not at all if no request is open.
func (p *Puller) End() []*Message {
	rest, err := p.runOut()
	p.beat.Stop()
	p.gather.Stop()
	if p.statuses != nil {
		p.o.Conn.RemoveStatusListener(p.statuses)
	}
	if p.sub != nil {
		rest = append(rest, p.unsubscribe()...)
	}
	if _, stalled := p.arrival(); stalled || errors.Is(err, ErrStalled) {
		return nil // another worker may have these messages
	}
	return rest
}

// runOut waits until no request is open, and makes none.
func (p *Puller) runOut() (rest []*Message, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for p.asked > 0 && p.conn.IsConnected() {
		m, err := p.Next(ctx, nil, func() int {
			if p.asked == 0 {
				cancel()
			}
			return 0
		})
		switch {
		case err == nil:
			rest = append(rest, m)
		case !errors.Is(err, ErrRenew): // after a reconnect the messages may still come
			return rest, err
		}
	}
	return rest, nil
}

// unsubscribe stops listening, and returns the messages that have come by then.
func (p *Puller) unsubscribe() (rest []*Message) {
	if p.o.Conn.IsConnected() {
		// The server unsubscribes before it answers the flush, and sends nothing after
		// that.
		_ = p.sub.Drain()                       // an error means that there is no connection: then nothing comes
		_ = p.o.Conn.FlushTimeout(flushTimeout) // the same
	}
	// Without this, the client would subscribe again on the next connection, and would
	// drop the messages that come there.
	_ = p.sub.Unsubscribe()
	for {
		select {
		case msg := <-p.incoming:
			if m := p.last(msg); m != nil {
				rest = append(rest, m)
			}
		default:
			return rest
		}
	}
}

// last reads what came at the end; nil if it is not a message.
func (p *Puller) last(msg *nats.Msg) *Message {
	if isStatus(msg) || msg.Reply == "" {
		return nil
	}
	m, err := Read(p.conn, msg, p.o, p.active)
	if err != nil {
		return nil
	}
	return m
}
