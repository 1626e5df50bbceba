package messages

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// Reissue asks an auth service for a new code: the old one has expired, and the user may
// still wait. [OnReissue] takes the requests.
type Reissue struct {
	// ID is the id of the message whose code has expired. Do not use it for the new code:
	// the stream could drop the new code as a duplicate ([Ack].Duplicate).
	ID      string  `json:"id"`
	App     string  `json:"app"`
	Channel Channel `json:"channel"`
	Type    Type    `json:"type"`
	// Key is the key of the message's subject: the opaque id of the user.
	Key string `json:"key"`
	// To is the masked recipient.
	To     string    `json:"to,omitempty"`
	DeadAt time.Time `json:"deadAt"`
}

// OnReissue calls f with each request for a new code of an app ("*" for every app), one at a
// time. f makes the code and publishes it. When f returns nil, the request is done and its
// dead letter is erased. If f returns an error, its text goes to the operator who asked, so
// it must hold neither a code nor an address. The instances of one group share the requests.
// group is required: without it each instance would make a code. A request that gets no
// answer in time may come again: the newer code supersedes the older one.
//
// OnReissue returns when the server has the subscription; end it with Unsubscribe or Drain.
// It passes ctx to f, and the end of ctx does not end the subscription. The error is a
// *[FieldError] if app or group is wrong, and otherwise an error of nats.go.
func OnReissue(ctx context.Context, nc *nats.Conn, app, group string, f func(context.Context, Reissue) error) (*nats.Subscription, error) {
	if app != protocol.Any {
		if err := fieldError("app", protocol.AppProblem(app)); err != nil {
			return nil, err
		}
	}
	if group == "" {
		return nil, &FieldError{"group", "is empty; it takes a name that the service's instances share"}
	}
	sub, err := nc.QueueSubscribe(protocol.ReissuePrefix+app+".*.*.*", group, func(m *nats.Msg) {
		answer := protocol.ReissueDone
		var r Reissue
		if err := json.Unmarshal(m.Data, &r); err != nil {
			answer = "the request is not JSON"
		} else if err := f(ctx, r); err != nil {
			answer = err.Error()
		}
		_ = m.Respond([]byte(answer)) // if it fails, the request comes again
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to reissues of app %s: %w", app, err)
	}
	if err := nc.Flush(); err != nil {
		return nil, fmt.Errorf("subscribe to reissues of app %s: %w", app, err)
	}
	return sub, nil
}
