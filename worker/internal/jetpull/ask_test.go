package jetpull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(p *Puller)
		wanted int
		want   []string
	}{
		"nothing is wanted":                         {nil, 0, nil},
		"less than nothing is wanted":               {nil, -3, nil},
		"nothing is asked for":                      {nil, 3, []string{"0s 3"}},
		"a little is asked for, one more":           {func(p *Puller) { p.asked = 4 }, 5, []string{"250µs 1"}},
		"a little is asked for, many more":          {func(p *Puller) { p.asked = 4 }, 6, []string{"0s 2"}},
		"half of the slots are asked for":           {func(p *Puller) { p.asked = 8 }, 16, nil},
		"more is asked for than is wanted":          {func(p *Puller) { p.asked = 4 }, 2, nil},
		"the consumer is asked about":               {func(p *Puller) { p.looking = true }, 16, nil},
		"the requests have to end first":            {func(p *Puller) { p.asked, p.level = 4, true }, 16, nil},
		"they have to end, one more is wanted":      {func(p *Puller) { p.asked, p.level = 4, true }, 5, nil},
		"the server has refused a request":          {func(p *Puller) { p.refused = true }, 16, []string{"100ms 16"}},
		"it has refused one, others are open":       {func(p *Puller) { p.refused, p.asked = true, 4 }, 16, []string{"100ms 12"}},
		"no request was open for long":              {func(p *Puller) { p.since = p.since.Add(-unwatched) }, 16, []string{"0s 16"}},
		"no request was open for too long":          {func(p *Puller) { p.since = p.since.Add(-unwatched - 1) }, 16, []string{"0s look"}},
		"it is asked about, and some were gathered": {func(p *Puller) { p.looking, p.gathering = true, true; p.gather.Reset(gatherTime) }, 16, nil},
		"they have to end, and some were gathered": {func(p *Puller) {
			p.asked, p.level, p.gathering = 4, true, true
			p.gather.Reset(gatherTime)
		}, 16, nil},
		"some were gathered, none is wanted any more": {func(p *Puller) { p.asked, p.gathering = 4, true; p.gather.Reset(gatherTime) }, 4, nil},
		"some were gathered, fewer are wanted now":    {func(p *Puller) { p.asked, p.gathering = 4, true; p.gather.Reset(gatherTime) }, 2, nil},
		"requests have been open for long":            {func(p *Puller) { p.asked, p.since = 4, p.since.Add(-time.Hour) }, 16, []string{"0s 12"}},
		"there is one slot":                           {func(p *Puller) { p.o.Slots = 1 }, 1, []string{"0s 1"}},
		"there is one slot, and one is asked for":     {func(p *Puller) { p.o.Slots, p.asked = 1, 1 }, 2, nil},
		"there are few slots":                         {func(p *Puller) { p.o.Slots, p.asked = 4, 1 }, 2, []string{"0s 1"}},
		"the connection is lost":                      {func(p *Puller) { c := p.conn.(*fakeConn); c.away, c.err = true, nats.ErrReconnectBufExceeded }, 16, nil},
		"a request may ask for 5":                     {func(p *Puller) { p.o.MaxBatch = 5 }, 16, []string{"0s 5", "0s 5", "0s 5", "0s 1"}},
		"a request may ask for as many as are wanted": {func(p *Puller) { p.o.MaxBatch = 16 }, 16, []string{"0s 16"}},
		"a request may ask for one":                   {func(p *Puller) { p.o.MaxBatch = 1 }, 16, slices.Repeat([]string{"0s 1"}, maxRequests)},
		"a request may be open for 50 ms":             {func(p *Puller) { p.o.MaxExpires = 50 * time.Millisecond }, 16, []string{"0s 16"}},
		"a request may be open for long":              {func(p *Puller) { p.o.MaxExpires = time.Hour }, 16, []string{"0s 16"}},
		"one request is open, no more is wanted":      {func(p *Puller) { p.asked = 1 }, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				if tt.before != nil {
					tt.before(b.Puller)
				}
				b.idle(refusedPause+time.Millisecond, tt.wanted)
				if got := b.requested(); !slices.Equal(got, tt.want) {
					b.Errorf("asked %v, want %v", got, tt.want)
				}
				if b.gathering {
					b.Error("it still gathers, and nothing more is wanted")
				}
			})
		})
	}
}

// TestAskAfterARefusal: the Puller pauses after a refusal, whatever the server sends meanwhile.
func TestAskAfterARefusal(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][]string{
		"no room":            {"409", "Exceeded MaxWaiting"},
		"the leader changes": {"409", "Leadership Change"},
	} {
		for _, heartbeat := range []bool{false, true} {
			inBubble(t, func(b *bench) {
				b.idle(time.Millisecond, 16)
				b.requested()
				b.word(1, header...)
				if heartbeat {
					b.word(1, "100", "Idle Heartbeat")
				}
				b.idle(2*refusedPause, 16)
				if got := b.requested(); !slices.Equal(got, []string{"101ms 16"}) {
					b.Errorf("%s, heartbeat %t: asked %v, want 16 after 101ms", name, heartbeat, got)
				}
			})
		}
	}
}

// TestExpires: a request is open for no longer than the consumer allows.
func TestExpires(t *testing.T) {
	t.Parallel()
	for most, want := range map[time.Duration]time.Duration{0: requestExpires, 1: 1, time.Hour: requestExpires, 50 * time.Millisecond: 50 * time.Millisecond} {
		if got := (&Puller{o: Options{MaxExpires: most}}).expires(); got != want {
			t.Errorf("MaxExpires %v: a request expires after %v, want %v", most, got, want)
		}
	}
}

// TestAnswered: Answered is called once, when the server has accepted a request.
func TestAnswered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		send func(b *bench)
		want int
	}{
		"nothing":            {func(*bench) {}, 0},
		"no room":            {func(b *bench) { b.word(1, "409", "Exceeded MaxWaiting") }, 0},
		"it has expired":     {func(b *bench) { b.word(1, "408", "Request Timeout", "16") }, 1},
		"a heartbeat, twice": {func(b *bench) { b.word(1, "100", "Idle Heartbeat"); b.word(1, "100", "Idle Heartbeat") }, 1},
		"a message":          {func(b *bench) { b.message(1) }, 1},
	} {
		inBubble(t, func(b *bench) {
			calls := 0
			b.o.Answered = func() { calls++ }
			b.idle(time.Millisecond, 16)
			tt.send(b)
			_, _ = b.pull(time.Millisecond, 16) // the message, or that nothing came
			if calls != tt.want {
				b.Errorf("%s: Answered was called %d times, want %d", name, calls, tt.want)
			}
		})
	}
}

// TestRequestAfterALateStatus: a status message about a request that has ended says nothing
// about the consumer that exists now.
func TestRequestAfterALateStatus(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.idle(time.Millisecond, 1)
		b.message(1)
		if _, err := b.pull(time.Second, 1); err != nil {
			b.Fatal(err)
		}
		b.idle(2*unwatched, 0)
		b.word(1, "408", "Request Timeout", "1")
		b.idle(time.Millisecond, 0)
		b.requested()
		b.idle(time.Millisecond, 1)
		if got := b.requested(); !slices.Equal(got, []string{"202ms look"}) {
			b.Errorf("asked %v, want a look", got)
		}
	})
}

// TestPublishFails: with a connection it is an error, and a request that failed does
// not count.
func TestPublishFails(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]error{"connected": nats.ErrMaxPayload, "closed": nats.ErrConnectionClosed} {
		for what, before := range map[string]func(b *bench){
			"a request":         func(*bench) {},
			"a look":            func(b *bench) { b.since = b.since.Add(-time.Hour) },
			"what was gathered": func(b *bench) { b.asked, b.gathering = 4, true; b.gather.Reset(gatherTime) },
		} {
			inBubble(t, func(b *bench) {
				b.conn.err, b.conn.closed = fails, name == "closed"
				before(b)
				if _, err := b.pull(time.Second, 5); !errors.Is(err, fails) || b.Asked() != 0 {
					b.Errorf("%s, %s: %v, and %d are asked for", name, what, err, b.Asked())
				}
			})
		}
	}
}

// TestRequestAsksAboutTheConsumer: the Puller asks about the consumer before the next request, and asks for no
// message before the answer.
func TestRequestAsksAboutTheConsumer(t *testing.T) {
	t.Parallel()
	const same, other = `{"created":"1970-01-01T00:01:40Z"}`, `{"created":"1970-01-01T00:01:41Z"}`
	answer := func(data string) *nats.Msg {
		return &nats.Msg{Subject: testInbox + forConsumer, Data: []byte(data)}
	}
	again := func(heard time.Duration) (all []string) { // until it is silent for too long
		for after := askLeaderAfter + beat; after < silent; after += askLeaderAfter + beat {
			all = append(all, fmt.Sprintf("%v look", heard+after))
		}
		return all
	}
	for name, tt := range map[string]struct {
		answer *nats.Msg
		err    error
		want   []string
	}{
		"the same consumer":     {answer(same), context.DeadlineExceeded, []string{"1s 16", "2s look"}},
		"another one":           {answer(other), ErrConsumerGone, nil},
		"none":                  {answer(`{"error":{"code":404,"description":"consumer not found"}}`), ErrConsumerGone, nil},
		"nobody answers for it": {word(testInbox+forConsumer, "503"), errNoLeader, nil},
		"the answer gets lost":  {nil, ErrRenew, again(0)},
		"a late status comes":   {word(testInbox+"1-16", "408", "Request Timeout", "16"), ErrRenew, again(time.Second)},
		"an unknown one comes":  {word(testInbox+"x", "409", "Leadership Change"), ErrRenew, again(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.since = b.since.Add(-time.Hour)
				b.idle(time.Second, 16)
				if got := b.requested(); !slices.Equal(got, []string{"0s look"}) {
					b.Fatalf("asked %v", got)
				}
				if tt.answer != nil {
					b.incoming <- tt.answer
				}
				if tt.err == context.DeadlineExceeded { //nolint:errorlint // as it stands in the table
					b.idle(time.Millisecond, 16)
					b.ended(16)
					b.idle(time.Second-time.Millisecond, 0)
					b.idle(time.Millisecond, 1)
				} else if _, err := b.pull(time.Minute, 16); !errors.Is(err, tt.err) {
					b.Errorf("Next ended with %v, want %v", err, tt.err)
				}
				if got := b.requested(); !slices.Equal(got, tt.want) {
					b.Errorf("asked %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestNote: how many messages are asked for, after requests for 1, 2 and 4 messages
// and the server's answers.
func TestNote(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		server func(b *bench)
		asked  int
	}{
		"nothing":                     {func(*bench) {}, 7},
		"a message":                   {func(b *bench) { b.message(1) }, 6},
		"all messages":                {func(b *bench) { b.message(7) }, 0},
		"more messages":               {func(b *bench) { b.message(9) }, 0},
		"a heartbeat":                 {func(b *bench) { b.word(3, "100", "Idle Heartbeat") }, 7},
		"a request has expired":       {func(b *bench) { b.word(3, "408", "Request Timeout", "4") }, 3},
		"it was partly filled":        {func(b *bench) { b.message(2); b.word(3, "408", "Request Timeout", "2") }, 3},
		"it was refused":              {func(b *bench) { b.word(3, "409", "Exceeded MaxWaiting") }, 3},
		"it found no messages":        {func(b *bench) { b.word(2, "404", "No Messages") }, 5},
		"all have expired":            {func(b *bench) { b.word(1, "408", "", "1"); b.word(2, "408", "", "2"); b.word(3, "408", "", "4") }, 0},
		"the server is shut down":     {func(b *bench) { b.word(1, "409", "Server Shutdown", "1"); b.word(3, "409", "Server Shutdown", "3") }, 3},
		"the leader changes":          {func(b *bench) { b.word(2, "409", "Leadership Change") }, 0},
		"it says so of each":          {func(b *bench) { b.word(2, "409", "Leadership Change"); b.word(3, "409", "Leadership Change") }, 0},
		"more than was asked for":     {func(b *bench) { b.word(1, "408", "Request Timeout", "9999999") }, 0},
		"an invalid count":            {func(b *bench) { b.word(3, "408", "Request Timeout", "-1") }, 3},
		"a status of another request": {func(b *bench) { b.incoming <- word(testInbox+"4-4", "408") }, 7},
		"of another, of the leader":   {func(b *bench) { b.incoming <- word(testInbox+"4-4", "409", "Leadership Change") }, 7},
		"a status of an older Puller": {func(b *bench) { b.incoming <- word("_INBOX.old.1-4", "408") }, 7},
		"a status of no request":      {func(b *bench) { b.incoming <- word(testInbox+"m", "409", "Leadership Change") }, 7},
		"an invalid size":             {func(b *bench) { b.incoming <- word(testInbox+"3--4", "408") }, 7},
		"neither of these":            {func(b *bench) { b.incoming <- word(testInbox+"3-4", "100") }, 7},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				for _, n := range []int{1, 2, 4} {
					if err := b.request(n); err != nil {
						b.Fatal(err)
					}
				}
				tt.server(b)
				for len(b.incoming) > 0 {
					if _, err := b.take(<-b.incoming, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
				if b.Asked() != tt.asked {
					b.Errorf("%d messages are asked for, want %d", b.Asked(), tt.asked)
				}
			})
		})
	}
}

// TestNoteAfterALeaderChange: a status message about a request that does not count
// any more changes nothing for the newer requests.
func TestNoteAfterALeaderChange(t *testing.T) {
	t.Parallel()
	for name, late := range map[string][]string{
		"it, too, is lost": {"409", "Leadership Change"},
		"it has expired":   {"408", "Request Timeout", "2"},
		"it is refused":    {"409", "Exceeded MaxWaiting"},
	} {
		inBubble(t, func(b *bench) {
			b.idle(time.Millisecond, 4)
			b.asked = 1
			b.idle(time.Millisecond, 3)
			b.word(1, "409", "Leadership Change")
			b.idle(refusedPause+time.Millisecond, 16)
			b.word(2, late...)
			b.idle(time.Millisecond, 16)
			if b.Asked() != 16 {
				b.Errorf("%s: %d messages are asked for, want 16", name, b.Asked())
			}
		})
	}
}

// TestCheckSilence: the server reports each request that expires. If it does not, it has
// forgotten the request, and Next returns ErrRenew.
func TestCheckSilence(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.idle(time.Hour, 0) // no answer is due
		b.since = time.Now()
		b.idle(silent-time.Second, 16)
		b.word(1, "100")
		heard := time.Now()
		if _, err := b.pull(time.Minute, 16); !errors.Is(err, ErrRenew) {
			b.Errorf("%v, want ErrRenew", err)
		}
		if took := time.Since(heard); took != silent+beat {
			b.Errorf("it was silent for %v, want %v", took, silent+beat)
		}
		if b.Asked() != 0 {
			b.Errorf("%d messages are still asked for", b.Asked())
		}
	})
}

// TestCheckLevel: after that time all requests have to end once.
func TestCheckLevel(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.asked = 1
		for time.Since(b.began) < levelAfter {
			b.incoming <- word(testInbox+"1-1", "100")
			b.idle(time.Second, 1)
		}
		if b.level {
			b.Errorf("after %v", time.Since(b.began))
		}
		if b.idle(beat+time.Millisecond, 1); !b.level {
			b.Errorf("not after %v", time.Since(b.began))
		}
	})
}

// TestLate: how long before its arrival a message may have been handed out. While other
// messages come, the network delays nothing.
func TestLate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		late := func(what string, after, want time.Duration) {
			b.Helper()
			if after > 0 {
				b.idle(after, 8)
			}
			b.message(1)
			m, err := b.pull(time.Second, 8)
			if err != nil {
				b.Fatal(err)
			}
			if m.Late != want {
				b.Errorf("%s: it may have been handed out %v earlier, want %v", what, m.Late, want)
			}
		}
		b.idle(time.Second, 0)
		b.since = time.Now()
		b.idle(time.Millisecond, 8)
		late("nothing was handed out before it was asked for", 0, 0)
		late("two beats after the last", 2*beat, 0)
		late("after a silence", 300*time.Millisecond, 300*time.Millisecond)
		late("at once after that", 0, 300*time.Millisecond)
		late("a moment later", beat, 300*time.Millisecond+beat)
		late("a beat before that is over", 2*beat, 300*time.Millisecond+3*beat)
		late("when it is over", beat, 0)
		b.incoming <- word(testInbox+"1-8", "100")
		b.idle(2*time.Second, 8)
		b.incoming <- word(testInbox+"1-8", "100")
		late("right behind a word after a silence", 0, 2*time.Second)
	})
}

// TestCheckLevelAfterALoss: a message was sent and never came. As long as
// others come the server is not silent, so all requests have to end once.
func TestCheckLevelAfterALoss(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.idle(time.Millisecond, 8)
		for time.Since(b.began) < levelAfter+2*time.Second {
			b.message(1)
			if _, err := b.pull(time.Second, 8); err != nil {
				b.Fatal(err)
			}
			b.idle(time.Second/2, 8)
		}
		b.requested()
		come := b.Asked() - 1 // the last one does not
		b.message(come)
		for range come {
			if _, err := b.pull(time.Second, 8); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := b.pull(time.Minute, 8); !errors.Is(err, ErrRenew) {
			b.Errorf("%v, want ErrRenew", err)
		}
		if got := b.requested(); len(got) > 0 {
			b.Errorf("asked %v while it had to run out", got)
		}
	})
}

// TestCheckLevelWithoutALoss: if all messages come that were asked for, the next request is made at
// once.
func TestCheckLevelWithoutALoss(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.asked, b.level = 2, true
		b.message(2)
		for range 2 {
			if _, err := b.pull(time.Second, 8); err != nil {
				b.Fatal(err)
			}
		}
		b.idle(time.Millisecond, 8)
		if got := b.requested(); !slices.Equal(got, []string{"0s 8"}) {
			b.Errorf("asked %v, want 8 at once", got)
		}
	})
}

// TestNextAfterAStall: another worker may have the messages that came while Next was not called.
func TestNextAfterAStall(t *testing.T) {
	t.Parallel()
	for name, came := range map[string]int{"nothing came": 0, "a message came": 1} {
		inBubble(t, func(b *bench) {
			b.idle(time.Second, 16)
			<-time.After(stallAfter(testAckWait) + time.Second)
			if came > 0 {
				b.beat.Stop() // so that it receives the message first
			}
			b.message(came)
			if m, err := b.pull(time.Second, 16); m != nil || !errors.Is(err, ErrStalled) {
				b.Errorf("%s: %v, %v, want ErrStalled", name, m, err)
			}
		})
	}
}

func TestNextConnectionChanges(t *testing.T) {
	t.Parallel()
	for status, want := range map[nats.Status]struct {
		err error
		// asked is how many messages may still come.
		asked int
	}{nats.CONNECTED: {ErrRenew, 16}, nats.CLOSED: {nats.ErrConnectionClosed, 0}} {
		inBubble(t, func(b *bench) {
			b.idle(time.Millisecond, 16)
			b.statuses <- status
			if _, err := b.pull(time.Second, 16); !errors.Is(err, want.err) || b.Asked() != want.asked {
				b.Errorf("%v: got the error %v, and %d are asked for; want %v and %d", status, err, b.Asked(), want.err, want.asked)
			}
		})
	}
}

// TestNextWake: Next returns without a message.
func TestNextWake(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		wake := make(chan struct{}, 1)
		wake <- struct{}{}
		if m, err := b.Next(b.Context(), wake, func() int { return 1 }); m != nil || err != nil {
			b.Errorf("Next returned the message %v and the error %v, want neither", m, err)
		}
	})
}

// TestNextReturns: the message or the error for each answer of the server.
func TestNextReturns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		msg *nats.Msg
		err string
	}{
		"a message":                           {handedOut(1), ""},
		"a message that is empty":             {&nats.Msg{Subject: "work.1", Reply: handedOut(1).Reply, Sub: handedOut(1).Sub}, ""},
		"a message on the subject of answers": {&nats.Msg{Subject: testInbox + forConsumer, Reply: handedOut(1).Reply, Sub: handedOut(1).Sub}, ""},
		"the consumer is deleted":             {word(testInbox+"1-16", "409", "Consumer Deleted"), ErrConsumerGone.Error()},
		"a reply that is no ack":              {&nats.Msg{Subject: "work.1", Reply: "secret", Sub: handedOut(1).Sub}, "read where a message of inbox _INBOX.test.* came from: "},
		"no reply and no status":              {&nats.Msg{Subject: "secret", Data: []byte("x")}, "read where a message of an inbox came from: "},
	} {
		inBubble(t, func(b *bench) {
			b.idle(time.Millisecond, 16)
			b.incoming <- tt.msg
			m, err := b.pull(time.Second, 16)
			switch {
			case tt.err == "":
				if err != nil || m.Sequence != 1 {
					b.Errorf("%s: got the message %v and the error %v, want message 1", name, m, err)
				}
			case err == nil || len(err.Error()) < len(tt.err) || err.Error()[:len(tt.err)] != tt.err:
				b.Errorf("%s: got the error %v, want %s", name, err, tt.err)
			}
		})
	}
}
