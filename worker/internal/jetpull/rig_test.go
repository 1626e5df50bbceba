package jetpull_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

const (
	testStream   = "WORK"
	testConsumer = "sms"
	testAckWait  = time.Minute
)

// rig is a work queue with one consumer on real servers.
type rig struct {
	*testing.T
	servers *natstest.Servers
	nc      *nats.Conn
	js      jetstream.JetStream
	// config is the consumer's configuration.
	config jetstream.ConsumerConfig
	// prefix is the API prefix.
	prefix string
}

func newRig(t *testing.T, servers, replicas int, tune ...func(*server.Options)) *rig {
	t.Helper()
	s := natstest.StartCluster(t, servers, tune...)
	nc := s.Connect("n0")
	r := &rig{
		T: t, servers: s, nc: nc, js: natstest.JetStream(t, nc), prefix: jetstream.DefaultAPIPrefix,
		config: jetstream.ConsumerConfig{Durable: testConsumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: testAckWait, MaxAckPending: 100_000},
	}
	natstest.Eventually(t, "there is a stream", func(ctx context.Context) error {
		_, err := r.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: testStream, Subjects: []string{"work.>"}, Retention: jetstream.WorkQueuePolicy, Replicas: replicas})
		return err
	})
	r.makeConsumer()
	return r
}

func (r *rig) makeConsumer() {
	r.Helper()
	natstest.Eventually(r, "there is a consumer", func(ctx context.Context) error {
		_, err := r.js.CreateOrUpdateConsumer(ctx, testStream, r.config)
		return err
	})
}

func (r *rig) deleteConsumer() {
	r.Helper()
	if err := r.js.DeleteConsumer(natstest.Context(r), testStream, testConsumer); err != nil {
		r.Fatal(err)
	}
}

// info returns what the server knows about the consumer.
func (r *rig) info() *jetstream.ConsumerInfo {
	r.Helper()
	var info *jetstream.ConsumerInfo
	natstest.Eventually(r, "the server tells of the consumer", func(ctx context.Context) error {
		c, err := r.js.Consumer(ctx, testStream, testConsumer)
		if err == nil {
			info = c.CachedInfo()
		}
		return err
	})
	return info
}

func (r *rig) puller(nc *nats.Conn, slots int) *jetpull.Puller {
	r.Helper()
	p, err := jetpull.New(jetpull.Options{
		Conn: nc, APIPrefix: r.prefix, Stream: testStream, Consumer: testConsumer,
		Created: r.info().Created, AckWait: r.config.AckWait, Slots: slots,
	})
	if err != nil {
		r.Fatal(err)
	}
	return p
}

func (r *rig) acker(nc *nats.Conn) *jetpull.Acker {
	r.Helper()
	a, err := jetpull.NewAcker(nc, 5*time.Second, time.Now)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(a.End)
	return a
}

// publish stores n messages.
func (r *rig) publish(n int) {
	r.Helper()
	const most = 1000 // at once
	for from := 0; from < n; from += most {
		var acks []jetstream.PubAckFuture
		for i := range min(most, n-from) {
			ack, err := r.js.PublishAsync(fmt.Sprintf("work.%d", from+i), []byte("body"))
			if err != nil {
				r.Fatal(err)
			}
			acks = append(acks, ack)
		}
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				r.Fatal(err)
			}
		}
	}
}

// next returns the next message.
func (r *rig) next(p *jetpull.Puller, wanted int) *jetpull.Message {
	r.Helper()
	m, err := p.Next(natstest.Context(r), nil, func() int { return wanted })
	if err != nil {
		r.Fatal(err)
	}
	return m
}

// requests returns a channel of the requests for messages that are made from now on.
func (r *rig) requests() <-chan *nats.Msg {
	r.Helper()
	asked := make(chan *nats.Msg, 1000)
	sub, err := r.nc.ChanSubscribe(r.prefix+"CONSUMER.MSG.NEXT."+testStream+"."+testConsumer, asked)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := r.nc.Flush(); err != nil {
		r.Fatal(err)
	}
	return asked
}

// wait receives from a channel.
func wait[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-natstest.Context(t).Done():
		t.Fatalf("%s: nothing came", what)
	}
	return v
}

// pulling calls Next until it fails, and passes on its messages and its error.
type pulling struct {
	messages chan *jetpull.Message
	wake     chan struct{}
	ended    chan error
}

func (r *rig) pull(p *jetpull.Puller, wanted func() int) *pulling {
	ctx, cancel := context.WithCancel(context.Background())
	pl := &pulling{messages: make(chan *jetpull.Message, 10_000), wake: make(chan struct{}, 1), ended: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := p.Next(ctx, pl.wake, wanted)
			if err != nil {
				pl.ended <- err
				return
			}
			if m != nil {
				pl.messages <- m
			}
		}
	}()
	r.Cleanup(func() {
		cancel()
		<-done
		p.End()
	})
	return pl
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("Next ended with %v, not with %v", got, want)
	}
}
