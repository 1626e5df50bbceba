package worker

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// deadWatchEvery is the interval at which codeferry_dead_letters is updated.
const deadWatchEvery = 15 * time.Second

// deadWatcher keeps codeferry_dead_letters of a channel up to date.
type deadWatcher struct {
	// counts returns how many dead letters each subject of the filter has.
	counts func(ctx context.Context, filter string) (map[string]uint64, error)
	// channel is the dead letters' channel, and gauges are theirs by reason.
	channel messages.Channel
	gauges  map[messages.Reason]prometheus.Gauge
	every   time.Duration
}

func (w deadWatcher) run(ctx context.Context) { repeat(ctx, w.every, w.look) }

// look counts them. If the server does not say, the gauges keep their values.
func (w deadWatcher) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	counts, err := w.counts(ctx, wire.DeadSubject("*", w.channel, "*"))
	if err != nil {
		return
	}
	of := make(map[messages.Reason]uint64)
	for subject, n := range counts {
		of[messages.Reason(subject[strings.LastIndexByte(subject, '.')+1:])] += n
	}
	for reason, gauge := range w.gauges {
		gauge.Set(float64(of[reason]))
	}
}

// deadCounts asks the stream of dead letters.
func deadCounts(js jetstream.JetStream) func(context.Context, string) (map[string]uint64, error) {
	return func(ctx context.Context, filter string) (map[string]uint64, error) {
		stream, err := js.Stream(ctx, wire.DeadName)
		if err != nil {
			return nil, err
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err != nil {
			return nil, err
		}
		return info.State.Subjects, nil
	}
}
