package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// known returns a channel that says that AckWait is known.
func known() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// TestHeartbeatSpeaksForWhatTakesLong: a message is marked before its AckWait is over, and
// no more once it is done.
func TestHeartbeatSpeaksForWhatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ackWait = 30 * time.Second
		f, said := newInFlight(), new(trace)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			f.heartbeat(ctx, fakeBeater{said}, known(), func() time.Duration { return ackWait })
			close(ended)
		}()
		message := func(key string) given {
			return given{subject: "codeferry.send.default.sms.SignIn." + key, storedAt: time.Now(), arrived: time.Now()}
		}
		long := message("long").message(t, nowhere())
		f.add(long)
		after(ackWait/3 - ackWait/6) // half of a beat before the next
		young := message("young").message(t, nowhere())
		f.add(young)
		after(ackWait / 6)
		synctest.Wait()
		check.Equal(t, "said at the first beat", said.empty(), "codeferry.send.default.sms.SignIn.long in progress for 30s")
		f.remove(long)
		after(ackWait / 3)
		synctest.Wait()
		check.Equal(t, "said at the second beat", said.empty(), "codeferry.send.default.sms.SignIn.young in progress for 30s")
		after(ackWait / 3)
		synctest.Wait()
		check.Equal(t, "said at the third beat", said.empty(), "codeferry.send.default.sms.SignIn.young in progress for 30s")
		f.remove(young)
		after(ackWait)
		synctest.Wait()
		check.Equal(t, "said when all is done", said.empty(), "")
		f.add(long)
		cancel()
		<-ended
		check.Equal(t, "said after the end", said.empty(), "")
	})
}

// TestHeartbeatFollowsAckWait: the consumer's AckWait can change.
func TestHeartbeatFollowsAckWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, said := newInFlight(), new(trace)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wait atomic.Int64
		wait.Store(int64(3 * time.Second))
		go f.heartbeat(ctx, fakeBeater{said}, known(), func() time.Duration { return time.Duration(wait.Load()) })
		f.add(arrives(t, nowhere()).msg)
		after(time.Second)
		synctest.Wait()
		check.Equal(t, "said after a third", said.empty(), smsSubject+" in progress for 3s")
		wait.Store(int64(30 * time.Second))
		after(time.Second)
		synctest.Wait()
		said.empty()
		after(10*time.Second - 1)
		synctest.Wait()
		check.Equal(t, "said before a third of the longer wait", said.empty(), "")
		after(1)
		synctest.Wait()
		check.Equal(t, "said after a third of the longer wait", said.empty(), smsSubject+" in progress for 30s")
	})
}

// TestHeartbeatBeginsWhenAckWaitIsKnown: with a wrong AckWait it could come too late.
func TestHeartbeatBeginsWhenAckWaitIsKnown(t *testing.T) {
	for name, stops := range map[string]bool{"it becomes known": false, "the worker stops before": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, said := newInFlight(), new(trace)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				looked, ended := make(chan struct{}), make(chan struct{})
				go func() {
					f.heartbeat(ctx, fakeBeater{said}, looked, func() time.Duration { return 3 * time.Second })
					close(ended)
				}()
				f.add(arrives(t, nowhere()).msg)
				after(time.Minute)
				synctest.Wait()
				check.Equal(t, "said before", said.empty(), "")
				if stops {
					cancel()
					<-ended
					check.Equal(t, "said in the end", said.empty(), "")
					return
				}
				close(looked)
				after(time.Second)
				synctest.Wait()
				check.Equal(t, "said a third of AckWait later", said.empty(), smsSubject+" in progress for 3s")
			})
		})
	}
}
