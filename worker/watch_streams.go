package worker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
)

// watchedStreams are the streams whose sizes are metrics.
var watchedStreams = [...]string{wire.StreamName, wire.OutcomesName, wire.DeadName, wire.LedgerStream}

// streamWatchEvery is the interval at which codeferry_stream_bytes is updated.
const streamWatchEvery = 15 * time.Second

// streamSize is how much a stream holds and may hold, in bytes. A limit of -1 is none.
type streamSize struct{ bytes, limit float64 }

// streamWatcher keeps the metrics of the streams' sizes up to date.
type streamWatcher struct {
	size    func(ctx context.Context, stream string) (streamSize, error)
	metrics *Metrics
	every   time.Duration
}

func (w streamWatcher) run(ctx context.Context) { repeat(ctx, w.every, w.look) }

// look asks for each size. If the server does not say, the gauges keep their values.
func (w streamWatcher) look(ctx context.Context) {
	for _, stream := range watchedStreams {
		size, err := w.size(ctx, stream)
		if err != nil {
			continue
		}
		w.metrics.streamBytes.WithLabelValues(stream).Set(size.bytes)
		w.metrics.streamMaxBytes.WithLabelValues(stream).Set(size.limit)
	}
}

// sizeOf asks JetStream.
func sizeOf(js jetstream.JetStream) func(context.Context, string) (streamSize, error) {
	return func(ctx context.Context, name string) (streamSize, error) {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return streamSize{}, err
		}
		info := stream.CachedInfo() // Stream has just fetched it
		return streamSize{bytes: float64(info.State.Bytes), limit: float64(info.Config.MaxBytes)}, nil
	}
}
