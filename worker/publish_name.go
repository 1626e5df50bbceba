package worker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// publish identifies one publish: the same Nats-Msg-Id on the same subject, as in the
// stream's own search for duplicates. Without such an id it identifies one stored message.
// It does not depend on the body.
type publish [8]byte

func publishOf(m *jetpull.Message) (p publish) {
	var memory [256]byte // enough for most subjects
	b := append(memory[:0], "codeferry publish\x00"...)
	if id := m.Header.Get(jetstream.MsgIDHeader); id != "" {
		b = append(append(append(b, id...), 0), m.Subject...)
	} else {
		b = binary.BigEndian.AppendUint64(b, m.Sequence)
		b = binary.BigEndian.AppendUint64(b, uint64(m.StoredAt.UnixNano()))
	}
	sum := sha256.Sum256(b)
	copy(p[:], sum[:])
	return p
}

// String returns 16 hexadecimal digits, the form in outcomes.
func (p publish) String() string { return hex.EncodeToString(p[:]) }

// parsePublish reads the form that String returns.
func parsePublish(s string) (p publish, ok bool) {
	n, err := hex.Decode(p[:], []byte(s[:min(len(s), 2*len(p))]))
	return p, err == nil && n == len(p) && len(s) == 2*len(p)
}
