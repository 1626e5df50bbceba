package worker_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestThousandsOverSixteenSlots(t *testing.T) {
	r := newRig(t, "")
	r.start()
	const n = 2000
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { r.sms(i, "") })
		wg.Go(func() { r.email(i, "") })
	}
	wg.Wait()
	sent := make(map[string]int)
	limit := time.After(patience)
	for len(sent) < 2*n {
		select {
		case o := <-r.outcomes:
			sent[o.ID]++
			if o.Status != messages.StatusSent || sent[o.ID] > 1 {
				t.Fatalf("%+v", o)
			}
		case <-limit:
			t.Fatalf("%d of %d sent\n%s", len(sent), 2*n, r.log.String())
		}
	}
	if got := r.box.Requests(); got["SendSms"] != n || got["SingleSendMail"] != n {
		t.Errorf("requests: %v", got)
	}
	r.empty()
}

func TestTheMessageOutlivesADeadLetterThatCannotBeStored(t *testing.T) {
	r := newRig(t, "")
	if err := r.js.DeleteStream(r.ctx(), messages.DeadName); err != nil {
		t.Fatal(err)
	}
	r.fault(sandbox.Fault{Code: "isv.MOBILE_NUMBER_ILLEGAL"})
	// Ensure makes the stream that is missing; this one goes once the worker runs.
	r.start()
	if err := r.js.DeleteStream(r.ctx(), messages.DeadName); err != nil {
		t.Fatal(err)
	}
	id := r.sms(1, "")
	r.eventually("the letter was refused", func() bool {
		return strings.Contains(r.log.String(), "the dead letter could not be stored")
	})
	if _, err := r.js.CreateStream(r.ctx(), messages.Streams(messages.StreamOptions{})[2]); err != nil {
		t.Fatal(err)
	}
	if o := r.story(id); o[len(o)-1].Reason != messages.ReasonRejected {
		t.Errorf("%+v", o)
	}
	r.empty()
	if d := r.dead(); len(d) != 1 || len(d[0].Attempts) < 2 {
		t.Errorf("%+v", d)
	}
	if n := r.box.Requests()["QuerySendDetails"]; n > 0 {
		t.Errorf("a message that was refused was taken for one in doubt: %d queries", n)
	}
}

func TestALetterIsNotLostForAnotherOfTheSameID(t *testing.T) {
	r := newRig(t, "")
	r.start()
	for i := range 2 {
		r.publish(fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", i), `{"id":"same","to":"","type":"SignIn","payload":{}}`)
		r.story("same")
	}
	r.empty()
	if n := len(r.dead()); n != 2 {
		t.Errorf("%d letters for two messages", n)
	}
}

func TestAConsumerThatGoesIsMadeAgain(t *testing.T) {
	r := newRig(t, "")
	r.start()
	r.story(r.sms(1, ""))
	if err := r.js.DeleteConsumer(r.ctx(), messages.StreamName, "sms"); err != nil {
		t.Fatal(err)
	}
	r.story(r.sms(2, ""))
	if err := r.js.DeleteStream(r.ctx(), messages.StreamName); err != nil {
		t.Fatal(err)
	}
	r.eventually("the stream is there again", func() bool {
		_, err := r.js.Consumer(r.ctx(), messages.StreamName, "sms")
		return err == nil
	})
	r.story(r.sms(3, ""))
	if n := len(r.box.Inbox("")); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// TestShutdown stops a worker whose slots all wait for the provider, with more
// messages pulled than there are slots: what has begun is finished, the rest is
// handed back, and the next worker sends it without any doubt.
func TestShutdown(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) { c.Worker.Concurrency = 4 })
	r.fault(sandbox.Fault{Latency: 300 * time.Millisecond, Count: 4})
	stop := r.start()
	const n = 40
	for i := range n {
		r.sms(i, "")
	}
	r.eventually("four requests are under way", func() bool { return r.box.Requests()["SendSms"] == 4 })
	stop()
	if got := len(r.box.Inbox("")); got != 4 {
		t.Errorf("%d messages were finished, not the 4 that had begun", got)
	}
	r.start()
	sent := make(map[string]bool)
	for len(sent) < n {
		o := <-r.outcomes
		if o.Status != messages.StatusSent || sent[o.ID] {
			t.Fatalf("%+v", o)
		}
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
	cfg := messages.Consumer(messages.SMS, messages.StreamOptions{})
	cfg.AckWait = d
	if _, err := r.js.UpdateConsumer(r.ctx(), messages.StreamName, cfg); err != nil {
		r.t.Fatal(err)
	}
}

// sendAsADeadWorkerDid has the provider accept a message that nobody will
// acknowledge.
func (r *rig) sendAsADeadWorkerDid(id, number string) {
	r.t.Helper()
	s, err := r.cfg.Connectors["aliyun-sms"].Settings.New()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := s.Send(r.ctx(), &sender.Message{ID: id, To: number, TemplateCode: "SMS_2", TemplateParam: `{"code":"123456"}`}); err != nil {
		r.t.Fatal(err)
	}
}

// take pulls a message as a worker would, and never says a word about it.
func (r *rig) take() jetstream.Msg {
	r.t.Helper()
	c, err := r.js.Consumer(r.ctx(), messages.StreamName, "sms")
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := c.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}

func counted(c *config.Config) { c.Worker.Claims = config.ClaimsOff }

func TestAMessageWhoseWorkerDied(t *testing.T) {
	t.Run("once, and the provider knows nothing of it", func(t *testing.T) {
		r := newRig(t, "", counted)
		r.shortAckWait(100 * time.Millisecond)
		id := r.sms(1, "")
		r.take()
		r.start()
		if o := r.story(id); len(o) != 2 || o[0].Status != messages.StatusUnknown || o[1].Status != messages.StatusSent || o[1].At.Sub(o[0].At) < 60*time.Millisecond {
			t.Errorf("%+v", o)
		}
		if got := r.box.Requests(); got["SendSms"] != 1 || got["QuerySendDetails"] < 2 {
			t.Errorf("requests: %v", got)
		}
	})
	t.Run("once, after the provider had accepted it", func(t *testing.T) {
		r := newRig(t, "", counted)
		r.shortAckWait(100 * time.Millisecond)
		id := r.sms(1, "")
		r.take()
		r.sendAsADeadWorkerDid(id, "13000000001")
		r.start()
		if o := r.story(id); len(o) != 1 || o[0].Status != messages.StatusSent || o[0].Connector != "aliyun-sms" || o[0].Attempt != 0 {
			t.Errorf("%+v", o)
		}
		r.empty()
		if got := r.box.Requests()["SendSms"]; got != 1 || len(r.box.Inbox("")) != 1 {
			t.Errorf("%d requests, inbox %v", got, r.box.Inbox(""))
		}
	})
	t.Run("three times, and it is poison", func(t *testing.T) {
		r := newRig(t, "", counted)
		r.shortAckWait(100 * time.Millisecond)
		id := r.sms(1, "")
		for range 3 {
			r.take()
		}
		// The doubts of workers that leave no word can't be told from one; this
		// one's predecessor has left word of two.
		bucket, err := r.js.KeyValue(r.ctx(), messages.LedgerName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.PutString(r.ctx(), id, `{"state":"doubt","delivery":3,"sequence":1,"doubts":2}`); err != nil {
			t.Fatal(err)
		}
		r.start()
		if o := r.story(id); o[0].Reason != messages.ReasonPoison {
			t.Errorf("%+v", o)
		}
		if len(r.box.Inbox("")) != 0 {
			t.Error("sent")
		}
	})
	t.Run("after it was sent", func(t *testing.T) {
		r := newRig(t, "", counted)
		r.shortAckWait(100 * time.Millisecond)
		id := r.sms(1, "")
		r.take()
		bucket, err := r.js.KeyValue(r.ctx(), messages.LedgerName)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.PutString(r.ctx(), id, `{"state":"sent","delivery":1,"sequence":1}`); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.empty()
		if n := r.box.Requests()["SendSms"]; n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
