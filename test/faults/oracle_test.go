package faults

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
)

var testBegan = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// at is a time of the test, in seconds from its beginning.
func at(seconds float64) time.Time {
	return testBegan.Add(time.Duration(seconds * float64(time.Second)))
}

// sms is the nth message of a test, published in the nth second.
func sms(n int, change ...func(*published)) *published {
	m := &published{
		subject: messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: fmt.Sprintf("k%d", n)},
		begun:   at(float64(n)), ended: at(float64(n) + 0.01),
		place: place{sequence: uint64(n), sure: true},
	}
	m.ID, m.To, m.Type, m.CreatedAt = fmt.Sprintf("m-%d", n), fmt.Sprintf("13%09d", n), messages.SignIn, m.begun
	m.Payload = messages.Payload{"code": fmt.Sprintf("%06d", n)}
	for _, f := range change {
		f(m)
	}
	return m
}

// The changes to a message of a test.

func byMail(m *published) {
	m.subject.Channel, m.To = messages.Email, m.To+"@example.com"
}

func ofUser(m *published) { m.subject.Key = "user" }

func named(id string) func(*published) { return func(m *published) { m.ID = id } }

func forApp(app string) func(*published) { return func(m *published) { m.subject.App = app } }

func expires(seconds float64) func(*published) {
	return func(m *published) { m.ExpiresAt = at(seconds) }
}

func inStream(incarnation int, sequence uint64) func(*published) {
	return func(m *published) { m.place = place{incarnation, sequence, true} }
}

func refused(m *published) { m.err = fmt.Errorf("no acknowledgement") }

// happened is the record of a test's provider and workers.
type happened struct {
	published []*published
	inbox     []fakealiyun.Message
	attempts  []attempt
	stories   stories
	faults    []*event
	stalls    []span
	losses    losses
	first     uint64
	unsettled bool
	givenUp   map[uint64]bool
}

// accepts lets the provider accept a message from a worker.
func (h *happened) accepts(m *published, worker int, seconds float64) {
	h.tries(m, worker, seconds)
	in := fakealiyun.Message{To: m.To, At: at(seconds)}
	if m.subject.Channel == messages.SMS {
		in.TemplateParam = `{"code":"` + m.trace().code + `"}`
	} else {
		in.HTMLBody = "<p>" + m.trace().code + "</p>"
	}
	h.inbox = append(h.inbox, in)
}

// tries lets a worker make a request that is not accepted.
func (h *happened) tries(m *published, worker int, seconds float64) {
	h.attempts = append(h.attempts, attempt{trace: m.trace(), at: at(seconds), worker: worker})
}

func (h *happened) dies(m *published) {
	created := m.CreatedAt
	h.stories.dead = append(h.stories.dead, messages.DeadLetter{ID: m.ID, Subject: m.subject.String(), CreatedAt: &created})
}

func (h *happened) isDoubted(m *published) { h.stories.doubts = append(h.stories.doubts, outcomeOf(m)) }

// isResent reports that a message was sent again after a doubt.
func (h *happened) isResent(m *published) { h.stories.resent = append(h.stories.resent, outcomeOf(m)) }

// losesAnOutcome lets a worker's log say that an outcome of the message may be lost.
func (h *happened) losesAnOutcome(m *published) {
	h.losses.add([]byte(`{"id":"` + m.ID + `","message":"` + lossLine + `"}`))
}

func outcomeOf(m *published) messages.Outcome {
	return messages.Outcome{ID: m.ID, App: m.subject.App, Channel: m.subject.Channel, Type: m.Type, Key: m.subject.Key, StoredAt: m.ended}
}

// judged returns an oracle's report, and each of its counts that is not 0.
func (h *happened) judged(skews ...time.Duration) (*Report, map[string]int) {
	o := &oracle{
		plan:  Plan{Quiet: 9500 * time.Millisecond, Latency: 3 * time.Second},
		began: testBegan, skews: append(skews, 0, 0, 0), stream: 1, first: h.first, diary: &diary{events: h.faults}, stalls: &stalls{spans: h.stalls}, bySubject: make(map[string][]*record),
		givenUp: h.givenUp, unsettled: h.unsettled, losses: &h.losses,
	}
	o.gather(h.published, h.inbox, h.attempts, h.stories)
	r := o.judge()
	counts := map[string]int{
		"delivered": r.Delivered, "dead": r.Dead, "superseded": r.Superseded, "gone": r.Gone, "given up": r.GivenUp, "skewed": r.Skewed,
		"lost": len(r.Lost), "stuck": len(r.Stuck), "late": len(r.Late), "twice SMS": len(r.TwiceSMS), "twice mail": len(r.TwiceMail),
		"unreported": len(r.Unreported), "after newer": len(r.AfterNewer), "strange": len(r.Strange), "kept": len(r.Kept), "refused": len(r.Refused),
	}
	maps.DeleteFunc(counts, func(_ string, n int) bool { return n == 0 })
	return r, counts
}

func TestOracle(t *testing.T) {
	const behind, ahead = -time.Minute, time.Minute
	last := func(sequence uint64) func(*published) { return inStream(1, sequence) }
	tests := map[string]struct {
		skews   []time.Duration
		happens func(h *happened, add func(*published) *published)
		want    map[string]int
	}{
		"accepted once": {
			happens: func(h *happened, add func(*published) *published) { h.accepts(add(sms(1, last(1))), 0, 1) },
			want:    map[string]int{"delivered": 1},
		},
		"the leader of a deleted stream did not know": {
			happens: func(h *happened, add func(*published) *published) {
				h.first = 10
				add(sms(1, last(9)))
				add(sms(2, last(10)))
			},
			want: map[string]int{"gone": 1, "lost": 1},
		},
		"nothing is left of it": {
			happens: func(h *happened, add func(*published) *published) { h.tries(add(sms(1, last(1))), 0, 1) },
			want:    map[string]int{"lost": 1},
		},
		"nothing is left of it, and not all is settled": {
			happens: func(h *happened, add func(*published) *published) {
				h.unsettled = true
				h.tries(add(sms(1, last(1))), 0, 1)
			},
			want: map[string]int{"stuck": 1},
		},
		"nothing is left of it, but its stream was deleted": {
			happens: func(_ *happened, add func(*published) *published) { add(sms(1, inStream(0, 1))) },
			want:    map[string]int{"gone": 1},
		},
		"nothing is left of it, but the stream hands it out no more": {
			happens: func(h *happened, add func(*published) *published) {
				h.givenUp = map[uint64]bool{1: true}
				h.tries(add(sms(1, last(1))), 0, 1)
				h.tries(add(sms(2, last(2))), 0, 2)
			},
			want: map[string]int{"given up": 1, "lost": 1},
		},
		"not acknowledged": {
			happens: func(_ *happened, add func(*published) *published) { add(sms(1, refused)) },
			want:    map[string]int{"refused": 1},
		},
		"a dead letter": {
			happens: func(h *happened, add func(*published) *published) { h.dies(add(sms(1, last(1)))) },
			want:    map[string]int{"dead": 1},
		},
		"a dead letter of the same user's code of the same id": {
			happens: func(h *happened, add func(*published) *published) {
				h.dies(add(sms(1, ofUser, last(1))))
				add(sms(2, ofUser, named("m-1"), last(2)))
			},
			want: map[string]int{"dead": 1, "lost": 1},
		},
		"a dead letter of another app's code of the same id": {
			happens: func(h *happened, add func(*published) *published) {
				h.dies(add(sms(1, last(1))))
				add(sms(2, named("m-1"), forApp("second"), last(2)))
			},
			want: map[string]int{"dead": 1, "lost": 1},
		},
		"superseded by a newer code": {
			happens: func(h *happened, add func(*published) *published) {
				add(sms(1, ofUser, last(1)))
				h.accepts(add(sms(2, ofUser, last(2))), 0, 2)
			},
			want: map[string]int{"superseded": 1, "delivered": 1},
		},
		"an older code supersedes nothing": {
			happens: func(h *happened, add func(*published) *published) {
				h.accepts(add(sms(1, ofUser, last(1))), 0, 1)
				add(sms(2, ofUser, last(2)))
			},
			want: map[string]int{"delivered": 1, "lost": 1},
		},
		"two codes of one id, each accepted": {
			happens: func(h *happened, add func(*published) *published) {
				h.accepts(add(sms(1, last(1))), 0, 1)
				h.accepts(add(sms(2, named("m-1"), last(2))), 0, 2)
			},
			want: map[string]int{"delivered": 2},
		},
		"two codes of one id, one accepted twice": {
			happens: func(h *happened, add func(*published) *published) {
				h.accepts(add(sms(1, last(1))), 0, 1)
				h.accepts(h.published[0], 1, 2)
				add(sms(2, named("m-1"), last(2)))
			},
			want: map[string]int{"delivered": 1, "twice SMS": 1, "lost": 1},
		},
		"accepted twice, across a deleted stream": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, inStream(0, 1)))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 5)
			},
			want: map[string]int{"delivered": 1, "twice SMS": 1},
		},
		"accepted twice, and not acknowledged": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, refused))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 5)
			},
			want: map[string]int{"refused": 1, "twice SMS": 1},
		},
		"a mail accepted twice, in doubt": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, byMail, last(1)))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 5)
				h.isDoubted(m)
			},
			want: map[string]int{"delivered": 1, "twice mail": 1},
		},
		"a mail accepted twice, and only the second send tells it": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, byMail, last(1)))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 5)
				h.isResent(m)
			},
			want: map[string]int{"delivered": 1, "twice mail": 1, "unreported": 1},
		},
		"a mail accepted twice, and the log tells that the doubt's outcome is lost": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, byMail, last(1)))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 5)
				h.losesAnOutcome(m)
			},
			want: map[string]int{"delivered": 1, "twice mail": 1, "unreported": 1},
		},
		"a mail accepted twice, the doubt's outcome is lost, and the second send tells it": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, byMail, last(1)))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 5)
				h.losesAnOutcome(m)
				h.isResent(m)
			},
			want: map[string]int{"delivered": 1, "twice mail": 1},
		},
		"a mail accepted twice, and another of the same id and user in doubt": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, byMail, ofUser, last(1)))
				h.accepts(m, 0, 1)
				h.accepts(m, 1, 1.5)
				other := add(sms(3, byMail, ofUser, named("m-1"), last(2)))
				h.isDoubted(other)
				h.accepts(other, 0, 3)
			},
			want: map[string]int{"delivered": 2, "twice mail": 1, "unreported": 1},
		},
		"sent after it had expired": {
			happens: func(h *happened, add func(*published) *published) { h.accepts(add(sms(1, last(1), expires(2))), 0, 3) },
			want:    map[string]int{"delivered": 1, "late": 1},
		},
		"tried after it had expired": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, last(1), expires(2)))
				h.tries(m, 0, 3)
				h.dies(m)
			},
			want: map[string]int{"dead": 1, "late": 1},
		},
		"tried when it had expired while the machine stood still": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, last(1), expires(2)))
				h.stalls = []span{{at(2.1), at(2.9)}}
				h.tries(m, 0, 3)
				h.dies(m)
			},
			want: map[string]int{"dead": 1},
		},
		"tried after it had expired, and the machine stood still before": {
			happens: func(h *happened, add func(*published) *published) {
				m := add(sms(1, last(1), expires(2)))
				h.stalls = []span{{at(1), at(2)}}
				h.tries(m, 0, 3)
				h.dies(m)
			},
			want: map[string]int{"dead": 1, "late": 1},
		},
		"sent by a worker whose clock is behind": {
			skews:   []time.Duration{0, behind},
			happens: func(h *happened, add func(*published) *published) { h.accepts(add(sms(1, last(1), expires(2))), 1, 50) },
			want:    map[string]int{"delivered": 1, "skewed": 1},
		},
		"sent by a worker whose clock is not so far behind": {
			skews:   []time.Duration{0, behind},
			happens: func(h *happened, add func(*published) *published) { h.accepts(add(sms(1, last(1), expires(2))), 1, 63) },
			want:    map[string]int{"delivered": 1, "late": 1},
		},
		"sent late by a worker beside one whose clock is behind": {
			skews:   []time.Duration{0, behind},
			happens: func(h *happened, add func(*published) *published) { h.accepts(add(sms(1, last(1), expires(2))), 0, 50) },
			want:    map[string]int{"delivered": 1, "late": 1},
		},
		"sent late by a worker whose clock is ahead": {
			skews:   []time.Duration{0, ahead},
			happens: func(h *happened, add func(*published) *published) { h.accepts(add(sms(1, last(1), expires(2))), 1, 3) },
			want:    map[string]int{"delivered": 1, "late": 1},
		},
		"tried after a newer code was accepted": {
			happens: func(h *happened, add func(*published) *published) {
				h.accepts(add(sms(1, ofUser, last(1))), 0, 4)
				h.accepts(add(sms(2, ofUser, last(2))), 0, 2)
			},
			want: map[string]int{"delivered": 2, "after newer": 1},
		},
		"tried after a newer code was accepted, while the machine stood still": {
			happens: func(h *happened, add func(*published) *published) {
				h.stalls = []span{{at(2.1), at(3)}}
				h.accepts(add(sms(1, ofUser, last(1))), 0, 3)
				h.accepts(add(sms(2, ofUser, last(2))), 0, 2)
			},
			want: map[string]int{"delivered": 2},
		},
		"tried after an older code was accepted, of a stream that had counted further": {
			happens: func(h *happened, add func(*published) *published) {
				h.accepts(add(sms(1, ofUser, inStream(0, 200))), 0, 2)
				h.accepts(add(sms(2, ofUser, last(3))), 0, 3)
			},
			want: map[string]int{"delivered": 2},
		},
		"a code to another recipient": {
			happens: func(h *happened, add func(*published) *published) {
				h.accepts(add(sms(1, last(1))), 0, 1)
				h.accepts(sms(1, byMail), 0, 2)
			},
			want: map[string]int{"delivered": 1, "strange": 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h happened
			tt.happens(&h, func(m *published) *published {
				h.published = append(h.published, m)
				return m
			})
			if _, got := h.judged(tt.skews...); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestOracleTells: the report of a broken promise names the message, how often and when it was
// sent, by which worker, and the faults at that time.
func TestOracleTells(t *testing.T) {
	h := happened{faults: []*event{
		{kind: WorkerStop, what: "worker 1 stopped", from: at(0.5), to: at(3)},
		{kind: WorkerKill, what: "worker 0 killed", from: at(7), to: at(8)},
	}}
	m := sms(1, inStream(1, 42))
	h.published = []*published{m, sms(4, named("m-1"), inStream(1, 43))}
	h.accepts(m, 0, 2)
	h.attempts[0].fault = "cut after"
	h.accepts(m, 1, 3.25)
	h.accepts(h.published[1], 0, 4)
	r, _ := h.judged()
	const want = "m-1 (code 000001 on codeferry.send.default.sms.SignIn.k1, the id is also that of code 000004), published +1.000s, message 42 of stream 1; " +
		"accepted 2 times +2.000s +3.250s; requests: +2.000s by worker 0 (cut after) +3.250s by worker 1; meanwhile: worker 1 stopped +0.500s to +3.000s"
	if len(r.TwiceSMS) != 1 || r.TwiceSMS[0] != want {
		t.Errorf("got  %q\nwant %q", r.TwiceSMS, want)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "1 SMS sent twice") || !strings.Contains(err.Error(), want) {
		t.Errorf("the report's error is %v", err)
	}
}
