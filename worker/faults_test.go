package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker"
)

func TestThousandsOverSixteenSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	const n = 2000
	const publishers = 64 // enough to keep the server busy, but not for seconds
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := p; i < n; i += publishers {
				r.sms(i, "")
				r.email(i, "")
			}
		})
	}
	wg.Wait()
	sent := make(map[string]int)
	stalled := time.NewTimer(patience)
	defer stalled.Stop()
	for len(sent) < 2*n {
		select {
		case o := <-r.outcomes:
			stalled.Reset(patience)
			sent[o.ID]++
			check.Equal(t, o.ID+": status", o.Status, messages.StatusSent)
			check.Equal(t, o.ID+": outcomes", sent[o.ID], 1)
		case <-stalled.C:
			t.Fatalf("no outcome for %v, %d of %d sent\n%s", patience, len(sent), 2*n, r.log.String())
		}
	}
	if got := r.box.Requests(); got["SendSms"] != n || got["SingleSendMail"] != n {
		t.Errorf("requests: %v", got)
	}
	r.empty()
}

func TestTheMessageOutlivesADeadLetterThatCannotBeStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	if err := r.js.DeleteStream(r.ctx(), wire.DeadName); err != nil {
		t.Fatal(err)
	}
	r.fault(fakealiyun.Fault{Code: "isv.MOBILE_NUMBER_ILLEGAL"})
	// Ensure makes a stream that is missing, so this one is deleted once the worker runs.
	r.start()
	if err := r.js.DeleteStream(r.ctx(), wire.DeadName); err != nil {
		t.Fatal(err)
	}
	id := r.sms(1, "")
	r.eventually("the dead letter was refused", func() bool {
		return strings.Contains(r.log.String(), "the dead letter could not be stored")
	})
	// The keeper also makes it, some seconds later, so it may exist by now.
	if _, err := r.js.CreateStream(r.ctx(), wire.StreamConfigs(wire.StreamOptions{})[2]); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		t.Fatal(err)
	}
	o := r.story(id)
	check.Equal(t, "reason", o[len(o)-1].Reason, messages.ReasonRejected)
	r.empty()
	if n := len(one(t, "dead letters", r.dead()).Attempts); n < 2 {
		t.Errorf("the dead letter has %d attempts, want at least 2", n)
	}
	if n := r.box.Requests()["QuerySendDetails"]; n > 0 {
		t.Errorf("a message that was refused became one in doubt: %d questions", n)
	}
}

func TestADeadLetterIsNotLostForAnotherOfTheSameID(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	for i := range 2 {
		r.publish(fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", i), `{"id":"same","to":"","type":"SignIn","payload":{}}`)
		r.story("same")
	}
	r.empty()
	check.Equal(t, "dead letters of two messages", len(r.dead()), 2)
}

func TestAConsumerThatGoesIsMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	r.story(r.sms(1, ""))
	if err := r.js.DeleteConsumer(r.ctx(), wire.StreamName, "sms"); err != nil {
		t.Fatal(err)
	}
	r.story(r.sms(2, ""))
	if err := r.js.DeleteStream(r.ctx(), wire.StreamName); err != nil {
		t.Fatal(err)
	}
	r.eventually("the stream exists again", func() bool {
		_, err := r.js.Consumer(r.ctx(), wire.StreamName, "sms")
		return err == nil
	})
	r.story(r.sms(3, ""))
	check.Equal(t, "accepted messages", len(r.box.Inbox("")), 3)
}

// TestShutdown stops a worker whose slots all wait for the provider, with more messages
// pulled than there are slots: messages that have begun are finished, the rest is put
// back, and the next worker sends the rest without doubt.
func TestShutdown(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) { c.Worker.Concurrency = 4 })
	r.fault(fakealiyun.Fault{Latency: 2 * time.Second, Count: 4}) // long enough to be seen under way
	stop := r.start()
	const n = 40
	for i := range n {
		r.sms(i, "")
	}
	r.eventually("four requests are under way", func() bool { return r.box.Requests()["SendSms"] == 4 })
	stop()
	check.Equal(t, "messages that were finished, of those that had begun", len(r.box.Inbox("")), 4)
	r.start()
	sent := make(map[string]bool)
	for len(sent) < n {
		o := <-r.outcomes
		check.Equal(t, o.ID+": status", o.Status, messages.StatusSent)
		check.Equal(t, o.ID+": it was sent before", sent[o.ID], false)
		sent[o.ID] = true
	}
	r.empty()
	if got := r.box.Requests()["SendSms"]; got != n {
		t.Errorf("%d requests for %d messages", got, n)
	}
	lookFor(t, "the log", r.log.String(), "in doubt")
}

// shortAckWait makes the server give up on a worker soon.
func (r *rig) shortAckWait(d time.Duration) {
	r.t.Helper()
	r.streams.AckWait = d
	for _, c := range messages.Channels() {
		if _, err := r.js.UpdateConsumer(r.ctx(), wire.StreamName, wire.ConsumerConfig(c, r.streams)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// sendAsADeadWorkerDid makes the provider accept a message that no worker acks.
func (r *rig) sendAsADeadWorkerDid(id, number string, sequence uint64) {
	r.t.Helper()
	s, err := r.cfg.Connectors["aliyun-sms"].Settings.New()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := s.Send(r.ctx(), &sender.Message{ID: worker.ProviderID(id, r.stored(sequence)), To: number, TemplateCode: "SMS_2", TemplateParam: `{"code":"123456"}`}); err != nil {
		r.t.Fatal(err)
	}
}

// take pulls a message as a worker does, and never acks it.
func (r *rig) take() jetstream.Msg {
	r.t.Helper()
	c, err := r.js.Consumer(r.ctx(), wire.StreamName, "sms")
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := c.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}

// lose takes a message, and has the server hand it out again at once, as it does when a
// worker was not heard of for AckWait. Nothing tells the next worker what became of it.
func (r *rig) lose() {
	r.t.Helper()
	if err := r.take().Nak(); err != nil {
		r.t.Fatal(err)
	}
}

func counted(c *config.Config) { c.Worker.Claims = config.ClaimsOff }

func TestAMessageWhoseWorkerDied(t *testing.T) {
	t.Parallel()
	t.Run("once, and the provider knows nothing of it", func(t *testing.T) {
		r := newRig(t, "", counted)
		id := r.sms(1, "")
		r.lose()
		r.start()
		o := r.story(id)
		last := o[len(o)-1]
		check.Equal(t, "outcomes", len(o), 2)
		check.Equal(t, "first status", o[0].Status, messages.StatusUnknown)
		check.Equal(t, "last status", last.Status, messages.StatusSent)
		if took := last.At.Sub(o[0].At); took < 60*time.Millisecond {
			t.Errorf("sent %v after the doubt, want at least 60ms", took)
		}
		if got := r.box.Requests(); got["SendSms"] != 1 || got["QuerySendDetails"] < 2 {
			t.Errorf("requests: %v", got)
		}
	})
	t.Run("once, after the provider had accepted it", func(t *testing.T) {
		r := newRig(t, "", counted)
		id := r.sms(1, "")
		r.lose()
		r.sendAsADeadWorkerDid(id, "13000000001", 1)
		r.start()
		o := r.story(id)
		sentOnce(t, o)
		check.Equal(t, "connector", o[0].Connector, "aliyun-sms")
		check.Equal(t, "attempts", o[0].Attempt, 0)
		r.empty()
		if got := r.box.Requests()["SendSms"]; got != 1 || len(r.box.Inbox("")) != 1 {
			t.Errorf("%d requests, inbox %v", got, r.box.Inbox(""))
		}
	})
	t.Run("three times, and it is poison", func(t *testing.T) {
		r := newRig(t, "", counted)
		id := r.sms(1, "")
		for range 3 {
			r.lose()
		}
		// Several lost workers that wrote nothing count as one. Here the last worker has
		// written that there were two.
		r.ledger(1, `{"state":"doubt","delivery":3,"doubts":2}`)
		r.start()
		check.Equal(t, "reason", r.story(id)[0].Reason, messages.ReasonPoison)
		if len(r.box.Inbox("")) != 0 {
			t.Error("sent")
		}
	})
	t.Run("after it was sent", func(t *testing.T) {
		r := newRig(t, "", counted)
		r.sms(1, "")
		r.lose()
		r.ledger(1, `{"state":"sent","delivery":1}`)
		r.start()
		r.empty()
		check.Equal(t, "requests", r.box.Requests()["SendSms"], 0)
	})
}
