package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// How messages are asked for.
const (
	// askExpires is how long the server keeps a request for messages.
	askExpires = 30 * time.Second
	// askHeartbeat is how often it says that it still does. Twice that without a
	// word means that it does not.
	askHeartbeat = 5 * time.Second
	// pullerAge is how long one inbox serves. A leader that goes silently takes along
	// what it was asked for; it is asked for anew after that.
	pullerAge = 5 * time.Minute
	// askGather is how long free slots are gathered into one request.
	askGather = 250 * time.Microsecond
	// askRefused is how long the server is left alone that has refused a request.
	askRefused = 100 * time.Millisecond
)

// puller asks the server for as many messages as there are free slots, and for
// those that come free before the answer is there: what is handed out can begin at
// once. Nothing lies in a buffer here while a newer code overtakes it, another
// worker idles or the server's patience with this one runs out; and whoever stops
// asking has nearly nothing to hand back. This is why it speaks JetStream's pull protocol itself: the client's own
// Consume fills a buffer, and its Fetch can't be ended without losing what is on
// its way.
type puller struct {
	nc       *nats.Conn
	sub      *nats.Subscription
	incoming chan *nats.Msg
	subject  string
	// asked is how many messages are asked for and have not come.
	asked int
	// refused is set while the server is left alone.
	refused bool

	gather    *time.Timer
	gathering bool
	silence   *time.Timer
	// old ends the puller at an age at which whatever it was not told of is over.
	old      *time.Timer
	statuses chan nats.Status
}

var errConsumerGone = errors.New("the consumer is gone")

// newPuller makes a puller for a lane's consumer. It asks for nothing yet.
func (l *lane) newPuller() (*puller, error) {
	nc := l.opts.Conn
	p := &puller{
		nc:       nc,
		incoming: make(chan *nats.Msg, 4*len(l.slots)+64), // more than can be asked for, and room for words of the server
		subject:  jetstream.DefaultAPIPrefix + "CONSUMER.MSG.NEXT." + messages.StreamName + "." + string(l.channel),
		gather:   time.NewTimer(askGather),
		silence:  time.NewTimer(2 * askHeartbeat),
		old:      time.NewTimer(pullerAge),
		statuses: nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED),
	}
	sub, err := nc.ChanSubscribe(nc.NewInbox(), p.incoming)
	if err != nil {
		p.end()
		return nil, fmt.Errorf("listen for messages: %w", err)
	}
	p.sub = sub
	return p, nil
}

// ask asks for n more messages.
func (p *puller) ask(n int) error {
	b, err := json.Marshal(struct {
		Expires   time.Duration `json:"expires"`
		Batch     int           `json:"batch"`
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}{askExpires, n, askHeartbeat})
	if err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	if err := p.nc.PublishRequest(p.subject, p.sub.Subject, b); err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	p.asked += n
	return nil
}

// heard takes what the server says that is no message. Its error means that
// asking on is no use.
func (p *puller) heard(msg *nats.Msg) error {
	description := msg.Header.Get("Description")
	switch status := msg.Header.Get("Status"); status {
	case "100": // it is still there
		return nil
	case "404", "408": // a request has ended
		p.give(msg)
		return nil
	case "409":
		if strings.Contains(description, "Consumer Deleted") {
			return errConsumerGone
		}
		if msg.Header.Get("Nats-Pending-Messages") != "" {
			p.give(msg)
		} else {
			p.asked = 0 // another leader, a server that goes: it knows of no request
		}
		p.refused = true
		return nil
	case "503":
		return errors.New("nobody answers for the consumer")
	default:
		return fmt.Errorf("the server refuses to hand out messages: %s %s", status, description)
	}
}

// give takes back what a request that has ended did not get.
func (p *puller) give(msg *nats.Msg) {
	n, err := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		n = 0
	}
	p.asked = max(0, p.asked-n)
}

// end stops the asking and returns what had been handed out meanwhile. After it
// nothing is on its way any more: the server has heard of it before it answers.
func (p *puller) end() []*nats.Msg {
	p.gather.Stop()
	p.silence.Stop()
	p.old.Stop()
	p.nc.RemoveStatusListener(p.statuses)
	if p.sub == nil {
		return nil
	}
	_ = p.sub.Drain()                 // it fails only where there is no connection, and nothing comes
	_ = p.nc.FlushTimeout(apiTimeout) // likewise
	// Where there was none, the client would listen again on the next one, and what the
	// server grants there would reach nobody.
	_ = p.sub.Unsubscribe()
	var rest []*nats.Msg
	for {
		select {
		case msg := <-p.incoming:
			if msg != nil && !isStatus(msg) {
				rest = append(rest, msg)
			}
			if msg == nil {
				return rest
			}
		default:
			return rest
		}
	}
}

// isStatus tells the server's own words from messages, which have where to
// acknowledge them.
func isStatus(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Reply == "" && msg.Header.Get("Status") != ""
}

// consume asks for messages and hands them to the slots, until ctx ends, every
// connector of the channel is open, or the consumer is gone. What was handed out
// and has not begun is handed back.
func (l *lane) consume(ctx context.Context) error {
	if err := l.ensureConsumer(ctx); err != nil {
		return err
	}
	for {
		p, err := l.newPuller()
		if err != nil {
			return err
		}
		l.waitFor(nil)
		again, err := l.consumeBy(ctx, p)
		for _, msg := range p.end() {
			l.release(context.WithoutCancel(ctx), &message{Msg: msg, nc: p.nc})
		}
		if !again {
			return err
		}
	}
}

// consumeBy is consume with one puller. again tells that another has to take its
// place: what this one has asked for may be granted or not, and where its inbox goes
// the server forgets it for certain.
func (l *lane) consumeBy(ctx context.Context, p *puller) (again bool, err error) {
	for {
		if l.paused() {
			return false, nil
		}
		if err := l.ask(p); err != nil {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-l.changed:
		case <-l.freed:
			free := l.free
			l.free++
			l.collectFreed()
			l.turnover.freed(l.free-free, time.Now())
		case msg := <-p.incoming:
			p.silence.Reset(2 * askHeartbeat)
			if isStatus(msg) {
				if err := p.heard(msg); err != nil {
					return false, err
				}
				continue
			}
			p.asked = max(0, p.asked-1)
			if !l.hand(ctx, &message{Msg: msg, nc: p.nc, arrived: time.Now(), waited: l.free <= 0}) {
				return false, nil
			}
		case <-p.gather.C:
			p.gathering, p.refused = false, false
			if err := l.askNow(p); err != nil {
				return false, err
			}
		case <-p.silence.C:
			return true, nil // whoever it was asked of may not know of it
		case <-p.old.C:
			return true, nil
		case status := <-p.statuses:
			if status == nats.CONNECTED {
				return true, nil // what was asked for over the old connection may still be granted
			}
		}
	}
}

// hand gives a message to the next slot that is free; false where ctx ends first, and
// the message is handed back. Until a slot has it, the heartbeat speaks for it.
func (l *lane) hand(ctx context.Context, msg *message) bool {
	if msg.waited {
		l.kept.add(msg)
	}
	select {
	case l.work <- msg:
		l.free--
		return true
	case <-ctx.Done():
		l.kept.remove(msg)
		l.release(context.WithoutCancel(ctx), msg)
		return false
	}
}

// collectFreed takes note of further slots that are free already.
func (l *lane) collectFreed() {
	for {
		select {
		case <-l.freed:
			l.free++
		default:
			return
		}
	}
}

// room is how many more messages may be asked for: as many as slots are free, or
// are about to be; and while a connector that was closed is tried again, one.
func (l *lane) room(p *puller) int {
	if l.probing() {
		return 1 - p.asked - (len(l.slots) - l.free)
	}
	return l.free + l.ahead() - p.asked
}

// ahead is how many messages to ask for beyond the free slots: as many as come free
// until they are there, an eighth of all at most, and only while nearly none is free.
func (l *lane) ahead() int {
	most := len(l.slots) / 8
	if l.free >= most {
		return 0
	}
	return min(l.turnover.soon(time.Now()), most)
}

// turnover is how fast slots come free.
type turnover struct {
	since time.Time
	count int
	// perSecond is that of the last window.
	perSecond float64
}

const (
	turnoverWindow = 20 * time.Millisecond
	// aheadTime is how long it takes from the asking to the message, on a busy machine.
	aheadTime = 2 * time.Millisecond
)

// freed takes note of n slots that came free.
func (t *turnover) freed(n int, now time.Time) {
	t.count += n
	if took := now.Sub(t.since); took >= turnoverWindow {
		t.perSecond = float64(t.count) / took.Seconds()
		t.since, t.count = now, 0
	}
}

// soon is how many slots come free within aheadTime; none where none came free just
// now.
func (t *turnover) soon(now time.Time) int {
	if now.Sub(t.since) > 3*turnoverWindow {
		return 0
	}
	return int(t.perSecond * aheadTime.Seconds())
}

// ask decides whether to ask at once or to gather. A worker that has asked for
// plenty lets it be; one with many idle slots does not wait, nor one to which nothing
// is on its way: what comes free until the answer is there is gathered by that.
func (l *lane) ask(p *puller) error {
	room := l.room(p)
	switch {
	case room <= 0 || p.asked >= max(1, len(l.slots)/2):
		return nil
	case !p.refused && (p.asked == 0 || room >= max(1, len(l.slots)/8)):
		return l.askNow(p)
	case !p.gathering:
		p.gathering = true
		wait := askGather
		if p.refused {
			wait = askRefused
		}
		p.gather.Reset(wait)
	}
	return nil
}

func (l *lane) askNow(p *puller) error {
	room := l.room(p)
	if room <= 0 {
		return nil
	}
	err := p.ask(room)
	if err != nil && !l.opts.Conn.IsConnected() && !l.opts.Conn.IsClosed() {
		return nil // it is asked again once the connection is back
	}
	return err
}

// ensureConsumer makes sure that the consumer is there, and notes how long it
// waits for a worker.
func (l *lane) ensureConsumer(ctx context.Context) error {
	consumer, err := l.js.Consumer(ctx, messages.StreamName, string(l.channel))
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := l.opts.Ensure(ctx); err != nil {
			return err
		}
		consumer, err = l.js.Consumer(ctx, messages.StreamName, string(l.channel))
	}
	if err != nil {
		return fmt.Errorf("look at the consumer: %w", err)
	}
	if wait := consumer.CachedInfo().Config.AckWait; wait > 0 {
		l.ackWait.Store(int64(wait))
	}
	return nil
}
