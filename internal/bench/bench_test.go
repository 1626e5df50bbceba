package bench_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/bench"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

func TestRunCountsWhatWasSettled(t *testing.T) {
	for name, o := range map[string]bench.Options{
		"a backlog of SMS":   {Messages: 500},
		"a backlog of mails": {Messages: 500, Channel: messages.Email, Sealed: true},
		"at a rate":          {Messages: 100, Rate: 500, Latency: 5 * time.Millisecond},
		"mails with faults":  {Messages: 200, Channel: messages.Email, Faults: 0.05, Seed: 7},
	} {
		t.Run(name, func(t *testing.T) {
			last := 0
			o.Progress = func(n, _ int) { last = n }
			r, err := bench.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			check.Equal(t, "Messages", r.Messages, o.Messages)
			check.Equal(t, "Sent", r.Sent, o.Messages)
			check.Equal(t, "Dead", r.Dead, 0)
			check.Equal(t, "Twice", r.Twice, 0)
			check.Equal(t, "the last progress", last, o.Messages)
			check.True(t, "PerSecond > 0", r.PerSecond > 0, r.PerSecond)
			check.True(t, "P50MS > 0", r.P50MS > 0, r.P50MS)
			check.True(t, "P50MS <= P99MS <= MaxMS", r.P50MS <= r.P99MS && r.P99MS <= r.MaxMS, r)
			check.True(t, "CPUMicros > 0", r.CPUMicros > 0, r.CPUMicros)
			if faulty := o.Faults > 0; faulty != (r.Requests > r.Messages) {
				t.Errorf("%d requests for %d messages", r.Requests, r.Messages)
			}
			if text := r.String(); !strings.Contains(text, "█") || !strings.Contains(text, "p99") {
				t.Error(text)
			}
		})
	}
}

// TestRunTouchesNobodysStreams: Run refuses a server that has codeferry's streams, because
// they may hold codes that people wait for.
func TestRunTouchesNobodysStreams(t *testing.T) {
	server := testrig.Server(t)
	js, err := jetstream.New(testrig.Connect(t, server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bench.Run(t.Context(), bench.Options{NATS: broker.Target{URL: server.URL()}, Messages: 10}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), wire.StreamName); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("after a run: %v", err)
	}
	if err := broker.Provision(t.Context(), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.Run(t.Context(), bench.Options{NATS: broker.Target{URL: server.URL()}, Messages: 10}); !errors.Is(err, bench.ErrInUse) {
		t.Errorf("over streams that are there: %v", err)
	}
	if _, err := js.Stream(t.Context(), wire.StreamName); err != nil {
		t.Errorf("the stream has gone: %v", err)
	}
}
