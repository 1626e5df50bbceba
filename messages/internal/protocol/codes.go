package protocol

import "github.com/nats-io/nats.go/jetstream"

// The server's answers that will be others soon.
const (
	// CodeClusterNotAvailable (JSClusterNotAvailErr): the server has no contact with most of
	// the others, or they have no leader.
	CodeClusterNotAvailable jetstream.ErrorCode = 10008
	// CodeInProcess (JSStreamDuplicateMessageConflict): an earlier try with the same
	// Nats-Msg-Id has reached the stream's leader, and the other nodes have not stored it yet.
	CodeInProcess jetstream.ErrorCode = 10158
)
