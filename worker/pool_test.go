package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// panicking is a stage that panics before it calls the real one.
type panicking struct{ stage }

func (panicking) handle(context.Context, *delivery) (verdict, bool) { panic("boom") }

// staged returns a pool with all stages and a settling, for connectors in their order.
func staged(r *settling, claims bool, all ...*connector) *pool {
	var route []string
	for _, c := range all {
		route = append(route, c.name)
	}
	ways := routes{channel: messages.SMS, connectors: named(all...)}
	rules := policy{retry: retry, spread: steady}
	latest, places := lastIs(7, nil), newBulkhead(2, 2, 1)
	l := newLedger(r.bucket, "me")
	return &pool{
		channel: messages.SMS, log: zerolog.New(r.log), settler: r.settler, inFlight: r.inFlight,
		freeSlots: freeSlots{wake: make(chan struct{}, 1)}, working: prometheus.NewGauge(prometheus.GaugeOpts{}),
		queued: new(observed), now: time.Now,
		releaser: releaser{ledger: l, claims: claims, suspects: someSuspects{}},
		stages: []stage{
			openStage{channel: messages.SMS, apps: map[string]config.App{"default": {SMS: steps(route...), CodeTTL: 10 * time.Minute}}},
			doubtStage{ledger: l, claims: claims, suspects: someSuspects{}, now: time.Now, lostWorkers: new(counter), failed: r.troubles.ledgerFailed, untried: newUntried()},
			repeatedStage{sentBefore: neverSent},
			validateStage{},
			askStage{routes: ways, policy: rules, now: time.Now, bulkhead: places, report: r.settler.report},
			supersededStage{newest: latest},
			expireStage{now: time.Now},
			deferStage{now: time.Now, patience: time.Hour, slots: 2, backlog: new(backlog), spread: steady},
			routeStage{routes: ways},
			sendStage{bulkhead: places, newest: latest, policy: rules, quota: newQuota(new(backlog), 1, time.Now), backlog: new(backlog), mine: r.mine, now: time.Now},
		},
	}
}

// observed keeps what a histogram is given.
type observed []float64

func (o *observed) Observe(v float64) { *o = append(*o, v) }

// deliver hands a message out repeatedly, as the server does, until it is acked or
// terminated, but at most so many times. Between two deliveries it waits for the delay of
// the nak, or for AckWait. It returns how often it handed the message out.
func deliver(t *testing.T, r *settling, p *pool, most int) (deliveries int, all string) {
	t.Helper()
	m := given{msgID: "msg-1", storedAt: time.Now()}
	for deliveries = 1; deliveries <= most; deliveries++ {
		m.delivered, m.arrived = uint64(deliveries), time.Now()
		p.handle(t.Context(), m.message(t, r.wire))
		synctest.Wait()
		steps := r.empty()
		all += fmt.Sprintf("%d: %s; ", deliveries, steps)
		if strings.Contains(steps, "ack") || strings.Contains(steps, "term") {
			r.acks.confirm(nil)
			return deliveries, all
		}
		after(30 * time.Second)
	}
	return deliveries, all
}

// TestQueueSeconds: the time until a slot takes a message is observed when it is handed out
// for the first time, and not for a retry.
func TestQueueSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		p := staged(r, false, connect("a", new(fakeSender)))
		m := given{msgID: "msg-1", storedAt: time.Now(), delivered: 1, arrived: time.Now()}
		after(3 * time.Second)
		p.handle(t.Context(), m.message(t, r.wire))
		m.delivered = 2
		p.handle(t.Context(), m.message(t, r.wire))
		synctest.Wait()
		r.acks.confirm(nil)
		check.Equal(t, "times observed", fmt.Sprint(*p.queued.(*observed)), "[3]")
	})
}

// TestThreePanicsArePoison: a panic in any stage costs an attempt, and the third one is
// the message's last: no message is tried for ever.
func TestThreePanicsArePoison(t *testing.T) {
	const stages, asks = 10, 4
	for i := range stages {
		for _, claims := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				p := staged(r, claims, connect("a", new(fakeAsker)), connect("b", new(fakeSender)))
				check.Equal(t, "stages", len(p.stages), stages)
				name := strings.TrimPrefix(fmt.Sprintf("%T, claims %v", p.stages[i], claims), "worker.")
				p.stages[i] = panicking{p.stages[i]}
				n, all := deliver(t, r, p, 20)
				if want := "store poison, tell dead, term poison; "; !strings.HasSuffix(all, want) {
					t.Errorf("%s: got the steps %s, want that they end with %s", name, all, want)
				}
				most := maxDoubts + 1
				if i > asks {
					most = 12 // after each panic the provider is asked first, until the grace is over
				}
				if n > most {
					t.Errorf("%s: poison after %d deliveries, want %d at most", name, n, most)
				}
				check.Equal(t, name+": panics that were written down before the third", strings.Count(all, "write panicked"), maxDoubts-1)
				check.Equal(t, name+": messages in flight", len(r.inFlight.all()), 0)
			})
		}
	}
}

// TestThreePanicsInsideArePoison: the same inside a stage, after it has begun to write to
// the ledger.
func TestThreePanicsInsideArePoison(t *testing.T) {
	boom := func() { panic("boom") }
	for name, c := range map[string]struct {
		spoil func(r *settling, p *pool, a *fakeAsker)
		// want is the last delivery's end.
		want string
		most int
	}{
		"reading the ledger": {
			spoil: func(_ *settling, p *pool, a *fakeAsker) {
				a.send = func(context.Context, *sender.Message) (sender.Receipt, error) {
					return sender.Receipt{}, &sender.Error{Class: sender.Unavailable}
				}
				s := p.stages[1].(doubtStage)
				s.ledger = panickingLedger{s.ledger}
				p.stages[1] = s
			},
			want: "store poison, tell dead, term poison; ", most: 5,
		},
		"rendering": {
			spoil: func(_ *settling, _ *pool, a *fakeAsker) {
				a.render = func(*messages.SendCode) (*sender.Message, error) { boom(); return new(sender.Message), nil }
			},
			want: "store poison, tell dead, term poison; ", most: 4,
		},
		"sending": {
			spoil: func(_ *settling, _ *pool, a *fakeAsker) {
				a.send = func(context.Context, *sender.Message) (sender.Receipt, error) { boom(); return sender.Receipt{}, nil }
				a.ask = func(*sender.Message, time.Time) (bool, error) { boom(); return false, nil }
			},
			want: "store poison, tell dead, term poison; ", most: 4,
		},
		"asking the stream for a newer one": {
			spoil: func(_ *settling, p *pool, a *fakeAsker) {
				a.send = func(context.Context, *sender.Message) (sender.Receipt, error) {
					return sender.Receipt{}, &sender.Error{Class: sender.Unavailable}
				}
				s := p.stages[5].(supersededStage)
				s.newest.last = func(context.Context, string) (uint64, error) { boom(); return 0, nil }
				p.stages[5] = s
			},
			want: "store poison, tell dead, term poison; ", most: 12, // it is asked after each panic
		},
		"telling that it was sent": {
			spoil: func(r *settling, _ *pool, a *fakeAsker) {
				r.panicAt = "tell sent"
				a.ask = func(*sender.Message, time.Time) (bool, error) { return true, nil }
			},
			want: "store poison, tell dead, term poison; ", most: 4,
		},
		"telling of a retry": {
			spoil: func(r *settling, p *pool, a *fakeAsker) {
				r.panicAt = "tell retrying"
				a.send = func(context.Context, *sender.Message) (sender.Receipt, error) {
					return sender.Receipt{}, &sender.Error{Class: sender.Unavailable}
				}
				p.stages[5] = supersededStage{newest: lastIs(7, nil)}
			},
			want: "", most: 12,
		},
		"storing a dead letter": {
			spoil: func(r *settling, _ *pool, a *fakeAsker) {
				r.panicAt = "store rejected"
				a.send = func(context.Context, *sender.Message) (sender.Receipt, error) {
					return sender.Receipt{}, &sender.Error{Class: sender.Permanent}
				}
				a.ask = func(*sender.Message, time.Time) (bool, error) { return false, nil }
			},
			want: "", most: 12,
		},
		"storing any dead letter": {
			spoil: func(r *settling, _ *pool, a *fakeAsker) {
				r.panicAt = "store poison"
				a.render = func(*messages.SendCode) (*sender.Message, error) { boom(); return new(sender.Message), nil }
			},
			want: "store poison!, store bare poison, term poison, tell dead; ", most: 4,
		},
	} {
		for _, claims := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, claims %v", name, claims), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newSettling(t)
					provider := new(fakeAsker)
					p := staged(r, claims, connect("a", provider))
					c.spoil(r, p, provider)
					n, all := deliver(t, r, p, 20)
					if !strings.HasSuffix(all, c.want) {
						t.Errorf("got the steps %s, want that they end with %s", all, c.want)
					}
					if n > c.most {
						t.Errorf("it ended after %d deliveries, want %d at most: %s", n, c.most, all)
					}
					check.Equal(t, "messages in flight", len(r.inFlight.all()), 0)
				})
			})
		}
	}
}

// panickingLedger panics when an entry is read.
type panickingLedger struct{ entries }

func (panickingLedger) Claim(context.Context, *ledger.Record, ledger.Entry) (*ledger.Entry, error) {
	panic("boom")
}

func (panickingLedger) Read(context.Context, *ledger.Record) (*ledger.Entry, error) { panic("boom") }

// TestNotMineFromStageToStage: a message whose turn came after its lease ended is not
// sent. The next worker that has it sends it, once.
func TestNotMineFromStageToStage(t *testing.T) {
	for _, claims := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.mine = leased
			provider := new(fakeAsker)
			a := connect("a", provider)
			a.limiter = newRateLimiter(0.05) // its next turn comes in 20 s
			a.breaker.limiter = a.limiter
			a.limiter.limiter.Allow()
			p := staged(r, claims, a)
			n, all := deliver(t, r, p, 5)
			want := "1: write released; 2: tell sent, ack; "
			check.Equal(t, fmt.Sprintf("claims %v: steps", claims), all, want)
			check.Equal(t, fmt.Sprintf("claims %v: deliveries", claims), n, 2)
			check.Equal(t, fmt.Sprintf("claims %v: requests", claims), provider.requests(), 1)
			check.Equal(t, fmt.Sprintf("claims %v: questions", claims), len(provider.asked), 0)
		})
	}
}

// TestSentAfterTheLease: a request began while the message was owned, and took longer than
// the lease. No worker sends the message again.
func TestSentAfterTheLease(t *testing.T) {
	for _, claims := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.mine = leased
			provider := new(fakeAsker)
			provider.send = func(context.Context, *sender.Message) (sender.Receipt, error) {
				after(20 * time.Second)
				return sender.Receipt{}, nil
			}
			p := staged(r, claims, connect("a", provider))
			m := given{storedAt: time.Now(), arrived: time.Now()}
			p.handle(t.Context(), m.message(t, r.wire))
			synctest.Wait()
			check.Equal(t, fmt.Sprintf("claims %v: steps", claims), r.empty(), "tell sent, write sent, ack")
			after(10 * time.Second)
			m.delivered, m.arrived = 2, time.Now() // the ack had no effect
			p.handle(t.Context(), m.message(t, r.wire))
			check.Equal(t, fmt.Sprintf("claims %v: steps of the next delivery", claims), r.empty(), "ack")
			check.Equal(t, fmt.Sprintf("claims %v: requests", claims), provider.requests(), 1)
			r.acks.confirm(nil)
		})
	}
}

// TestPullTroubles are logged once while they last, and so is their end.
func TestPullTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var p pullTroubles
		l := zerolog.New(&log)
		p.ended(l)
		for range 2 {
			log.Reset()
			p.add(l, errors.New("no leader"))
			after(2 * time.Second)
			p.add(l, errors.New("no leader"))
			p.ended(l)
			p.ended(l)
			check.Equal(t, "log", log.String(), `{"level":"warn","error":"no leader","message":"pulling stopped; it is retried until it works"}
{"level":"info","lasted":"2s","message":"pulling works again"}
`)
		}
	})
}
