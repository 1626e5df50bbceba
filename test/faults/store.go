package faults

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// FullStore fills JetStream's store with another stream until nothing more fits; later the
// stream is purged.
const FullStore Kind = "full stores"

// storeSize is the size of a server's store in a plan that fills it: the sizes of codeferry's
// streams, and some room for the neighbor.
const storeSize = allBytes + 32<<20

var storeFaults = []fault{{
	kind: FullStore, doubts: everyWorker,
	fits:    func(p Plan) bool { return p.Broker == R1 }, // nobody else uses the embedded server, and a cluster behaves the same
	moments: func(p Plan) []moment { return p.spread(FullStore, p.far(), 3*time.Second, 2*time.Second) },
	begin: func(ctx context.Context, r *run, _ int, _ moment) (func() error, error) {
		from := time.Now()
		if err := r.fill(ctx); err != nil {
			return nil, err
		}
		over := r.diary.begin(from, FullStore, "the store full")
		return func() error {
			defer over()
			return within(ctx, patience, "purge stream "+neighborStream, func(ctx context.Context) error {
				s, err := r.js.Stream(ctx, neighborStream)
				if err != nil {
					return err
				}
				return s.Purge(ctx)
			})
		}, nil
	},
}}

const (
	// neighborStream is the other stream.
	neighborStream = "NEIGHBOR"
	// noStorage is JetStream's error for a store that is full.
	noStorage = jetstream.ErrorCode(10023)
	noSpace   = jetstream.ErrorCode(10047)
)

// fill fills the store with big messages, and then with smaller and smaller ones.
func (r *run) fill(ctx context.Context) error {
	if err := within(ctx, patience, "make stream "+neighborStream, func(ctx context.Context) error {
		_, err := r.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: neighborStream, Subjects: []string{"neighbor"}, Replicas: r.replicas()})
		return err
	}); err != nil {
		return err
	}
	for size := 512 << 10; size >= 64; size /= 8 {
		msg := &nats.Msg{Subject: "neighbor", Data: make([]byte, size)}
		for full := false; !full; {
			if err := within(ctx, patience, "fill stream "+neighborStream, func(ctx context.Context) error {
				_, err := r.js.PublishMsg(ctx, msg)
				if is := (*jetstream.APIError)(nil); errors.As(err, &is) && (is.ErrorCode == noStorage || is.ErrorCode == noSpace) {
					full = true
					return nil
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
