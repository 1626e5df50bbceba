// Package waiting reads the messages that wait in CODEFERRY, and says why each one waits, as
// far as the stream, its consumers and the ledger tell. It takes no message from the workers:
// it reads the stream one message at a time, and makes no consumer.
package waiting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// Message is a message that waits.
type Message struct {
	// ID is the publisher's, as it may be shown.
	ID      string           `json:"id"`
	App     string           `json:"app"`
	Channel messages.Channel `json:"channel"`
	Type    messages.Type    `json:"type,omitempty"`
	// Key is the subject's; it is left out if it shows an address.
	Key string `json:"key,omitempty"`
	// To is the masked recipient; it is left out if the message is sealed and could not be
	// opened.
	To string `json:"to,omitempty"`
	// Sealed tells that the message could not be opened here.
	Sealed bool `json:"sealed,omitempty"`
	// Epoch counts the message's replays.
	Epoch int `json:"epoch,omitempty"`
	// Sequence and StoredAt are where and when the stream stored it.
	Sequence uint64    `json:"sequence"`
	StoredAt time.Time `json:"storedAt"`
	// ExpiresAt is when its code expires; nil if the message does not say it, and the app's
	// codeTTL is not known here.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// Attempts counts the requests that were made for it; nil if that is not known.
	Attempts *int `json:"attempts,omitempty"`
	// Why is why it waits, Detail the same in words.
	Why    Why    `json:"why"`
	Detail string `json:"detail"`
	// Connectors are those that Why speaks of.
	Connectors []string `json:"connectors,omitempty"`
	// RetryAt is when it is taken up again at the earliest, if that is known. If it is past,
	// the message is late, or was deferred since.
	RetryAt *time.Time `json:"retryAt,omitempty"`

	// to is the whole address; "" if it is not known.
	to string
	// putBackLast tells that it was put back without an attempt since its last outcome.
	putBackLast bool
	// silent tells that Why rests on the ledger's silence.
	silent bool
}

// IsTo tells whether a message is to an address, and whether that is known.
func (m *Message) IsTo(same func(whole string) bool) (is, known bool) {
	if m.to == "" {
		return false, false
	}
	return same(m.to), true
}

// Filter says which messages are wanted; what is empty takes any.
type Filter struct {
	App string
	// Channel is one of them; "" for both.
	Channel messages.Channel
	// Key is the subject's.
	Key string
}

func (f Filter) subject() string {
	orAny := func(token string) string {
		if token == "" {
			return "*"
		}
		return token
	}
	return messages.Subject{App: orAny(f.App), Channel: messages.Channel(orAny(string(f.Channel))), Type: "*", Key: orAny(f.Key)}.String()
}

// Options say what is known here beside what NATS tells. The zero value is good.
type Options struct {
	// Opener opens sealed messages. Default: what is sealed stays so.
	Opener *wire.Opener
	// CodeTTL is how long an app's codes are good that say nothing themselves; 0 if that is
	// not known. Default: it is not known.
	CodeTTL func(app string) time.Duration
}

// Reader reads what waits, as of when it was opened. It may be used by many goroutines at
// once.
type Reader struct {
	stream jetstream.Stream
	state  jetstream.StreamState
	// bucket is nil if there is no ledger.
	bucket    ledger.Bucket
	consumers map[messages.Channel]*Consumer
	opts      Options
}

// Consumer is how far a channel's workers have come.
type Consumer struct {
	Channel messages.Channel `json:"channel"`
	// Waiting are the messages that no worker has taken yet, Taken those that one has, and
	// that are in flight or wait to be handed out again.
	Waiting uint64 `json:"waiting"`
	Taken   int    `json:"taken"`
	// Asked tells that a worker asks for messages at this moment.
	Asked bool `json:"asked"`
	// Paused tells that somebody has paused it.
	Paused bool `json:"paused,omitempty"`

	// delivered is the highest sequence that was handed out.
	delivered uint64
	made      time.Time
}

// Open looks at the stream, its consumers and the ledger. What is missing but the stream
// is told of with each message.
func Open(ctx context.Context, js jetstream.JetStream, o Options) (*Reader, error) {
	if o.Opener == nil {
		o.Opener = wire.NewOpener()
	}
	if o.CodeTTL == nil {
		o.CodeTTL = func(string) time.Duration { return 0 }
	}
	r := &Reader{consumers: make(map[messages.Channel]*Consumer), opts: o}
	var err error
	if r.stream, err = js.Stream(ctx, wire.StreamName); err != nil {
		return nil, fmt.Errorf("look at the stream %s: %w", wire.StreamName, err)
	}
	r.state = r.stream.CachedInfo().State
	for _, channel := range messages.Channels() {
		c, err := js.Consumer(ctx, wire.StreamName, string(channel))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at the consumer %s of %s: %w", channel, wire.StreamName, err)
		}
		info := c.CachedInfo() // Consumer has just asked for it
		r.consumers[channel] = &Consumer{
			Channel: channel, Waiting: info.NumPending, Taken: info.NumAckPending, Asked: info.NumWaiting > 0, Paused: info.Paused, delivered: info.Delivered.Stream, made: info.Created,
		}
	}
	kv, err := js.KeyValue(ctx, wire.LedgerName)
	switch {
	case err == nil:
		r.bucket = kv
	case !errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, fmt.Errorf("look at the ledger: %w", err)
	}
	return r, nil
}

// Stream returns what the stream said when the reader was opened.
func (r *Reader) Stream() *jetstream.StreamInfo { return r.stream.CachedInfo() }

// Consumer returns how far a channel's workers have come; nil if there is no consumer.
func (r *Reader) Consumer(c messages.Channel) *Consumer { return r.consumers[c] }

// Bare calls f with every message that waits and that is wanted, in no order and one at a
// time, without a look at why it waits. It blocks until all are read; an error of f ends it.
func (r *Reader) Bare(ctx context.Context, want Filter, f func(Message) error) error {
	return r.inParts(ctx, want, false, f)
}

// parts is how many parts of the stream All reads at once.
const parts = 8

// All calls f with every message that waits and that is wanted, in no order, one at a
// time. It blocks until all are read; an error of f ends it.
func (r *Reader) All(ctx context.Context, want Filter, f func(Message) error) error {
	return r.inParts(ctx, want, true, f)
}

func (r *Reader) inParts(ctx context.Context, want Filter, why bool, f func(Message) error) error {
	if r.state.Msgs == 0 {
		return nil
	}
	_, err := r.inRange(ctx, want, why, r.state.FirstSeq, r.state.LastSeq, f)
	return err
}

// Pages calls f with every message that waits and that is wanted, oldest first, many at a
// time: size of them or more, and never more than five times size. f must not keep the slice.
// It blocks until all are read; an error of f ends it.
func (r *Reader) Pages(ctx context.Context, want Filter, size int, f func([]Message) error) error {
	if r.state.Msgs == 0 {
		return nil
	}
	const widest = 4 // times size
	narrowest := uint64(max(1, size))
	span := narrowest
	var page []Message
	for next := r.state.FirstSeq; next <= r.state.LastSeq; {
		before := len(page)
		after, err := r.inRange(ctx, want, true, next, min(next+span-1, r.state.LastSeq), func(m Message) error {
			page = append(page, m)
			return nil
		})
		if err != nil {
			return err
		}
		next = after
		if len(page)-before < size/2 {
			span = min(2*span, widest*narrowest) // few of these sequences still wait
		}
		if len(page) < size && next <= r.state.LastSeq {
			continue
		}
		slices.SortFunc(page, func(a, b Message) int { return cmp.Compare(a.Sequence, b.Sequence) })
		if len(page) > 0 {
			if err := f(page); err != nil {
				return err
			}
		}
		page = page[:0]
	}
	return nil
}

// inRange reads the messages from one sequence to another, in parts at once. It returns the
// next sequence that is worth a look after them.
func (r *Reader) inRange(ctx context.Context, want Filter, why bool, from, to uint64, f func(Message) error) (after uint64, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var mu sync.Mutex
	var wg sync.WaitGroup
	step := (to-from)/parts + 1
	for first := from; first <= to; first += step {
		last := min(first+step-1, to)
		wg.Go(func() {
			next, err := r.read(ctx, want, why, first, last, func(m Message) error {
				mu.Lock()
				defer mu.Unlock()
				return f(m)
			})
			if err != nil {
				stop(err)
			}
			if last == to { // the last part alone
				after = next
			}
		})
	}
	wg.Wait()
	return after, context.Cause(ctx)
}

// Oldest calls f with the oldest messages that wait and that are wanted, oldest first,
// until it returns false or there are no more.
func (r *Reader) Oldest(ctx context.Context, want Filter, f func(Message) bool) error {
	if r.state.Msgs == 0 {
		return nil
	}
	_, err := r.read(ctx, want, true, r.state.FirstSeq, r.state.LastSeq, func(m Message) error {
		if !f(m) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// At returns the message at a place of the stream, and nil if it does not wait any more.
func (r *Reader) At(ctx context.Context, sequence uint64) (*Message, error) {
	raw, err := r.stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // that it does not wait is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", wire.StreamName, err)
	}
	m := r.open(raw)
	return &m, r.explain(ctx, raw, &m)
}

var errEnough = errors.New("enough")

// read reads the messages from one sequence to another. It returns the sequence of the next
// message after them, or one after the end of the stream if there is none.
func (r *Reader) read(ctx context.Context, want Filter, why bool, next, last uint64, f func(Message) error) (after uint64, err error) {
	for subject := want.subject(); next <= last; {
		raw, err := r.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return r.state.LastSeq + 1, nil
		}
		if err != nil {
			return next, fmt.Errorf("read %s: %w", wire.StreamName, err)
		}
		if raw.Sequence > last {
			return raw.Sequence, nil
		}
		m := r.open(raw)
		if why {
			if err := r.explain(ctx, raw, &m); err != nil {
				return next, err
			}
		}
		if err := f(m); err != nil {
			return next, err
		}
		next = raw.Sequence + 1
	}
	return next, nil
}

// ledgerTimeout bounds each look into the ledger.
const ledgerTimeout = 10 * time.Second

// explain says why a stored message waits.
func (r *Reader) explain(ctx context.Context, raw *jetstream.RawStreamMsg, m *Message) error {
	place := ledger.Place{Sequence: raw.Sequence, StoredAt: raw.Time.UnixNano()}
	var entry *ledger.Entry
	if r.bucket != nil {
		var err error
		record := ledger.Record{Key: ledger.Key(raw.Header.Get(jetstream.MsgIDHeader), raw.Subject, raw.Data, place)}
		if entry, err = ledger.New(r.bucket, "", ledgerTimeout).Read(ctx, &record); err != nil {
			if ctx.Err() != nil {
				return err
			}
			m.because(WhyUnknown, "its entry in the ledger can't be read: "+err.Error())
			return nil
		}
	}
	m.explain(r.consumers[m.Channel], entry, place, r.bucket != nil)
	return nil
}

// open reads what the message itself says.
func (r *Reader) open(raw *jetstream.RawStreamMsg) Message {
	m := Message{Sequence: raw.Sequence, StoredAt: raw.Time, Epoch: wire.Epoch(raw.Header), App: wire.HiddenKey}
	subject, err := wire.ParseSubject(raw.Subject)
	m.Channel = subject.Channel
	if wire.ValidApp(subject.App) {
		m.App = subject.App
	}
	code, wrong := wire.Decode(raw.Data, subject.Channel)
	if code == nil {
		code = new(messages.SendCode)
	}
	if wrong == nil && r.opts.Opener.Open(raw.Subject, code) != nil {
		m.Sealed = true
	}
	if subject.Type.Valid() {
		m.Type = subject.Type.Canonical()
	}
	m.to = code.To
	if code.To != "" {
		m.To = messages.Mask(code.To)
	}
	m.ID = wire.MaskID(wire.MessageID(raw.Header, code, raw.Sequence), code.To)
	if err == nil && !wire.ShowsAddress(subject.Key, code.To) {
		m.Key = subject.Key
	}
	switch ttl := r.opts.CodeTTL(m.App); {
	case !code.ExpiresAt.IsZero():
		m.ExpiresAt = &code.ExpiresAt
	case ttl > 0:
		at := raw.Time.Add(ttl)
		m.ExpiresAt = &at
	}
	return m
}
