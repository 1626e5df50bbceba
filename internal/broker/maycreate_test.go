package broker_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/natstest"
)

// TestAskToCreate: it finds the API where JetStream is, and creates nothing.
func TestAskToCreate(t *testing.T) {
	t.Parallel()
	nc, js := connect(t, natstest.Start(t).ClientURL())
	prefixed, err := jetstream.NewWithAPIPrefix(nc, "$JS.API")
	if err != nil {
		t.Fatal(err)
	}
	for _, js := range []jetstream.JetStream{js, prefixed} {
		if err := broker.AskToCreate(deadline(t), js); err != nil {
			t.Error(err)
		}
	}
	if info, err := js.AccountInfo(deadline(t)); err != nil || info.Streams != 0 {
		t.Errorf("%+v, %v: want no stream", info, err)
	}
}
