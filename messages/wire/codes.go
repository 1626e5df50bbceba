package wire

import "github.com/codeferry/codeferry/messages/internal/protocol"

// The error codes of JetStream's answers that will be others soon: the cluster is not available,
// and the nodes are storing an earlier try with the same Nats-Msg-Id.
const (
	CodeClusterNotAvailable = protocol.CodeClusterNotAvailable
	CodeInProcess           = protocol.CodeInProcess
)
