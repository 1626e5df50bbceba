package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// An id belongs to the publisher and can be used again. What codeferry remembers about a
// message belongs to one stored message: to its place in the stream.

func placeOf(m *jetpull.Message) ledger.Place {
	return ledger.Place{Sequence: m.Sequence, StoredAt: m.StoredAt.UnixNano()}
}

// recordOf returns the record of the message's ledger entry, before the ledger was read.
func recordOf(m *jetpull.Message) ledger.Record {
	p := placeOf(m)
	return ledger.Record{Key: ledger.Key(m.Header.Get(jetstream.MsgIDHeader), m.Subject, m.Data, p), Place: p, Delivery: m.Delivered, Consumer: m.Consumer.UnixNano()}
}

// providerID returns the message's name at a provider that takes one, such as Aliyun's
// OutId. It is the id, so that an operator finds it in the provider's console, and a token
// that belongs to the stored message. Nobody can guess the token without the message, so a
// receipt with it can be trusted. Every worker makes the same token.
func providerID(id string, m *jetpull.Message, first ledger.Place) string {
	const token = 12      // bytes
	var memory [1024]byte // enough for most messages
	b := append(memory[:0], "codeferry provider id\x00"...)
	b = append(strconv.AppendUint(b, first.Sequence, 10), 0)
	b = append(strconv.AppendInt(b, first.StoredAt, 10), 0)
	b = append(append(b, m.Subject...), 0)
	sum := sha256.Sum256(append(b, m.Data...))
	name := make([]byte, 0, len(id)+1+2*token)
	return string(hex.AppendEncode(append(append(name, id...), '-'), sum[:token]))
}
