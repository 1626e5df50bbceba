package jetpull

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// readInfo reads the server's answer about the consumer.
func (p *Puller) readInfo(msg *nats.Msg) error {
	c, err := readConsumer(msg)
	if err != nil {
		return err
	}
	if !c.created.Equal(p.o.Created) {
		return ErrConsumerGone // another consumer has its name
	}
	p.looking, p.since, p.o.Leader = false, p.active, c.leader
	return nil
}

// readLeader reads the server's answer about the leader. What the former leader has sent may
// still come, so the requests count until End has waited for them.
func (p *Puller) readLeader(msg *nats.Msg) error {
	c, err := readConsumer(msg)
	switch {
	case errors.Is(err, ErrConsumerGone):
		return ErrRenew // a leader that ends says the same, so the caller has to look again
	case err != nil: // see below
	case !c.created.Equal(p.o.Created):
		return ErrConsumerGone // another consumer has its name
	case c.leader != p.o.Leader:
		return ErrRenew
	}
	return nil //nolint:nilerr // the leader is busy, or nobody leads it yet and the Puller asks again
}

// consumer is what the server says about the consumer.
type consumer struct {
	created time.Time
	// leader is empty if it has no replicas.
	leader string
}

// readConsumer reads the server's answer about the consumer.
func readConsumer(msg *nats.Msg) (c consumer, err error) {
	if isStatus(msg) {
		return c, errNoLeader
	}
	var info struct {
		Created time.Time `json:"created"`
		Cluster struct {
			Leader string `json:"leader"`
		} `json:"cluster"`
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(msg.Data, &info); {
	case err != nil:
		return c, fmt.Errorf("ask about the consumer: %w", err)
	case info.Error != nil && info.Error.Code == 404:
		return c, ErrConsumerGone
	case info.Error != nil:
		return c, fmt.Errorf("ask about the consumer: %s", info.Error.Description)
	case info.Created.IsZero():
		return c, errors.New("ask about the consumer: the answer does not say when it was made")
	}
	return consumer{info.Created, info.Cluster.Leader}, nil
}
