package bench_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/bench"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
			if r.Messages != o.Messages || r.Sent != o.Messages || r.Dead != 0 || r.Twice != 0 || last != o.Messages || r.PerSecond <= 0 {
				t.Errorf("%+v", r)
			}
			if r.P50MS <= 0 || r.P99MS < r.P50MS || r.MaxMS < r.P99MS || r.CPUMicros <= 0 {
				t.Errorf("%+v", r)
			}
			if faulty := o.Faults > 0; faulty != (r.Requests > r.Messages) {
				t.Errorf("%d requests for %d messages", r.Requests, r.Messages)
			}
			if text := r.String(); !strings.Contains(text, "█") || !strings.Contains(text, "p99") {
				t.Error(text)
			}
		})
	}
}

// TestRunTouchesNobodysStreams: a server that has codeferry's streams may hold codes
// that people wait for.
func TestRunTouchesNobodysStreams(t *testing.T) {
	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	nc, err := broker.Connect(broker.Target{URL: server.URL(), Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bench.Run(t.Context(), bench.Options{NATS: server.URL(), Messages: 10}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Stream(t.Context(), messages.StreamName); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("after a run: %v", err)
	}
	if err := broker.Provision(t.Context(), js, messages.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.Run(t.Context(), bench.Options{NATS: server.URL(), Messages: 10}); !errors.Is(err, bench.ErrInUse) {
		t.Errorf("over streams that are there: %v", err)
	}
	if _, err := js.Stream(t.Context(), messages.StreamName); err != nil {
		t.Errorf("the stream has gone: %v", err)
	}
}

// TestAllocationsAMessage bounds what a message costs the whole process: publisher,
// server, worker and provider. Allocations are stable where times are not, but for
// what is done once in a while; a change that adds a fifth to them is seen here.
func TestAllocationsAMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates too")
	}
	for name, c := range map[string]struct {
		o     bench.Options
		bound float64
	}{
		"SMS":         {bench.Options{Messages: 3000, Claims: "off"}, 205},
		"SMS, claims": {bench.Options{Messages: 3000, Claims: "on"}, 345},
		"mail":        {bench.Options{Messages: 3000, Claims: "off", Channel: messages.Email}, 255},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := bench.Run(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.0f allocations, %.1f KiB", r.Allocs, r.Bytes/1024)
			if r.Allocs > c.bound {
				t.Errorf("%.0f allocations a message, and the bound is %.0f", r.Allocs, c.bound)
			}
		})
	}
}
