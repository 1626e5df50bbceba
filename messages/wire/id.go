package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// HashedID is what an id begins with that stands for one that shows an address.
const HashedID = "sha256-"

// HashID returns what stands for an id that shows an address.
func HashID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return HashedID + hex.EncodeToString(sum[:16])
}

// MaskID returns an id, or its hash if it shows the recipient: an id stands in logs,
// outcomes and dead letters. Without a recipient it is hashed if it is an address itself.
func MaskID(id, to string) string {
	if !ShowsAddress(id, to) {
		return id
	}
	return HashID(id)
}

// MessageID returns a message's id: the body's, or the Nats-Msg-Id, or the place in the
// stream: the first that is there and can be one. Another mistake in the body changes
// nothing: an id stands in logs and on terminals, and a control character in it must not.
func MessageID(header nats.Header, code *messages.SendCode, sequence uint64) string {
	if ValidID(code.ID) {
		return code.ID
	}
	if id := header.Get(jetstream.MsgIDHeader); ValidID(id) {
		return id
	}
	return StreamName + "-" + strconv.FormatUint(sequence, 10)
}
