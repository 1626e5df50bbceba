// Package jetpull speaks JetStream's pull and ack protocols for one durable consumer: it
// asks for messages, reads the server's status messages, and acks, terminates or naks each
// message.
//
// The package does not use the client's own calls, for three reasons. Consume keeps a
// buffer: messages wait in it while a newer code supersedes them, another worker is idle,
// or AckWait runs out. Fetch can't be stopped without losing the messages that are on
// their way. And each ack that waits for its confirmation takes a goroutine.
//
// NATS's ADR-15 (subjects, acks) and ADR-37 (pull requests, status messages) describe the
// protocol.
package jetpull

import "errors"

var (
	// ErrConsumerGone means that the consumer was deleted, or that another consumer has
	// its name. Look the consumer up before you make the next Puller.
	ErrConsumerGone = errors.New("the consumer is gone")
	// ErrRenew means that it is not known whether the server will answer the Puller's
	// requests: after a reconnect, or if the server has forgotten them. End the Puller and
	// make a new one.
	ErrRenew = errors.New("the pull requests have to be made again")
	// ErrStalled means that this process stood still for so long that another worker may
	// have the messages that came meanwhile. End the Puller and make a new one. End
	// returns no messages then.
	ErrStalled = errors.New("this process stood still")
	// errNoReply means that the message has no ack subject, so it can't be acked.
	errNoReply = errors.New("the message did not come from a consumer")
)
