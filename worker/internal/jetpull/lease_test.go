package jetpull

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
)

// waits is the AckWait in tests of the lease; a message is owned for 17 s after its
// arrival.
const (
	waits = 30 * time.Second
	lease = 17 * time.Second
)

// arrives returns a message that has just come.
func arrives(t *testing.T, said Publisher) *Message {
	t.Helper()
	m, err := Read(said, &nats.Msg{Sub: new(nats.Subscription), Reply: "$JS.ACK.CODEFERRY.sms.1.7.1.1.0"}, Options{AckWait: waits}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// owned returns how long after its arrival a message belongs to this worker.
func owned(m *Message) time.Duration { return m.OwnedUntil().Sub(m.Arrived) }

// TestLease: the server's confirmation that a message is in progress extends its lease,
// but not if it comes when the lease is over.
func TestLease(t *testing.T) {
	t.Parallel()
	var (
		confirms = func(a *Acker) { a.confirmation(&nats.Msg{Subject: "_INBOX.1.1"}) }
		refuses  = func(a *Acker) {
			a.confirmation(&nats.Msg{Subject: "_INBOX.1.1", Header: nats.Header{"Status": {"503"}}})
		}
		gives = func(a *Acker) { a.giveUp(a.now()) }
	)
	for name, c := range map[string]struct {
		// said is when InProgress is called, and answered when answer is called, both
		// counted from the arrival.
		said, answered time.Duration
		answer         func(a *Acker)
		fail           error
		want           time.Duration
	}{
		"no answer yet":                           {said: 10 * time.Second, answered: 10 * time.Second, want: lease},
		"confirmed at once":                       {said: 10 * time.Second, answered: 10 * time.Second, answer: confirms, want: 40 * time.Second},
		"confirmed later: counts from InProgress": {said: 10 * time.Second, answered: 14 * time.Second, answer: confirms, want: 40 * time.Second},
		"confirmed at the last moment":            {said: 10 * time.Second, answered: lease - 1, answer: confirms, want: 40 * time.Second},
		"confirmed as the lease ends":             {said: 10 * time.Second, answered: lease, answer: confirms, want: lease},
		"confirmed after the lease":               {said: 10 * time.Second, answered: time.Minute, answer: confirms, want: lease},
		"said and confirmed after the lease":      {said: lease, answered: lease, answer: confirms, want: lease},
		"the server does not have the consumer":   {said: 10 * time.Second, answered: 11 * time.Second, answer: refuses, want: lease},
		"no confirmation came in time":            {said: 10 * time.Second, answered: 16 * time.Second, answer: gives, want: lease},
		"no connection":                           {said: 10 * time.Second, answered: 11 * time.Second, fail: errors.New("closed"), want: lease},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nc := &requests{fail: c.fail}
				a, m := newAcker(nc), arrives(t, nil)
				if got := owned(m); got != lease {
					t.Errorf("after its arrival it is owned for %v, want %v", got, lease)
				}
				<-time.After(c.said)
				a.InProgress(m, waits)
				if want := (request{"$JS.ACK.CODEFERRY.sms.1.7.1.1.0", "_INBOX.1.1", "+WPI"}); c.fail == nil && (len(nc.asked) != 1 || nc.asked[0] != want) {
					t.Errorf("sent %v, want %v", nc.asked, want)
				}
				<-time.After(c.answered - c.said)
				if c.answer != nil {
					c.answer(a)
				}
				if got := owned(m); got != c.want {
					t.Errorf("owned for %v, want %v", got, c.want)
				}
			})
		})
	}
}

// TestLeaseIsExtendedAgain: each confirmation counts from its own InProgress. If one is
// missing, the lease is not extended.
func TestLeaseIsExtendedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, m := newAcker(new(requests)), arrives(t, nil)
		for i, answer := range []struct {
			subject string
			want    time.Duration
		}{{"_INBOX.1.1", 40 * time.Second}, {"_INBOX.1.2", 50 * time.Second}, {"", 50 * time.Second}, {"", 50 * time.Second}, {"_INBOX.1.5", 50 * time.Second}} {
			<-time.After(10 * time.Second)
			a.InProgress(m, waits)
			if answer.subject != "" {
				a.confirmation(&nats.Msg{Subject: answer.subject})
			}
			if got := owned(m); got != answer.want {
				t.Errorf("after InProgress %d it is owned for %v, want %v", i+1, got, answer.want)
			}
		}
	})
}

// TestLeaseFollowsAckWait: the consumer's AckWait can change meanwhile.
func TestLeaseFollowsAckWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, m := newAcker(new(requests)), arrives(t, nil)
		<-time.After(10 * time.Second)
		a.InProgress(m, 3*time.Second)
		a.confirmation(&nats.Msg{Subject: "_INBOX.1.1"})
		if got, want := owned(m), 13*time.Second; got != want {
			t.Errorf("owned for %v, want %v", got, want)
		}
	})
}

// TestInProgressAfterANak: InProgress after a nak would replace the delay by
// AckWait.
func TestInProgressAfterANak(t *testing.T) {
	t.Parallel()
	nc, said := new(requests), new(sent)
	a, m := newAcker(nc), arrives(t, said)
	a.InProgress(m, waits)
	if err := m.Nak(time.Second); err != nil {
		t.Fatal(err)
	}
	a.InProgress(m, waits)
	if len(nc.asked) != 1 {
		t.Errorf("%d InProgress were sent, want 1, before the nak", len(nc.asked))
	}
	if len(a.waiting) != 1 {
		t.Errorf("%d acks wait for their confirmation, want 1", len(a.waiting))
	}
}

// TestInProgressAfterANakThatFailed: InProgress does nothing after a nak that could not be
// sent.
func TestInProgressAfterANakThatFailed(t *testing.T) {
	t.Parallel()
	nc := new(requests)
	a, m := newAcker(nc), arrives(t, &sent{fail: errors.New("closed")})
	if err := m.Nak(0); err == nil {
		t.Fatal("the nak did not fail")
	}
	a.InProgress(m, waits)
	if len(nc.asked) != 0 {
		t.Errorf("sent %v for a message that was put back", nc.asked)
	}
}

// TestLeaseAndStall: a message that came during the longest allowed stall is never owned
// for longer than AckWait.
func TestLeaseAndStall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ackWait, stall, lease time.Duration }{
		{30 * time.Second, 10 * time.Second, 17 * time.Second},
		{time.Minute, 20 * time.Second, 34 * time.Second},
		{3 * time.Second, time.Second, 1700 * time.Millisecond},
		{750 * time.Millisecond, 250 * time.Millisecond, 425 * time.Millisecond},
		{600 * time.Millisecond, 250 * time.Millisecond, 340 * time.Millisecond},
	} {
		if got := stallAfter(c.ackWait); got != c.stall {
			t.Errorf("AckWait %v: the process may stand still for %v, want %v", c.ackWait, got, c.stall)
		}
		if got := firstLease(c.ackWait); got != c.lease {
			t.Errorf("AckWait %v: a lease of %v, want %v", c.ackWait, got, c.lease)
		}
		if sum := stallAfter(c.ackWait) + firstLease(c.ackWait); sum >= c.ackWait {
			t.Errorf("AckWait %v: a stall and a lease together take %v, want less", c.ackWait, sum)
		}
	}
}

// TestArrival: a message that is there after a stall may have come when the stall began.
// After a long stall it is not trusted at all.
func TestArrival(t *testing.T) {
	t.Parallel()
	type look struct {
		// gap is the time since the last call; back is how long ago a message that is
		// there now may have come.
		gap, back time.Duration
		stalled   bool
	}
	for name, c := range map[string]struct {
		ackWait time.Duration
		looks   []look
	}{
		"it runs":                            {30 * time.Second, []look{{gap: 0}, {gap: beat}, {gap: beat}}},
		"a beat was late":                    {30 * time.Second, []look{{gap: 2 * beat}}},
		"a beat is missing":                  {30 * time.Second, []look{{gap: 2*beat + 1, back: 2*beat + 1}}},
		"as long as it may":                  {30 * time.Second, []look{{gap: 10 * time.Second, back: 10 * time.Second}}},
		"longer than it may":                 {30 * time.Second, []look{{10*time.Second + 1, 10*time.Second + 1, true}}},
		"many short times add up to nothing": {30 * time.Second, []look{{gap: 9 * time.Second, back: 9 * time.Second}, {gap: 9 * time.Second, back: 9 * time.Second}}},
		"it stood still, and runs":           {30 * time.Second, []look{{time.Hour, time.Hour, true}, {gap: beat}}},
		"a short AckWait":                    {3 * time.Second, []look{{gap: time.Second, back: time.Second}, {time.Second + 1, time.Second + 1, true}}},
		"the least for a short one":          {300 * time.Millisecond, []look{{gap: 250 * time.Millisecond, back: 250 * time.Millisecond}, {250*time.Millisecond + 1, 250*time.Millisecond + 1, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Puller{o: Options{AckWait: c.ackWait}, active: time.Now()}
				for i, l := range c.looks {
					<-time.After(l.gap)
					at, stalled := p.arrival()
					if stalled != l.stalled {
						t.Errorf("call %d, %v after the last one: stalled %v, want %v", i+1, l.gap, stalled, l.stalled)
					}
					if back := time.Since(at); back != l.back {
						t.Errorf("call %d, %v after the last one: a message came %v ago, want %v", i+1, l.gap, back, l.back)
					}
				}
			})
		})
	}
}

// TestTakeArrival: the lease begins when the message may have come.
func TestTakeArrival(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	p := &Puller{o: Options{AckWait: waits}, inbox: "_INBOX.1.", asked: 1}
	m, err := p.take(&nats.Msg{Subject: "s", Sub: new(nats.Subscription), Reply: "$JS.ACK.CODEFERRY.sms.1.7.1.1.0"}, at)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Arrived.Equal(at) {
		t.Errorf("arrived at %v, want %v", m.Arrived, at)
	}
	if want := at.Add(lease); !m.OwnedUntil().Equal(want) {
		t.Errorf("owned until %v, want %v", m.OwnedUntil(), want)
	}
	if p.asked != 0 {
		t.Errorf("%d messages are asked for and have not come, want 0", p.asked)
	}
}
