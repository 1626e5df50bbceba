package jetpull

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestReadConsumer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer  *nats.Msg
		want    string
		leader  string
		err     error
		message string
	}{
		{answer: info(`{"type":"io.nats.jetstream.api.v1.consumer_info_response","name":"sms","created":"2026-11-21T12:00:00.123456789Z"}`), want: "2026-11-21T12:00:00.123456789Z"},
		{answer: info(`{"created":"2026-11-21T20:00:00+08:00"}`), want: "2026-11-21T12:00:00Z"},
		{answer: info(`{"created":"2026-11-21T12:00:00Z","cluster":{"name":"c","leader":"n2"}}`), want: "2026-11-21T12:00:00Z", leader: "n2"},
		{answer: info(`{"error":{"code":404,"err_code":10014,"description":"consumer not found"}}`), err: ErrConsumerGone},
		{answer: info(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`), err: ErrConsumerGone},
		{answer: info(`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`), message: "JetStream system temporarily unavailable"},
		{answer: info(`{"error":{"code":500,"description":"consumer is offline"}}`), message: "consumer is offline"},
		{answer: word("inbox", "503"), err: errNoLeader},
		{answer: info(`{}`), message: "when it was made"},
		{answer: info(`null`), message: "when it was made"},
		{answer: info(`{"created":"yesterday"}`), message: "ask about the consumer: parsing time"},
		{answer: info(`{"created":"2026-11-21T12:00:00Z"`), message: "ask about the consumer: "},
		{answer: info(`{"created":"2026-11-21T12:00:00Z","error":"none"}`), message: "ask about the consumer: "},
		{answer: info(``), message: "ask about the consumer: "},
	} {
		c, err := readConsumer(tt.answer)
		got := c.created
		switch {
		case tt.want != "":
			if err != nil || got.UTC().Format(time.RFC3339Nano) != tt.want || c.leader != tt.leader {
				t.Errorf("%s: got the time %v, the leader %q and the error %v, want %s and %q", tt.answer.Data, got, c.leader, err, tt.want, tt.leader)
			}
		case tt.err != nil:
			if !errors.Is(err, tt.err) {
				t.Errorf("%s: got the error %v, want %v", tt.answer.Data, err, tt.err)
			}
		case err == nil || !strings.Contains(err.Error(), tt.message) || errors.Is(err, ErrConsumerGone):
			t.Errorf("%s: got the error %v, want one that says %q", tt.answer.Data, err, tt.message)
		}
	}
}

func info(data string) *nats.Msg { return &nats.Msg{Subject: "inbox", Data: []byte(data)} }

// TestSilenceOfALeader: after a second without a word the Puller asks who leads the consumer.
// Only another leader, or another consumer, ends the requests.
func TestSilenceOfALeader(t *testing.T) {
	t.Parallel()
	const created = `"created":"1970-01-01T00:01:40Z"`
	for name, tt := range map[string]struct {
		leader string
		answer *nats.Msg
		err    error
		after  time.Duration
		asks   int
	}{
		"another leads":               {"n1", about(`{` + created + `,"cluster":{"leader":"n2"}}`), ErrRenew, askLeaderAfter + beat, 1},
		"the same, which is busy":     {"n1", about(`{` + created + `,"cluster":{"leader":"n1"}}`), ErrRenew, silent + beat, 6},
		"nobody":                      {"n1", nil, ErrRenew, silent + beat, 6},
		"nobody, and another says so": {"n1", word(testInbox+forLeader, "503"), ErrRenew, silent + beat, 6},
		"it can't be answered":        {"n1", about(`{"error":{"code":503,"description":"no leader"}}`), ErrRenew, silent + beat, 6},
		"the consumer is gone":        {"n1", about(`{"error":{"code":404,"description":"consumer not found"}}`), ErrRenew, askLeaderAfter + beat, 1},
		"another consumer":            {"n1", about(`{"created":"1970-01-01T00:01:41Z","cluster":{"leader":"n1"}}`), ErrConsumerGone, askLeaderAfter + beat, 1},
		"a consumer without replicas": {"", nil, ErrRenew, silent + beat, 0},
	} {
		inBubble(t, func(b *bench) {
			b.o.Leader, b.conn.leader = tt.leader, tt.answer
			b.conn.to = b.incoming
			b.idle(time.Millisecond, 16)
			heard := b.heard
			_, err := b.pull(time.Minute, 16)
			if !errors.Is(err, tt.err) {
				b.Errorf("%s: Next ended with %v, want %v", name, err, tt.err)
			}
			if took := time.Since(heard); took < tt.after || took > tt.after+2*beat {
				b.Errorf("%s: it ended after %v, want %v", name, took, tt.after)
			}
			// A beat that comes at the same time as something else can be missed.
			if asks := b.conn.looks(testInbox + forLeader); asks != tt.asks && (tt.asks < 2 || asks != tt.asks+1) {
				b.Errorf("%s: it asked %d times who leads, want %d or, if that is many, one more", name, asks, tt.asks)
			}
			if want := map[bool]int{true: 16}[tt.asks == 1 && tt.err == ErrRenew]; tt.err == ErrRenew && b.Asked() != want { //nolint:errorlint // as it stands in the table
				b.Errorf("%s: %d messages are still asked for, want %d", name, b.Asked(), want)
			}
		})
	}
}

// about is the answer to the question who leads the consumer.
func about(data string) *nats.Msg {
	return &nats.Msg{Subject: testInbox + forLeader, Data: []byte(data)}
}

// TestAnswersToTheLook: a server that knows no leader can answer beside the leader, and an earlier
// question can be answered late. What is asked for stays so.
func TestAnswersToTheLook(t *testing.T) {
	t.Parallel()
	look := func(data string) *nats.Msg { return &nats.Msg{Subject: testInbox + forConsumer, Data: []byte(data)} }
	const first = `{"created":"1970-01-01T00:01:40Z","cluster":{"leader":"n2"}}`
	for name, tt := range map[string]struct {
		second *nats.Msg
		err    error
	}{
		"the same again":   {look(first), context.DeadlineExceeded},
		"no leader":        {look(`{"error":{"code":503,"description":"JetStream system temporarily unavailable"}}`), context.DeadlineExceeded},
		"nobody":           {word(testInbox+forConsumer, "503"), context.DeadlineExceeded},
		"another leader":   {look(`{"created":"1970-01-01T00:01:40Z","cluster":{"leader":"n3"}}`), ErrRenew},
		"another consumer": {look(`{"created":"1970-01-01T00:01:41Z","cluster":{"leader":"n2"}}`), ErrConsumerGone},
	} {
		inBubble(t, func(b *bench) {
			b.o.Leader, b.looking = "n1", true // n2 leads it by now
			b.incoming <- look(first)
			b.incoming <- tt.second
			_, err := b.pull(500*time.Millisecond, 16)
			if !errors.Is(err, tt.err) {
				b.Errorf("%s: Next ended with %v, want %v", name, err, tt.err)
			}
			if want := map[bool]int{true: 16}[tt.err != ErrConsumerGone]; b.Asked() != want { //nolint:errorlint // as it stands in the table
				b.Errorf("%s: %d messages are asked for, want %d", name, b.Asked(), want)
			}
		})
	}
}
