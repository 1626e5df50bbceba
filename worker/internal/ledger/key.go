package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Key returns the key of a message's entry.
//
// Two messages with the same Nats-Msg-Id, subject and body are one publish that was
// repeated. The stream stores it once. But a server that crashed may have forgotten that,
// and may store it again: then both messages have the same key. Every other message has a
// key of its own.
func Key(msgID, subject string, body []byte, p Place) string {
	if msgID == "" {
		return strconv.FormatUint(p.Sequence, 10) + "-" + strconv.FormatInt(p.StoredAt, 10)
	}
	var memory [1024]byte // enough for most messages
	b := append(append(memory[:0], msgID...), 0)
	b = append(append(b, subject...), 0)
	sum := sha256.Sum256(append(b, body...))
	return hex.EncodeToString(sum[:16])
}
