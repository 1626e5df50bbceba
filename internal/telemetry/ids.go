package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"

	"github.com/codeferry/codeferry/worker"
)

// messageIDs are the ids of a message's first span, which all its deliveries have as their
// parent. They are made from the message's place in the stream, so that every worker makes
// the same ones and the deliveries of a message are in one trace, although no worker tells
// another about it.
type messageIDs struct {
	// trace counts only without a parent.
	trace trace.TraceID
	span  trace.SpanID
}

func idsOf(m worker.Taken) (ids messageIDs) {
	var memory [64]byte
	b := binary.BigEndian.AppendUint64(append(memory[:0], "codeferry trace\x00"...), m.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(m.StoredAt.UnixNano()))
	sum := sha256.Sum256(b)
	copy(ids.trace[:], sum[:])
	copy(ids.span[:], sum[len(ids.trace):])
	return ids
}

type idsKey struct{}

// withIDs returns a context in which generator gives these ids to the next span.
func withIDs(ctx context.Context, ids messageIDs) context.Context {
	return context.WithValue(ctx, idsKey{}, ids)
}

// generator makes the ids of spans: those of the context, or random ones.
type generator struct{}

// NewIDs implements sdktrace.IDGenerator for a span without a parent.
func (generator) NewIDs(ctx context.Context) (t trace.TraceID, s trace.SpanID) {
	if ids, ok := ctx.Value(idsKey{}).(messageIDs); ok {
		return ids.trace, ids.span
	}
	binary.BigEndian.PutUint64(t[:8], random())
	binary.BigEndian.PutUint64(t[8:], random())
	return t, randomSpan()
}

// NewSpanID implements sdktrace.IDGenerator for a span with a parent.
func (generator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if ids, ok := ctx.Value(idsKey{}).(messageIDs); ok {
		return ids.span
	}
	return randomSpan()
}

func randomSpan() (s trace.SpanID) {
	binary.BigEndian.PutUint64(s[:], random())
	return s
}

// random returns a random number that is not 0, because zeros are no id.
func random() uint64 { return rand.Uint64() | 1 } //nolint:gosec // an id of a span is not a secret
