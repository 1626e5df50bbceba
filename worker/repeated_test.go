package worker_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// TestAPublishRepeatedOverARestart: a publisher that got no confirmation publishes its
// message again. The server has restarted meanwhile, and has forgotten the ids of sent
// messages. The message is still sent once, even if the worker has restarted with the
// server.
func TestAPublishRepeatedOverARestart(t *testing.T) {
	// Not parallel to other tests: another test's server could take the port meanwhile.
	for claims, both := range map[config.Claims]bool{config.ClaimsOn: false, config.ClaimsOff: true} {
		t.Run(fmt.Sprintf("claims %s, worker too %t", claims, both), func(t *testing.T) {
			r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = claims })
			stop := r.start()
			again := map[string]*nats.Msg{}
			for channel, to := range map[string]string{"sms": "+8613000000001", "email": "u1@example.com"} {
				msg := nats.NewMsg("codeferry.send.default." + channel + ".SignIn.u1")
				msg.Header.Set(jetstream.MsgIDHeader, channel+"-once")
				msg.Data = fmt.Appendf(nil, `{"id":"%s-once","to":%q,"type":"SignIn","payload":{"code":"123456"}}`, channel, to)
				again[channel] = msg
				if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
					t.Fatal(err)
				}
			}
			for left := len(again); left > 0; left-- {
				if o := <-r.outcomes; o.Status != messages.StatusSent || o.Publish == "" {
					t.Fatalf("an outcome that is not sent, or does not name the publish: %+v", o)
				}
			}
			r.empty()
			if both {
				stop()
			}
			r.restart()
			if both {
				r.start()
			}
			for channel, msg := range again {
				var ack *jetstream.PubAck
				r.eventually("the stream answers again", func() (ok bool) {
					var err error
					ack, err = r.js.PublishMsg(r.ctx(), msg)
					return err == nil
				})
				if ack.Duplicate {
					t.Errorf("%s: the server has not forgotten the id, so this test shows nothing", channel)
				}
			}
			r.empty()
			if n := len(r.box.Inbox("")); n != len(again) {
				t.Errorf("%d messages arrived, want one for each channel\n%s", n, r.log.String())
			}
			if letters := r.dead(); len(letters) != 0 {
				t.Errorf("%d dead letters, want none: %+v", len(letters), letters)
			}
		})
	}
}
