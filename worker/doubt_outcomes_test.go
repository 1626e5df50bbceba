package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// outcomesServer answers the tries to store the outcome of a doubt.
type outcomesServer struct {
	// answers are the answers, in order; the last one repeats. errNobody never comes.
	answers []error
	// tries are the times of the tries since the start, and names their Nats-Msg-Id.
	tries []time.Duration
	names []string
	began time.Time
	body  string
}

var errNobody = errors.New("nobody answers")

func (s *outcomesServer) publish(ctx context.Context, msg *nats.Msg) error {
	s.tries = append(s.tries, time.Since(s.began))
	s.names = append(s.names, msg.Header.Get(jetstream.MsgIDHeader))
	s.body = string(msg.Data)
	answer := s.answers[min(len(s.tries), len(s.answers))-1]
	if errors.Is(answer, errNobody) {
		<-ctx.Done()
		return ctx.Err()
	}
	return answer
}

// TestADoubtIsStored although the connection is lost, or nobody answers, and under one name.
func TestADoubtIsStored(t *testing.T) {
	t.Parallel()
	busy := func(code jetstream.ErrorCode) error {
		return &jetstream.APIError{Code: 503, ErrorCode: code, Description: "not now"}
	}
	full := &jetstream.APIError{Code: 400, Description: "maximum bytes exceeded"}
	for name, c := range map[string]struct {
		answers []error
		stopped bool // the worker has to end
		tries   int
		took    time.Duration
		lost    string // why it is lost
	}{
		"at once":                         {answers: []error{nil}, tries: 1},
		"the answer is lost":              {answers: []error{errNobody, nil}, tries: 2, took: time.Second},
		"two answers are lost":            {answers: []error{errNobody, errNobody, nil}, tries: 3, took: 3 * time.Second},
		"the connection is lost":          {answers: []error{nats.ErrReconnectBufExceeded, nats.ErrReconnectBufExceeded, nil}, tries: 3, took: 600 * time.Millisecond},
		"the stream is made again":        {answers: []error{errNobody, jetstream.ErrNoStreamResponse, nil}, tries: 3, took: 1300 * time.Millisecond},
		"the first try is in process":     {answers: []error{errNobody, busy(wire.CodeInProcess), nil}, tries: 3, took: 1300 * time.Millisecond},
		"the cluster is not available":    {answers: []error{busy(wire.CodeClusterNotAvailable), nil}, tries: 2, took: 300 * time.Millisecond},
		"nobody answers":                  {answers: []error{errNobody}, tries: 4, took: doubtTimeout, lost: "CODEFERRY_OUTCOMES has not confirmed it"},
		"no connection":                   {answers: []error{nats.ErrReconnectBufExceeded}, tries: 34, took: doubtTimeout, lost: "there is no connection to NATS"},
		"the stream refuses it":           {answers: []error{full}, tries: 1, lost: "maximum bytes exceeded"},
		"at once, while the worker ends":  {answers: []error{nil}, stopped: true, tries: 1},
		"no connection, and the end":      {answers: []error{nats.ErrReconnectBufExceeded, nil}, stopped: true, tries: 1, lost: "there is no connection to NATS"},
		"the answer is lost, and the end": {answers: []error{errNobody, nil}, stopped: true, tries: 1, took: time.Second, lost: "CODEFERRY_OUTCOMES has not confirmed it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &outcomesServer{answers: c.answers, began: time.Now()}
				lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost_total", Help: "Lost."})
				var log strings.Builder
				stored := ""
				r := &reporter{
					channel: messages.SMS, doubts: doubtOutcomes{s.publish}, now: time.Now, log: zerolog.New(&log), lost: lost, stored: func(subject string) { stored = subject },
					messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "messages_total", Help: "Messages."}, []string{"channel", "status", "reason", "connector"}),
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if c.stopped {
					stop()
				}
				d := fresh(t)
				d.history = attempts(1, sender.Unknown)
				r.report(ctx, d, verdict{action: actDoubt})
				check.Equal(t, "it took", time.Since(s.began), c.took)
				check.Equal(t, "tries", len(s.tries), c.tries)
				check.Equal(t, "names", len(slices.Compact(s.names)), 1)
				check.Equal(t, "it has a name", s.names[0] != "", true)
				contains(t, "body", s.body, `"status":"unknown"`)
				check.Equal(t, "stored", stored == "codeferry.outcome.default.sms.unknown", c.lost == "")
				check.Equal(t, "lost", testutil.ToFloat64(lost) == 1, c.lost != "")
				check.Equal(t, fmt.Sprintf("the log says that it may be lost: %s", log.String()), strings.Contains(log.String(), "the outcome may be lost"), c.lost != "")
				contains(t, "log", log.String(), c.lost)
				contains(t, "log", log.String(), `"message":"unknown"`)
			})
		})
	}
}

// TestADoubtThatIsNotPermitted: the health says why, and the doubt counts for none of the
// outcomes that wait for their confirmation.
func TestADoubtThatIsNotPermitted(t *testing.T) {
	t.Parallel()
	var w Worker
	p := &outcomePublisher{unconfirmed: 2, asked: 1, askedFor: "codeferry.outcome.a.sms.sent"}
	k := newKeeper(keeperOptions{now: time.Now})
	w.outcomes.Store(p)
	w.keeper.Store(k)
	const subject = "codeferry.outcome.a.sms.unknown"
	w.OutcomeDenied(subject)
	contains(t, "health", w.OutcomesLost(), "NATS does not permit this user to publish to "+subject)
	check.Equal(t, "unconfirmed", p.unconfirmed, 2)
	check.Equal(t, "asked", p.asked, 1)
	k.outcomesStored(subject)
	check.Equal(t, "health, once it is permitted", w.OutcomesLost(), "")
}
