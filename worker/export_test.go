package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// stored returns a message as a worker receives it.
func stored(m *jetstream.RawStreamMsg) *jetpull.Message {
	return &jetpull.Message{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, StoredAt: m.Time}
}

// LedgerKey returns the key of a stored message's entry.
func LedgerKey(m *jetstream.RawStreamMsg) string { return recordOf(stored(m)).Key }

// LedgerPlace returns the place of a stored message, as the ledger writes it.
func LedgerPlace(m *jetstream.RawStreamMsg) ledger.Place { return placeOf(stored(m)) }

// ProviderID returns a stored message's name at the provider.
func ProviderID(id string, m *jetstream.RawStreamMsg) string {
	return providerID(id, stored(m), LedgerPlace(m))
}

// Remembers and Leader are what a worker asks the server that leads CODEFERRY.
func Remembers(ctx context.Context, js jetstream.JetStream) (time.Time, error) {
	return serverLife{js}.remembers(ctx)
}

func Leader(ctx context.Context, js jetstream.JetStream) (string, error) {
	return serverLife{js}.leader(ctx)
}
