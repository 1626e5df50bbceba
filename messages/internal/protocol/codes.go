package protocol

// The error codes of JetStream's answers that will be others soon.
const (
	// CodeClusterNotAvailable (JSClusterNotAvailErr): the server has no contact with most of
	// the others, or they have no leader.
	CodeClusterNotAvailable = 10008
	// CodeInProcess (JSStreamDuplicateMessageConflict): an earlier try with the same
	// Nats-Msg-Id has reached the stream's leader, and the other nodes have not stored it yet.
	CodeInProcess = 10158
)
