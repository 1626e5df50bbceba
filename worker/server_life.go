package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// serverLife finds out how long the server that leads CODEFERRY has run. What the server
// keeps only in memory, such as the ids of publishes, it knows at least since it began to
// lead.
type serverLife struct {
	js jetstream.JetStream
}

// lifeName is a consumer of CODEFERRY_OUTCOMES that a single server keeps in memory. It is
// lost when the server ends, so the server has run since the consumer was made. It gets no
// messages.
const lifeName = "server-life"

// remembers returns since when CODEFERRY surely knows each id that was published: since
// the stream was made and the server has run or led. It is zero if that is not known.
func (l serverLife) remembers(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := l.stream(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if c := clusterOf(stream); c != nil {
		if c.LeaderSince == nil {
			return time.Time{}, nil
		}
		return later(stream.Created, *c.LeaderSince), nil
	}
	consumer, err := l.js.CreateConsumer(ctx, wire.OutcomesName, jetstream.ConsumerConfig{
		Durable: lifeName, Description: "codeferry: it is gone once the server has started again",
		FilterSubject: wire.OutcomeSubject("none", "none", messages.StatusSent),
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return time.Time{}, err
	}
	return later(stream.Created, consumer.CachedInfo().Created), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// errNoLeader means that the cluster has no leader for the stream at the moment.
var errNoLeader = errors.New("the stream has no leader")

// leader returns the server that leads CODEFERRY, and since when; empty if there is one
// server.
func (l serverLife) leader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := l.stream(ctx)
	if err != nil {
		return "", err
	}
	switch c := clusterOf(stream); {
	case c == nil:
		return "", nil
	case c.Leader == "":
		return "", errNoLeader
	case c.LeaderSince == nil:
		return c.Leader, nil
	default:
		return c.Leader + " " + c.LeaderSince.Format(time.RFC3339Nano), nil
	}
}

// clusterOf returns the cluster's information about a stream; nil if there is one server,
// which names itself as the leader.
func clusterOf(stream *jetstream.StreamInfo) *jetstream.ClusterInfo {
	if c := stream.Cluster; c != nil && c.Name != "" {
		return c
	}
	return nil
}

// stream returns the server's information about CODEFERRY.
func (l serverLife) stream(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := l.js.Stream(ctx, wire.StreamName)
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}
