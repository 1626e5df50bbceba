package jetpull

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Options tell a Puller what to pull.
type Options struct {
	Conn *nats.Conn
	// APIPrefix is JetStream's API prefix, with its final dot: "$JS.API." or that of a
	// domain.
	APIPrefix string
	Stream    string
	Consumer  string
	// Created is when the consumer was made, according to the server. It distinguishes the
	// consumer from a later one with the same name. Look it up just before New.
	Created time.Time
	// Leader is the server that leads the consumer, according to the same lookup. Default: "",
	// the consumer has no replicas.
	Leader string
	// AckWait is the consumer's AckWait.
	AckWait time.Duration
	// Slots is the most messages that are ever wanted at once.
	Slots int
	// MaxBatch is the most messages that the consumer allows in one request. MaxExpires is
	// the longest expiry that it allows for a request. Default: 0, no limit.
	MaxBatch   int
	MaxExpires time.Duration
	// Answered is called once, by Next, when the server has accepted a request. Default:
	// no call.
	Answered func()
}

// Times of the pull protocol.
const (
	// requestExpires is how long the server keeps a pull request. A request can't be
	// cancelled without losing the messages that are sent for it at that moment, so End
	// can take this long.
	requestExpires = 300 * time.Millisecond
	// silent is how long the server may send nothing while a request is open. The server
	// reports each request that expires, so after this time it has forgotten the request.
	// The time is longer than a burst keeps a server busy: a message that the server sends
	// to a Puller that has gone is in doubt. A connection on which nothing at all comes is
	// closed earlier (messages.Connect).
	silent = requestExpires + 7*time.Second
	// askLeaderAfter is how long the server may send nothing before the Puller asks who leads
	// the consumer, and how long it waits before it asks again. Another leader does not know
	// the open requests, so there is no need to wait any longer. During an election nobody
	// answers.
	askLeaderAfter = requestExpires + 700*time.Millisecond
	// levelAfter is how long requests may be open without a pause. After that the Puller
	// lets them all end once. Otherwise it would wait for ever for messages that got lost
	// on their way.
	levelAfter = time.Minute
	// gatherTime is how long wanted messages are gathered into one request.
	gatherTime = 250 * time.Microsecond
	// refusedPause is the pause after the server has refused a request.
	refusedPause = 100 * time.Millisecond
	// unwatched is how long no request may be open before the Puller asks about the
	// consumer again. The server answers an open request if the consumer is deleted.
	// Without one, the next request could reach a new consumer of the same name.
	unwatched = 100 * time.Millisecond
)

// Puller asks the server for as many messages as are wanted at the moment. Only one
// goroutine may use it.
type Puller struct {
	o        Options
	conn     conn
	sub      *nats.Subscription
	incoming chan *nats.Msg
	statuses chan nats.Status
	// inbox is the prefix of the answers' subjects, and leaderAnswer the subject of the answer
	// about the leader. subject is that of requests.
	inbox, leaderAnswer, subject string
	// scratch is a buffer for the text of requests.
	scratch []byte

	// asked is how many messages are asked for and have not come. since is when asked was
	// last 0.
	asked int
	since time.Time
	// requests counts the requests. The server has forgotten those up to lost.
	requests, lost uint64
	// level is true while no request is made until the open ones have ended.
	level bool
	// looking is true while the Puller waits for the answer about the consumer.
	looking bool
	// askedLeader is when the Puller last asked about the consumer during a silence.
	askedLeader time.Time
	// refused is true during the pause after a refused request.
	refused bool
	// answered is true once the server has accepted a request.
	answered bool

	// active is when this goroutine last ran for certain.
	active time.Time
	// heard is when something came last, or was first asked for. After a silence, a
	// message that comes before settled may have been sent as early as quiet.
	heard, quiet, settled time.Time
	beat                  *time.Ticker

	gather    *time.Timer
	gathering bool
}

// conn is the part of a connection that a Puller uses.
type conn interface {
	Publisher
	requester
	IsConnected() bool
	IsClosed() bool
}

// New returns a Puller, which makes no request yet. The caller has to call End.
func New(o Options) (*Puller, error) {
	p := newPuller(o, o.Conn, o.Conn.NewInbox()+".")
	p.statuses = o.Conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	sub, err := o.Conn.ChanSubscribe(p.inbox+"*", p.incoming)
	if err != nil {
		p.End()
		return nil, fmt.Errorf("listen for messages: %w", err)
	}
	p.sub = sub
	return p, nil
}

func newPuller(o Options, c conn, inbox string) *Puller {
	now := time.Now()
	p := &Puller{
		o: o, conn: c, inbox: inbox, leaderAnswer: inbox + forLeader, subject: o.APIPrefix + "CONSUMER.MSG.NEXT." + o.Stream + "." + o.Consumer,
		incoming: make(chan *nats.Msg, 4*o.Slots+64), // more than is ever asked for, and room for status messages
		since:    now, active: now, heard: now,
		beat: time.NewTicker(beat), gather: time.NewTimer(time.Hour),
	}
	p.gather.Stop()
	return p
}

// Asked returns how many messages are asked for and have not come.
func (p *Puller) Asked() int { return p.asked }

// Next waits for the next message. It asks the server for as many messages as wanted
// returns, less those that are asked for already. It calls wanted again whenever something
// changes. Next returns no message and no error when wake has a value.
//
// The comments on ErrConsumerGone, ErrRenew and ErrStalled say what to do next. After any
// error the caller has to call End. After a message the caller has to call Next again at
// once: a pause between two calls counts as a stall.
func (p *Puller) Next(ctx context.Context, wake <-chan struct{}, wanted func() int) (*Message, error) {
	m, err := p.next(ctx, wake, wanted)
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrRenew) {
		p.asked = 0 // no more messages come
	}
	return m, err
}

func (p *Puller) next(ctx context.Context, wake <-chan struct{}, wanted func() int) (*Message, error) {
	for {
		if err := p.ask(wanted); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wake:
			return nil, nil //nolint:nilnil // the caller checks what has changed
		case <-p.beat.C:
			if err := p.check(); err != nil {
				return nil, err
			}
		case msg := <-p.incoming:
			if m, err := p.received(msg); m != nil || err != nil {
				return m, err
			}
		case <-p.gather.C:
			p.gathering, p.refused = false, false
			if err := p.request(wanted() - p.asked); err != nil {
				return nil, err
			}
		case status := <-p.statuses:
			if status == nats.CLOSED {
				return nil, fmt.Errorf("ask for messages: %w", nats.ErrConnectionClosed)
			}
			// The connection was lost. The server may or may not answer the requests of
			// the old one, so a new Puller has to ask.
			return nil, ErrRenew
		}
	}
}

// received handles what the server has sent. It returns no message and no error for a
// status message that does not concern the caller.
func (p *Puller) received(msg *nats.Msg) (*Message, error) {
	at, stalled := p.arrival()
	if stalled {
		return nil, ErrStalled
	}
	if msg.Subject == p.leaderAnswer {
		return nil, p.readLeader(msg) // the silence goes on
	}
	late := p.late(at)
	m, err := p.take(msg, at)
	if m != nil {
		m.Late = late
	}
	return m, err
}

// check fails if this process stood still, or the server is silent for too long.
func (p *Puller) check() error {
	switch _, stalled := p.arrival(); {
	case stalled:
		return ErrStalled
	case p.asked == 0 && !p.looking: // no answer is due
	case p.active.Sub(p.heard) > silent:
		p.asked = 0
		return ErrRenew
	default:
		p.level = p.level || p.asked > 0 && p.active.Sub(p.since) > levelAfter
		if p.active.Sub(p.heard) > askLeaderAfter && p.active.Sub(p.askedLeader) > askLeaderAfter {
			return p.askAgain()
		}
	}
	return nil
}

// arrival returns when a message that is received now may have come: now, or when this
// process began to stand still. stalled is true if it stood still for too long.
func (p *Puller) arrival() (at time.Time, stalled bool) {
	before, now := p.active, time.Now()
	p.active = now
	switch gap := now.Sub(before); {
	case gap > stallAfter(p.o.AckWait):
		return before, true
	case gap > 2*beat:
		return before, false
	}
	return now, false
}

// late returns how long ago the server may have handed out a message that comes now.
func (p *Puller) late(now time.Time) time.Duration {
	if now.Sub(p.heard) > 2*beat {
		p.quiet, p.settled = p.heard, now.Add(4*beat)
	}
	p.heard = now
	if now.Before(p.settled) {
		return now.Sub(p.quiet)
	}
	return 0
}

// take reads what came at a time: a message, a status message, or the answer about the
// consumer.
func (p *Puller) take(msg *nats.Msg, at time.Time) (*Message, error) {
	if msg.Reply == "" && msg.Subject == p.inbox+forConsumer {
		if !p.looking { // the answer of another server, or to an earlier question
			return nil, p.readLeader(msg)
		}
		return nil, p.readInfo(msg)
	}
	if isStatus(msg) {
		s, err := readStatus(msg)
		if err != nil {
			return nil, err
		}
		if !s.refused {
			p.accepted()
		}
		p.note(msg.Subject, s)
		return nil, nil //nolint:nilnil // a status message is not a message of the stream
	}
	m, err := Read(p.conn, msg, p.o, at)
	if err == nil {
		p.accepted()
		p.ended(1)
	}
	return m, err
}

// accepted notes that the server has accepted a request.
func (p *Puller) accepted() {
	if !p.answered && p.o.Answered != nil {
		p.o.Answered()
	}
	p.answered = true
}
