package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages/wire"
)

// loseLedger deletes the ledger, and waits until there is another one.
func (r *rig) loseLedger() {
	r.t.Helper()
	if err := r.js.DeleteStream(r.ctx(), wire.LedgerStream); err != nil {
		r.t.Fatal(err)
	}
	r.eventually("the ledger exists again", func() bool {
		_, err := r.js.Stream(r.ctx(), wire.LedgerStream)
		return err == nil
	})
}

// TestALedgerMadeAgain: the ledger is deleted while messages are in flight, alone or with
// the consumer that counted their deliveries. Their entries are lost, and still none is
// sent twice.
func TestALedgerMadeAgain(t *testing.T) {
	t.Parallel()
	const n = 5
	for name, lose := range map[string]func(*rig){
		"the ledger": (*rig).loseLedger,
		"the ledger, then the consumer": func(r *rig) {
			r.loseLedger()
			r.deleteConsumer("sms")
		},
		"the consumer, then the ledger": func(r *rig) {
			r.deleteConsumer("sms")
			r.loseLedger()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClaims(t, func(t *testing.T, claims func(*config.Config)) {
				held := newBarrier(t)
				r := newRig(t, "", claims, script("aliyun-sms", held.hold))
				r.shortAckWait(2 * time.Second)
				r.start()
				for i := range n {
					r.sms(i, "")
				}
				held.wait(r, 4) // no more may try a connector that has not shown that it works
				lose(r)
				r.eventually("the consumer hands out messages", func() bool {
					c, err := r.js.Consumer(r.ctx(), wire.StreamName, "sms")
					return err == nil && c.CachedInfo().NumAckPending > 0
				})
				held.lift()
				r.empty()
				for i := range n {
					if got := len(r.box.Inbox(fmt.Sprintf("130%08d", i))); got != 1 {
						t.Errorf("message %d was accepted %d times, want once", i, got)
					}
				}
			})
		})
	}
}
