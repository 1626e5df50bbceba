package messages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const reissuePrefix = "codeferry.reissue."

// Reissue asks an auth service for a new code: the old one has expired, and its
// user may still be waiting.
type Reissue struct {
	// ID is that of the message whose code has expired.
	ID      string  `json:"id"`
	App     string  `json:"app"`
	Channel Channel `json:"channel"`
	Type    Type    `json:"type"`
	// Key says for whom, as it was published.
	Key string `json:"key"`
	// To is the masked recipient.
	To     string    `json:"to,omitempty"`
	DeadAt time.Time `json:"deadAt"`
}

// Subject returns codeferry.reissue.<app>.<channel>.<type>.<key>.
func (r Reissue) Subject() string {
	return reissuePrefix + r.App + "." + string(r.Channel) + "." + string(r.Type) + "." + r.Key
}

// ErrNobodyListens says that no auth service has subscribed to an app's reissues,
// or that none has taken one in time.
var ErrNobodyListens = errors.New("no auth service takes the request for a new code")

// ErrReissueRefused says that an auth service makes no new code; what it said
// stands behind it.
var ErrReissueRefused = errors.New("the auth service makes no new code")

// reissueDone is the answer of a service that has taken a request; any other
// text says why it has not.
const reissueDone = "ok"

// OnReissue calls f with each request for a new code of an app ("*" for every
// app), one at a time. f makes the code and publishes it; when it returns nil the
// request is done, and its dead letter goes. What it returns otherwise is told to
// whoever asked, and must hold neither a code nor an address. The services of one
// group share the requests; without a group each would make a code, and it is
// refused. A request that was not answered in time is made again: the newer code
// replaces the older one.
//
// It returns when the subscription stands; end it with Unsubscribe or Drain. ctx
// is what f is given, and ends nothing else.
func OnReissue(ctx context.Context, nc *nats.Conn, app, group string, f func(context.Context, Reissue) error) (*nats.Subscription, error) {
	if app != "*" {
		if err := checkApp(app); err != nil {
			return nil, err
		}
	}
	if group == "" {
		return nil, &FieldError{"group", "is empty; it takes a name that the service's instances share"}
	}
	sub, err := nc.QueueSubscribe(reissuePrefix+app+".*.*.*", group, func(m *nats.Msg) {
		answer := reissueDone
		var r Reissue
		if err := json.Unmarshal(m.Data, &r); err != nil {
			answer = "the request is no JSON"
		} else if err := f(ctx, r); err != nil {
			answer = err.Error()
		}
		_ = m.Respond([]byte(answer)) // whoever asked has gone, and asks again
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to reissues of app %s: %w", app, err)
	}
	if err := nc.Flush(); err != nil {
		return nil, fmt.Errorf("subscribe to reissues of app %s: %w", app, err)
	}
	return sub, nil
}

// RequestReissue asks an app's auth service for a new code, and waits until it has
// taken the request. The error wraps ErrNobodyListens where nobody answers, and
// ErrReissueRefused where the service has answered that it makes none.
func RequestReissue(ctx context.Context, nc *nats.Conn, r Reissue) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("ask for a new code: %w", err)
	}
	m, err := nc.RequestWithContext(ctx, r.Subject(), body)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask for a new code: %w", ErrNobodyListens)
	case err != nil:
		return fmt.Errorf("ask for a new code: %w", err)
	case string(m.Data) != reissueDone:
		return fmt.Errorf("ask for a new code: %w: %s", ErrReissueRefused, m.Data)
	}
	return nil
}
