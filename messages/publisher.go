package messages

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/internal/inbox"
	"github.com/codeferry/codeferry/messages/internal/leave"
	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// PublisherOptions configure a [Publisher]. The zero value has the defaults.
type PublisherOptions struct {
	// AckWait is how long one try waits for the stream's acknowledgement. Then the
	// Publisher publishes the message again with the same Nats-Msg-Id, by which the
	// stream recognizes a duplicate. Default: 2s.
	AckWait time.Duration
	// Timeout bounds a publish with all its tries, unless the context ends sooner.
	// Default: 10s.
	Timeout time.Duration
	// MaxPending is the most asynchronous publishes that wait for their acknowledgement.
	// Beyond it PublishAsync blocks, for at most Timeout. Default: 4096.
	MaxPending int
	// Sealer encrypts the address, the payload and the ip for the workers. Default: none;
	// they are published in the clear.
	Sealer *Sealer
	// TraceParent returns the W3C traceparent of the span in a context, such as
	// OpenTelemetry's; empty if there is none. The message carries it, so that the worker's
	// spans are in the same trace. A value that is not a valid traceparent is left out.
	// PublishAsync and NewMsg have no context, and call it with context.Background().
	// Default: nil, and the message carries none.
	TraceParent func(ctx context.Context) string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Publisher publishes codes for a worker to send. It is safe for concurrent use. Package
// messagestest has a fake Publisher for tests.
type Publisher struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	opts PublisherOptions

	// answered says that the server permits the connection's inboxes.
	answered atomic.Bool
	// asking is held while a publish asks the server that.
	asking sync.Mutex
	// leaver leaves a server at which nothing is stored.
	leaver *leave.Leaver
}

// NewPublisher returns a Publisher on a connection made by [Connect], or by nats.Connect
// with nats.ReconnectBufSize(-1). With any other connection it returns an error. It does not
// block. The caller closes the connection.
//
// A server at which nothing is acknowledged for six seconds, such as a node that is cut off from
// its cluster, is left for another one of the connection's servers (nats.Conn.ForceReconnect).
func NewPublisher(nc *nats.Conn, opts PublisherOptions) (*Publisher, error) {
	if nc.Opts.ReconnectBufSize != -1 {
		return nil, errors.New("new publisher: the connection buffers messages while it is down, so a failed publish could arrive later; connect with messages.Connect, or with nats.ReconnectBufSize(-1)")
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
	return &Publisher{nc: nc, js: js, opts: opts, leaver: leave.New(nc, time.Now, nil)}, nil
}

// Ack says that the stream has stored a message. The message is then sent, is superseded by
// a newer code, or becomes a dead letter that says why. If you choose the ids, check
// Duplicate.
type Ack struct {
	// ID is the message's id, for outcomes and `codeferry status`. It is set beside an
	// error too, except a *FieldError.
	ID string
	// Sequence is the message's place in CODEFERRY.
	Sequence uint64
	// Duplicate reports that the stream has stored a message with the same id for the same
	// subject within the last five minutes. It keeps that message, whose Sequence this is,
	// and did not store this one. If you repeated the publish of the same code, this is
	// right. A new code was NOT stored and will not be sent: publish it again with another
	// id.
	Duplicate bool
}

// Publish publishes a message and waits until the stream has stored it. It publishes a copy
// of m with these defaults: s.App is [DefaultApp], s.Type is the message's type (and the
// other way round), ID is a new id, and CreatedAt is now. It does not change m, so several
// goroutines can publish the same m; leave its ID empty then.
//
// Publish repeats a try that times out, or that finds no connection, with the same id until
// the context ends or the options' Timeout has passed. The error is a *[FieldError] if the
// message is wrong, or wraps [ErrNoStream], [ErrStreamFull], [ErrNotConnected] or
// [ErrNoAnswers]; then the message was not stored. After any other error it may have been stored: [ErrInDoubt] means
// that no acknowledgement came, and wraps the context's error if the context ended. To
// publish the same code again, set m.ID to Ack.ID first: within the stream's duplicate
// window (5m) it is stored once.
//
// Within that window a message with the same id and the same subject is a duplicate, also if
// its content differs: the stream keeps the first one, and Publish sets Ack.Duplicate without
// an error. So each new code needs an id of its own, also a second code for the same user:
// leave m.ID empty, or check Ack.Duplicate. With another app, channel, type or key the same
// id is another message.
func (p *Publisher) Publish(ctx context.Context, s Subject, m *SendCode) (Ack, error) {
	out, err := prepare(ctx, s, m, p.opts)
	if err != nil {
		return Ack{}, err
	}
	if err := p.checkInbox(ctx, out); err != nil {
		return Ack{ID: out.id}, err
	}
	return p.publish(ctx, out, false)
}

// checkInbox returns ErrNoAnswers if the server refuses the connection's inboxes. Without
// this check it would store the message, and its acknowledgement would never arrive. It asks
// the server until it has permitted them once.
func (p *Publisher) checkInbox(ctx context.Context, out outgoing) error {
	if p.answered.Load() {
		return nil
	}
	p.asking.Lock()
	defer p.asking.Unlock()
	if p.answered.Load() || !p.nc.IsConnected() {
		return nil // without a connection the publish says so
	}
	ctx, cancel := context.WithTimeout(ctx, min(p.opts.AckWait, p.opts.Timeout))
	defer cancel()
	switch err := inbox.Check(ctx, p.nc); {
	case err == nil:
		p.answered.Store(true)
	case errors.Is(err, nats.ErrPermissionViolation):
		return publishError(out, fmt.Errorf("%w (%w)", ErrNoAnswers, err))
	}
	return nil // the server does not answer: the publish says so
}

// PublishAsync publishes a message like [Publisher.Publish], but returns before the stream
// has stored it: wait for the [Pending]. It fails at once if the message is wrong, with
// [ErrNotConnected] if there is no connection, and with [ErrNoAnswers] if no acknowledgement
// can arrive. It blocks while MaxPending publishes wait; the first one also waits for an
// answer of the server, for at most AckWait.
func (p *Publisher) PublishAsync(s Subject, m *SendCode) (Pending, error) {
	out, err := prepare(context.Background(), s, m, p.opts)
	if err != nil {
		return nil, err
	}
	if err := p.checkInbox(context.Background(), out); err != nil {
		return nil, err
	}
	future, err := p.js.PublishMsgAsync(out.msg, jetstream.WithStallWait(p.opts.Timeout))
	if err != nil {
		if p.nc.IsClosed() {
			err = nats.ErrConnectionClosed // nats.go does not always wrap it
		}
		return nil, publishError(out, err)
	}
	return &pending{p: p, out: out, future: future}, nil
}

// Pending is an asynchronous publish in flight. It is an interface so that a fake publisher
// can return one. New versions may add methods.
type Pending interface {
	// ID returns the message's id.
	ID() string
	// Wait blocks until the stream has stored the message, or ctx ends. Like Publish it
	// repeats a publish that timed out, with the same id, and returns the same errors.
	// Call it once.
	Wait(ctx context.Context) (Ack, error)
}

type pending struct {
	p      *Publisher
	out    outgoing
	future jetstream.PubAckFuture
}

func (w *pending) ID() string { return w.out.id }

func (w *pending) Wait(ctx context.Context) (Ack, error) {
	failed := Ack{ID: w.out.id}
	select {
	case ack := <-w.future.Ok():
		w.p.leaver.Answered()
		return Ack{ID: w.out.id, Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
	case err := <-w.future.Err():
		switch {
		case unsent(err):
			return w.p.publish(ctx, w.out, false)
		case doubtful(err):
			return w.p.publish(ctx, w.out, true)
		case noStream(err):
			return w.p.publish(ctx, w.out, false)
		}
		return failed, publishError(w.out, err)
	case <-ctx.Done():
		return failed, doubtError(w.out.id, ctx.Err())
	}
}

// Waits between tries.
const (
	// electionWait is how long a stream may be without a leader. Meanwhile nobody answers,
	// as if the stream did not exist.
	electionWait = 10 * time.Second
	firstPause   = 50 * time.Millisecond
	longPause    = time.Second
)

// publish tries until the stream answers. doubt means that an earlier try may have been
// stored. Only an acknowledgement ends the doubt: a server can refuse a message before it
// checks whether it is a duplicate.
func (p *Publisher) publish(ctx context.Context, out outgoing, doubt bool) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	failed := Ack{ID: out.id}
	var leaderless time.Time
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		closed, begun := p.nc.IsClosed(), time.Now() // after the try it would not show whether the message left
		try, cancelTry := context.WithTimeout(ctx, p.opts.AckWait)
		ack, err := p.js.PublishMsg(try, out.msg, jetstream.WithRetryAttempts(0)) // this loop retries
		cancelTry()
		p.heard(begun, err)
		switch {
		case err == nil:
			return Ack{ID: out.id, Sequence: ack.Sequence, Duplicate: ack.Duplicate}, nil
		case doubtful(err), errors.Is(err, nats.ErrConnectionClosed) && !closed:
			doubt = true
		case unsent(err):
		case noStream(err) && (leaderless.IsZero() || time.Since(leaderless) < electionWait):
			if leaderless.IsZero() {
				leaderless = time.Now()
			}
		case doubt:
			return failed, doubtError(out.id, err)
		default:
			return failed, publishError(out, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		switch {
		case ctx.Err() == nil:
		case doubt:
			return failed, doubtError(out.id, ctx.Err())
		default:
			return failed, publishError(out, err)
		}
	}
}

// leastSilence is how long a try must have waited for its answer to show that none comes, unless
// AckWait is shorter: a caller can give up at any time.
const leastSilence = 250 * time.Millisecond

// heard notes the end of a try for the decision to leave the server.
func (p *Publisher) heard(begun time.Time, err error) {
	ended := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	switch {
	case err == nil:
		p.leaver.Answered()
	case noStream(err), ended && time.Since(begun) >= min(leastSilence, p.opts.AckWait):
		p.leaver.Silent(begun)
	}
}

// doubtful reports whether the message may have been stored although no answer came.
func doubtful(err error) bool {
	var write *net.OpError
	return errors.As(err, &write) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrAsyncPublishTimeout) ||
		isAPIError(err, protocol.CodeInProcess) ||
		errors.Is(err, nats.ErrDisconnected) // the connection broke before the answer came
}

// unsent reports whether the message did not leave, because there was no connection.
func unsent(err error) bool { return errors.Is(err, nats.ErrReconnectBufExceeded) }

// noStream reports whether nobody answers for the subject: there is no stream, or its
// cluster is electing a leader.
func noStream(err error) bool {
	return isAPIError(err, protocol.CodeClusterNotAvailable) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders)
}

// isAPIError reports whether the server has answered with one of some error codes.
func isAPIError(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}

// doubtError wraps ErrInDoubt.
func doubtError(id string, err error) error {
	return fmt.Errorf("publish %s: %w: %w", id, ErrInDoubt, err)
}

// The server's error codes if a stream (JSStreamStoreFailedF, with the store's own text), an
// account or a server has reached its limit.
const (
	codeStoreFailed     = 10077
	codeInsufficient    = 10023
	codeStorageExceeded = 10047
)

// publishError wraps the sentinel error of the cause. It names the subject without its key.
func publishError(out outgoing, err error) error {
	switch {
	case noStream(err):
		err = fmt.Errorf("%w (%w)", ErrNoStream, err)
	case isAPIError(err, codeStoreFailed, codeInsufficient, codeStorageExceeded):
		err = fmt.Errorf("%w (%w)", ErrStreamFull, err)
	case unsent(err), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		err = fmt.Errorf("%w (%w)", ErrNotConnected, err)
	}
	return fmt.Errorf("publish a code (%s, app %s): %w", out.subject.Channel, out.subject.App, err)
}
