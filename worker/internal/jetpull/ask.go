package jetpull

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// forConsumer is the last token of the subject of an answer about the consumer. The last
// token of an answer to a request for messages is the request's number and size: it
// distinguishes the requests, and the server's status messages come to that subject.
const forConsumer = "c"

// forLeader is that of an answer about the consumer's leader.
const forLeader = "l"

// ask decides whether to make a request at once or to gather first. It makes none if
// enough is asked for already. It does not gather if nothing is asked for, or if many
// messages are wanted.
func (p *Puller) ask(wanted func() int) error {
	more := wanted() - p.asked
	switch {
	case more <= 0 || p.asked >= max(1, p.o.Slots/2) || p.level:
	case !p.refused && (p.asked == 0 || more >= p.o.Slots/8):
		return p.request(more)
	case !p.gathering:
		p.gathering = true
		wait := gatherTime
		if p.refused {
			wait = refusedPause
		}
		p.gather.Reset(wait)
	}
	return nil
}

// request asks for n more messages. If no request was open for a while, it first asks
// about the consumer.
func (p *Puller) request(n int) error {
	if n <= 0 || p.looking || p.level {
		return nil
	}
	if p.asked == 0 {
		p.heard = time.Now()
		if p.heard.Sub(p.since) > unwatched {
			p.looking = true
			return p.look(forConsumer)
		}
	}
	for range maxRequests {
		part := n
		if p.o.MaxBatch > 0 {
			part = min(n, p.o.MaxBatch)
		}
		if err := p.requestPart(part); err != nil {
			return err
		}
		if n -= part; n <= 0 {
			return nil
		}
	}
	return nil
}

// look asks about the consumer.
func (p *Puller) look(answer string) error {
	return p.publish(p.o.APIPrefix+"CONSUMER.INFO."+p.o.Stream+"."+p.o.Consumer, p.inbox+answer, nil)
}

// askAgain asks, during a silence, about the consumer if that is what the Puller waits for, and
// otherwise about its leader.
func (p *Puller) askAgain() error {
	p.askedLeader = p.active
	switch {
	case p.looking:
		return p.look(forConsumer)
	case p.o.Leader != "":
		return p.look(forLeader)
	}
	return nil
}

// maxRequests is how many requests are made at once if the consumer allows only a few
// messages in one request.
const maxRequests = 8

// requestPart makes one request.
func (p *Puller) requestPart(n int) error {
	p.requests++
	b := p.scratch[:0]
	b = append(b, p.inbox...)
	b = strconv.AppendUint(b, p.requests, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(n), 10)
	reply := len(b)
	b = append(b, `{"expires":`...) // in nanoseconds
	b = strconv.AppendInt(b, int64(p.expires()), 10)
	b = append(b, `,"batch":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, '}')
	p.scratch = b
	if err := p.publish(p.subject, string(b[:reply]), b[reply:]); err != nil {
		return err
	}
	p.asked += n
	return nil
}

// expires returns how long the server has to keep a request.
func (p *Puller) expires() time.Duration {
	if p.o.MaxExpires > 0 {
		return min(requestExpires, p.o.MaxExpires)
	}
	return requestExpires
}

// publish sends a request. An error while the client reconnects is ignored: Next returns
// ErrRenew once the connection is back.
func (p *Puller) publish(subject, reply string, body []byte) error {
	if err := p.conn.PublishRequest(subject, reply, body); err != nil && (p.conn.IsConnected() || p.conn.IsClosed()) {
		return fmt.Errorf("ask for messages: %w", err)
	}
	return nil
}

// note applies a status message to the request that it is about; subject is the status
// message's.
func (p *Puller) note(subject string, s status) {
	p.refused = p.refused || s.refused
	number, size := p.requestOf(subject)
	switch {
	case number <= p.lost: // the request does not count any more, or is not known
	case s.lost:
		p.lost = p.requests
		p.ended(p.asked)
	case s.whole:
		p.ended(size)
	default:
		p.ended(s.ended)
	}
}

// requestOf returns the number and the size of the request that a status message is about;
// 0 if the request is not this Puller's.
func (p *Puller) requestOf(subject string) (number uint64, size int) {
	token, _ := strings.CutPrefix(subject, p.inbox)
	first, second, _ := strings.Cut(token, "-")
	number, _ = strconv.ParseUint(first, 10, 64) // a token that is not a number is read as 0
	if number > p.requests {
		number = 0
	}
	n, _ := strconv.ParseUint(second, 10, 31) // the same
	return number, int(n)
}

// ended notes that n of the messages that were asked for came, or will not come.
func (p *Puller) ended(n int) {
	if p.asked == 0 {
		return
	}
	if p.asked = max(0, p.asked-n); p.asked == 0 {
		p.since, p.level = p.active, false
	}
}
