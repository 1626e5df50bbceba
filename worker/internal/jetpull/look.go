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
	created, err := readCreated(msg)
	if err != nil {
		return err
	}
	if !created.Equal(p.o.Created) {
		return ErrConsumerGone // another consumer has its name
	}
	p.looking, p.since = false, p.active
	return nil
}

// readCreated reads, from the server's answer, when the consumer was made.
func readCreated(msg *nats.Msg) (time.Time, error) {
	if isStatus(msg) {
		return time.Time{}, errNoLeader
	}
	var info struct {
		Created time.Time `json:"created"`
		Error   *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(msg.Data, &info); {
	case err != nil:
		return time.Time{}, fmt.Errorf("ask about the consumer: %w", err)
	case info.Error != nil && info.Error.Code == 404:
		return time.Time{}, ErrConsumerGone
	case info.Error != nil:
		return time.Time{}, fmt.Errorf("ask about the consumer: %s", info.Error.Description)
	case info.Created.IsZero():
		return time.Time{}, errors.New("ask about the consumer: the answer does not say when it was made")
	}
	return info.Created, nil
}
