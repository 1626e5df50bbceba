package jetpull

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestReadCreated(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer  *nats.Msg
		want    string
		err     error
		message string
	}{
		{answer: info(`{"type":"io.nats.jetstream.api.v1.consumer_info_response","name":"sms","created":"2026-11-21T12:00:00.123456789Z"}`), want: "2026-11-21T12:00:00.123456789Z"},
		{answer: info(`{"created":"2026-11-21T20:00:00+08:00"}`), want: "2026-11-21T12:00:00Z"},
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
		got, err := readCreated(tt.answer)
		switch {
		case tt.want != "":
			if err != nil || got.UTC().Format(time.RFC3339Nano) != tt.want {
				t.Errorf("%s: got the time %v and the error %v, want %s", tt.answer.Data, got, err, tt.want)
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
