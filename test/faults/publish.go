package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// published is a message, and the result of its publish.
type published struct {
	messages.SendCode
	subject messages.Subject
	// borrowed says that the id is that of an earlier message.
	borrowed bool
	// bad says that the provider refuses its recipient.
	bad bool
	// begun and ended are the times of the publish.
	begun, ended time.Time
	// place is where it was stored, err is why it was not acknowledged.
	place place
	err   error
}

// trace identifies a message for the provider: no two messages have the same. An id or OutId
// can't identify it, because messages can share ids.
type trace struct{ to, code string }

func (m *published) trace() trace { return trace{m.To, m.Payload.Text("code")} }

// author makes a plan's messages, one after the other.
type author struct {
	plan   Plan
	random *rand.Rand
	// bad holds the times with bad recipients.
	bad    []moment
	recent []*published
}

func newAuthor(p Plan) *author {
	a := &author{plan: p, random: p.random("messages")}
	if p.Times[BadRecipients] > 0 {
		a.bad = awhile(BadRecipients)(p)
	}
	return a
}

const (
	// One in userKeys codes is for one of a few users, for whom another code may still wait;
	// users is their number.
	userKeys, users = 10, 20
	// One in shortLived codes is valid only for a short time.
	shortLived = 10
	// lendFor is the number of messages during which an id may be used again: the earlier
	// message with it has just been sent, or is still waiting.
	lendFor = 60
	// One in registers codes is for Register, the others are for SignIn.
	registers = 4
	// One in greys mails by SMTP is for a domain that greylists at times.
	greys = 3
)

// write makes the nth message.
func (a *author) write(n int) *published {
	now := time.Now().UTC()
	m := &published{begun: now}
	m.ID, m.Type, m.CreatedAt = fmt.Sprintf("m-%06d", n), messages.SignIn, now
	if a.random.IntN(registers) == 0 {
		m.Type = messages.Register
	}
	m.Payload = messages.Payload{"code": fmt.Sprintf("%06d", n)}
	app := a.random.IntN(len(a.plan.Apps))
	m.subject = messages.Subject{App: a.plan.Apps[app], Channel: messages.Channels()[n%2], Type: m.Type, Key: fmt.Sprintf("k%d", n)}
	if a.writesBad(m, n) {
		return m
	}
	person := n
	if a.random.IntN(userKeys) == 0 {
		user := a.random.IntN(max(1, users/len(a.plan.Apps)))
		m.subject.Key = fmt.Sprintf("user%d", user)
		person = 900_000_000 + 1000*app + user
	}
	m.To = fmt.Sprintf("13%09d", person)
	if m.subject.Channel == messages.Email {
		domain := "@example.com"
		if m.subject.App == postApp && person == n && a.random.IntN(greys) == 0 {
			domain = fmt.Sprintf("%s%d.example", greyDomain, a.random.IntN(greyDomains))
		}
		m.To = fmt.Sprintf("u%09d%s", person, domain)
	}
	if a.random.IntN(shortLived) == 0 {
		m.ExpiresAt = now.Add(500*time.Millisecond + time.Duration(a.random.Int64N(int64(8*time.Second))))
	}
	if a.random.Float64() < a.plan.SharedIDs && len(a.recent) > 0 {
		a.borrow(m, a.recent[a.random.IntN(len(a.recent))])
	}
	a.recent = append(a.recent, m)
	a.recent = a.recent[max(0, len(a.recent)-lendFor):]
	return m
}

// writesBad gives the nth message a bad recipient, if it should have one.
func (a *author) writesBad(m *published, n int) bool {
	at := time.Duration(n) * time.Second / time.Duration(a.plan.Rate)
	if !slices.ContainsFunc(a.bad, func(b moment) bool { return b.holds(at) }) || a.random.Float64() >= badShare {
		return false
	}
	m.bad, m.ExpiresAt = true, m.CreatedAt.Add(badLife)
	m.To = fmt.Sprintf("%s%08d", badNumber, n)
	if m.subject.Channel == messages.Email {
		m.To = fmt.Sprintf("u%09d%s", n, badDomain)
	}
	return true
}

// borrow gives a message the id of any earlier one; one time in three it becomes a newer code
// for the same user.
func (a *author) borrow(m, of *published) {
	m.ID, m.borrowed = of.ID, true
	if a.random.IntN(3) == 0 {
		m.subject, m.Type, m.To = of.subject, of.Type, of.To
	}
}

// publishAll publishes at the plan's rate. Nothing is promised for a publish without an
// acknowledgement.
func (r *run) publishAll(ctx context.Context) error {
	publisher, err := messages.NewPublisher(r.nc, messages.PublisherOptions{AckWait: publishWait, Timeout: publishTimeout})
	if err != nil {
		return err
	}
	a := newAuthor(r.plan)
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(time.Second / time.Duration(r.plan.Rate))
	defer tick.Stop()
	for n := range r.plan.Messages {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		m := a.write(n)
		r.published = append(r.published, m)
		wg.Go(func() { r.publish(ctx, publisher, m) })
	}
	return nil
}

const (
	// publishWait is how long one try waits for its acknowledgement.
	publishWait = time.Second
	// publishTimeout limits a publish with all its tries.
	publishTimeout = 30 * time.Second
)

// publish publishes a message until the stream has acknowledged it, or is deleted.
func (r *run) publish(ctx context.Context, publisher *messages.Publisher, m *published) {
	ctx, leave := r.streams.enter(ctx)
	var sequence uint64
	if m.borrowed {
		sequence, m.err = r.publishRaw(ctx, m)
	} else {
		ack, err := publisher.Publish(ctx, m.subject, &m.SendCode)
		sequence, m.err = ack.Sequence, err
	}
	m.ended, m.place = time.Now(), leave()
	m.place.sequence = sequence
}

// publishRaw publishes a message whose id another message has, too. A Publisher would make the
// same Nats-Msg-Id, and the stream would take it for a duplicate.
func (r *run) publishRaw(ctx context.Context, m *published) (sequence uint64, err error) {
	body, err := m.Encode()
	if err != nil {
		return 0, err
	}
	msg := nats.NewMsg(m.subject.String())
	msg.Data = body
	msg.Header.Set(jetstream.MsgIDHeader, "code-"+m.Payload.Text("code"))
	err = within(ctx, publishTimeout, "publish "+m.ID, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, publishWait)
		defer cancel()
		ack, err := r.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
		if err == nil {
			sequence = ack.Sequence
		}
		return err
	})
	return sequence, err
}
