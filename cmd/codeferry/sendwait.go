package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// statusRole says who may run codeferry status.
const statusRole = "if NATS has roles, this takes the login and the --inbox-prefix of the operator"

// outcomeWait waits for the last outcome of a code that send has published.
type outcomeWait struct {
	cmd      *sendCmd
	streams  streams
	ack      messages.Ack
	outcomes <-chan *nats.Msg
	// key is the key of the code's subject.
	key string
	// doubt tells that the code was in doubt: it may have been sent.
	doubt bool
}

// until prints the outcomes until the last one, or until the time is over. Then it looks once
// whether a newer code has superseded this one.
func (w *outcomeWait) until(ctx context.Context, js jetstream.JetStream, subject messages.Subject) error {
	timer := time.NewTimer(w.cmd.Wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return &exitError{exitNoOutcome, fmt.Errorf("interrupted: the code is stored, and may still be sent; to see what becomes of it (%s): %s", statusRole, w.cmd.command("status", w.ack.ID))}
		case <-timer.C:
			newest, err := newestFor(ctx, js, subject, w.cmd.Timeout)
			for len(w.outcomes) > 0 { // those that came meanwhile
				if last, err := w.hear(<-w.outcomes); last || err != nil {
					return err
				}
			}
			return w.timedOut(newest, err)
		case msg := <-w.outcomes:
			if last, err := w.hear(msg); last || err != nil {
				return err
			}
		}
	}
}

// hear prints an outcome if it is one of the code. last tells that no other one follows; the
// error is then what send ends with.
//
// A crashed server can forget a publish whose repeat comes later, and so store the code twice.
// If the code was sent from either place, it is sent. It is superseded or dead only if the
// acknowledged one is. Outcomes of older workers do not say which one they mean.
func (w *outcomeWait) hear(msg *nats.Msg) (last bool, err error) {
	var o messages.Outcome
	if broken := json.Unmarshal(msg.Data, &o); broken != nil || o.ID != w.ack.ID {
		return false, nil //nolint:nilerr // it is the outcome of another message
	}
	if err := printOutcome(w.streams, o, w.cmd.JSON); err != nil {
		return false, err
	}
	switch o.Status {
	case messages.StatusSent:
		return true, nil
	case messages.StatusDead, messages.StatusSuperseded:
		if o.Sequence == 0 || o.Sequence == w.ack.Sequence {
			return true, &exitError{code: exitFailed}
		}
	case messages.StatusUnknown:
		w.doubt = true
	case messages.StatusRetrying, messages.StatusDelivered, messages.StatusUndelivered:
	}
	return false, nil
}

// timedOut is the error of a wait that is over. newest is the sequence of the newest message
// that waits for the code's subject, 0 if none waits; failed says why that is not known.
func (w *outcomeWait) timedOut(newest uint64, failed error) error {
	over := fmt.Sprintf("there is no final outcome after %s", w.cmd.Wait)
	see := fmt.Sprintf("to see what becomes of it (%s): %s", statusRole, w.cmd.command("status", w.ack.ID))
	switch {
	case failed != nil:
		return &exitError{exitNoOutcome, &unreadError{fmt.Sprintf("%s. The code may still be sent, unless a newer code superseded it; that is not known, because %s; %s", over, whyNotKnown(failed), see), failed}}
	case newest > w.ack.Sequence && w.doubt:
		return &exitError{exitNoOutcome, fmt.Errorf("%s. A newer code superseded it (message %d for its subject); before, it was in doubt, and may have been sent; %s", over, newest, see)}
	case newest > w.ack.Sequence:
		return &exitError{exitFailed, fmt.Errorf("%s. A newer code superseded it (message %d for its subject); it was not sent, as far as its outcomes say; to see what becomes of the newer one (%s): %s", over, newest, statusRole, w.cmd.command("status", "--key", w.key))}
	case newest == w.ack.Sequence:
		return &exitError{exitNoOutcome, fmt.Errorf("%s, and the code may still be sent: no newer code superseded it; %s", over, see)}
	}
	return &exitError{exitNoOutcome, fmt.Errorf("%s. The code does not wait any more: it may have been sent; %s", over, see)}
}

// unreadError says what it means that the stream could not be read.
type unreadError struct {
	text  string
	cause error
}

func (e *unreadError) Error() string { return e.text }
func (e *unreadError) Unwrap() error { return e.cause }

func whyNotKnown(err error) string {
	if _, denied := errors.AsType[*deniedError](err); denied {
		return "this user may not read the stream"
	}
	return err.Error()
}

// newestFor returns the sequence of the newest message that waits for a subject; 0 if none
// waits.
func newestFor(ctx context.Context, js jetstream.JetStream, s messages.Subject, timeout time.Duration) (uint64, error) {
	looking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var msg *jetstream.RawStreamMsg
	stream, err := js.Stream(looking, wire.StreamName)
	if err == nil {
		msg, err = stream.GetLastMsgForSubject(looking, s.String())
	}
	switch denied := new(deniedError); {
	case err == nil:
		return msg.Sequence, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case errors.As(context.Cause(ctx), &denied):
		err = denied
	}
	return 0, fmt.Errorf("read %s: %w", wire.StreamName, err)
}
