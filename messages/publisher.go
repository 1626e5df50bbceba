package messages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a caller may tell a failed publish by. With each of them, and with a
// *FieldError, the message was not stored; after any other error it may have been.
var (
	// ErrNoStream: no stream takes the subject; the streams are not there yet.
	ErrNoStream = errors.New("no stream takes the message; create the streams with `codeferry provision`, or start a worker")
	// ErrStreamFull: more codes wait than CODEFERRY holds. Try again later, or
	// tell the user to.
	ErrStreamFull = errors.New("the stream CODEFERRY is full: codes arrive faster than they are sent")
	// ErrNotConnected: there is no connection to NATS. The message was not kept
	// back and will not be sent later.
	ErrNotConnected = errors.New("not connected to NATS")
)

// Connect connects to NATS as a Publisher needs it: what is published while the
// connection is away fails at once instead of being kept back, so that a
// publish that failed never arrives later by surprise. Further options may
// follow; ReconnectBufSize is not theirs to change. It blocks until the
// connection stands, or the options' time-out (2s).
func Connect(url string, opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{nats.Name("codeferry publisher"), nats.MaxReconnects(-1)}, opts...)
	all = append(all, nats.ReconnectBufSize(-1))
	return nats.Connect(url, all...)
}

// PublisherOptions change how a Publisher waits. The zero value takes the defaults.
type PublisherOptions struct {
	// AckWait is how long one try waits for the stream's acknowledgement before
	// the message is published again with the same id, which the stream
	// recognizes. Default: 2s.
	AckWait time.Duration
	// Timeout bounds a publish with all its tries, where the context does not end
	// sooner. Default: 10s.
	Timeout time.Duration
	// MaxPending bounds the asynchronous publishes that wait for their
	// acknowledgement; beyond it PublishAsync blocks, for at most Timeout.
	// Default: 4096.
	MaxPending int
	// Sealer encrypts the address, the payload and the ip for the workers. Default:
	// none; they are published as they are.
	Sealer *Sealer
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Publisher publishes codes for a worker to send. It may be used by many
// goroutines at once.
type Publisher struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	opts PublisherOptions
}

// NewPublisher returns a Publisher on a connection made by Connect, or by
// nats.Connect with nats.ReconnectBufSize(-1); any other is refused. The
// connection stays the caller's to close.
func NewPublisher(nc *nats.Conn, opts PublisherOptions) (*Publisher, error) {
	if nc.Opts.ReconnectBufSize != -1 {
		return nil, errors.New("new publisher: the connection keeps back what it can't send, so that a failed publish could arrive later; connect with messages.Connect, or with nats.ReconnectBufSize(-1)")
	}
	if opts.AckWait <= 0 {
		opts.AckWait = 2 * time.Second
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.MaxPending <= 0 {
		opts.MaxPending = 4096
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	js, err := jetstream.New(nc,
		jetstream.WithPublishAsyncMaxPending(opts.MaxPending),
		jetstream.WithPublishAsyncTimeout(opts.AckWait))
	if err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	return &Publisher{nc: nc, js: js, opts: opts}, nil
}

// Ack says that the stream has stored a message: from here on it is sent, or
// stands as a dead letter that says why.
type Ack struct {
	// ID is the message's id, for outcomes and `codeferry status`.
	ID string
	// Sequence is the message's place in CODEFERRY.
	Sequence uint64
	// Duplicate tells that the stream had stored it before.
	Duplicate bool
}

// Publish publishes a message and waits until the stream has stored it. An
// empty s.App is DefaultApp, an empty s.Type the message's; an empty ID and
// CreatedAt are filled in m.
//
// A try that times out, or finds no connection, is repeated with the same id
// until the context ends or the options' Timeout is over. The error is a
// *FieldError for a message that is wrong, or wraps ErrNoStream, ErrStreamFull
// or ErrNotConnected; in these cases the message was not stored. After any
// other error, such as the context's, it may have been, and publishing m again
// is safe within the stream's duplicate window (5m).
func (p *Publisher) Publish(ctx context.Context, s Subject, m *SendCode) (Ack, error) {
	msg, err := p.message(s, m)
	if err != nil {
		return Ack{}, err
	}
	return p.publish(ctx, msg, m.ID, false)
}

// PublishAsync publishes a message and returns before the stream has stored it:
// Pending.Wait tells. It fails at once for a message that is wrong, and with
// ErrNotConnected where there is no connection; it blocks while MaxPending
// publishes wait.
func (p *Publisher) PublishAsync(s Subject, m *SendCode) (*Pending, error) {
	msg, err := p.message(s, m)
	if err != nil {
		return nil, err
	}
	future, err := p.js.PublishMsgAsync(msg, jetstream.WithStallWait(p.opts.Timeout))
	if err != nil {
		if p.nc.IsClosed() {
			err = nats.ErrConnectionClosed // nats.go does not always wrap it
		}
		return nil, publishError(msg.Subject, err)
	}
	return &Pending{p: p, msg: msg, id: m.ID, future: future}, nil
}

// Pending is an asynchronous publish on its way.
type Pending struct {
	p      *Publisher
	msg    *nats.Msg
	id     string
	future jetstream.PubAckFuture
}

// ID returns the message's id.
func (w *Pending) ID() string { return w.id }

// Wait blocks until the stream has stored the message. A publish that timed out
// is repeated with the same id, as by Publish, whose errors Wait has too. It is
// to be called once.
func (w *Pending) Wait(ctx context.Context) (Ack, error) {
	select {
	case ack := <-w.future.Ok():
		return Ack{ID: w.id, Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
	case err := <-w.future.Err():
		switch {
		case unsent(err):
			return w.p.publish(ctx, w.msg, w.id, false)
		case doubtful(err):
			return w.p.publish(ctx, w.msg, w.id, true)
		case noStream(err):
			return w.p.publish(ctx, w.msg, w.id, false)
		}
		return Ack{}, publishError(w.msg.Subject, err)
	case <-ctx.Done():
		return Ack{}, doubtError(w.id, ctx.Err())
	}
}

// message checks s and m and puts them on the wire.
func (p *Publisher) message(s Subject, m *SendCode) (*nats.Msg, error) {
	if s.App == "" {
		s.App = DefaultApp
	}
	if s.Type == "" {
		s.Type = m.Type
	}
	if m.Type == "" {
		m.Type = s.Type
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if err := m.Validate(s.Channel); err != nil {
		return nil, err
	}
	if s.Type.Canonical() != m.Type.Canonical() {
		return nil, &FieldError{"type", fmt.Sprintf("is %s in the message and %s in its subject", m.Type, s.Type)}
	}
	if s.Channel == SMS && sameNumber(s.Key, m.To) {
		return nil, &FieldError{"key", "is the recipient's address; it takes an opaque id such as the user's or the session's"}
	}
	now := p.opts.Now()
	if !m.ExpiresAt.IsZero() && !now.Before(m.ExpiresAt) {
		return nil, &FieldError{"expiresAt", "is over already; a code that has expired is not sent"}
	}
	if m.ID == "" {
		m.ID = NewID(now)
	}
	if m.CreatedAt.IsZero() {
		m.CreatedAt = now.UTC()
	}
	out := m
	if p.opts.Sealer != nil && m.Sealed == nil {
		sealed, err := p.opts.Sealer.Seal(s.String(), m)
		if err != nil {
			return nil, err
		}
		out = sealed
	}
	body, err := out.Encode()
	if err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, &FieldError{"body", fmt.Sprintf("has %d bytes; it takes at most %d", len(body), MaxBody)}
	}
	msg := nats.NewMsg(s.String())
	msg.Header.Set(jetstream.MsgIDHeader, m.ID)
	msg.Data = body
	return msg, nil
}

// sameNumber tells whether a key is a phone number in some form: with or
// without +, 00, the country's code and grouping.
func sameNumber(key, phone string) bool {
	k, p := Digits(key), Digits(phone)
	const national = 9 // so many digits are no id's by chance
	return k == p ||
		len(k) >= national && strings.HasSuffix(p, k) ||
		len(p) >= national && strings.HasSuffix(k, p)
}

// Waits between tries.
const (
	// electionWait is how long a stream may be without a leader: nobody answers
	// for it then, as for one that does not exist.
	electionWait = 10 * time.Second
	firstPause   = 50 * time.Millisecond
	longPause    = time.Second
)

// publish tries until the stream answers. doubt tells that an earlier try may
// have been stored; only an acknowledgement ends it, since a server may refuse
// a message before it looks whether it has it.
func (p *Publisher) publish(ctx context.Context, msg *nats.Msg, id string, doubt bool) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	var leaderless time.Time
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		closed := p.nc.IsClosed() // after the try it would not tell whether anything was sent
		try, cancelTry := context.WithTimeout(ctx, p.opts.AckWait)
		ack, err := p.js.PublishMsg(try, msg, jetstream.WithRetryAttempts(0)) // the retries are this loop's
		cancelTry()
		switch {
		case err == nil:
			return Ack{ID: id, Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
		case doubtful(err), errors.Is(err, nats.ErrConnectionClosed) && !closed:
			doubt = true
		case unsent(err):
		case noStream(err) && (leaderless.IsZero() || time.Since(leaderless) < electionWait):
			if leaderless.IsZero() {
				leaderless = time.Now()
			}
		case doubt:
			return Ack{}, doubtError(id, err)
		default:
			return Ack{}, publishError(msg.Subject, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		switch {
		case ctx.Err() == nil:
		case doubt:
			return Ack{}, doubtError(id, ctx.Err())
		default:
			return Ack{}, publishError(msg.Subject, err)
		}
	}
}

// doubtful tells whether the message may have been stored although no answer came.
func doubtful(err error) bool {
	var write *net.OpError
	return errors.As(err, &write) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrAsyncPublishTimeout) ||
		errors.Is(err, nats.ErrDisconnected) // the connection went while the answer was awaited
}

// unsent tells whether the message did not get out, for want of a connection.
func unsent(err error) bool { return errors.Is(err, nats.ErrReconnectBufExceeded) }

// noStream tells whether nobody answers for the subject: there is no stream, or
// its cluster elects a leader just now.
func noStream(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeClusterNotAvailable {
		return true
	}
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders)
}

// doubtError says that the message may have been stored.
func doubtError(id string, err error) error {
	return fmt.Errorf("publish %s: no acknowledgement came, and the message may have been stored: %w", id, err)
}

// The server's codes for a stream at its limits (JSStreamStoreFailedF carries
// the store's own words).
const (
	codeStoreFailed  = 10077
	codeInsufficient = 10023
	// codeClusterNotAvailable: the cluster has no leader.
	codeClusterNotAvailable = 10008
)

// publishError names the subject without its key, and classes the cause.
func publishError(subject string, err error) error {
	var api *jetstream.APIError
	switch {
	case noStream(err):
		err = fmt.Errorf("%w (%w)", ErrNoStream, err)
	case errors.As(err, &api) && (api.ErrorCode == codeStoreFailed || api.ErrorCode == codeInsufficient):
		err = fmt.Errorf("%w (%w)", ErrStreamFull, err)
	case unsent(err), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		err = fmt.Errorf("%w (%w)", ErrNotConnected, err)
	}
	s, _ := ParseSubject(subject)
	return fmt.Errorf("publish a %s code of app %s: %w", s.Channel, s.App, err)
}
