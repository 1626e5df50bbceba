package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// Filter says which dead letters are wanted. An empty field takes any.
type Filter struct {
	// IDs are the publisher's. A dead letter whose id showed the recipient holds a hash of it,
	// and is taken, too.
	IDs []string
	// Key is the subject's. A letter has none if that showed the recipient.
	Key       string
	App       string
	Channel   messages.Channel
	Type      messages.Type
	Reason    messages.Reason
	Connector string
	Code      string
	// To is a whole address. Dead letters hold masked ones: without ToHashes, the filter
	// also takes other addresses with the same mask.
	To string
	// ToHashes are the address's hashes by each key (wire.PrivateKey.Lookup).
	ToHashes []string
	// Sealed decides whether a dead letter is to To that holds no address: its worker could not
	// open the message, which is in Kept. Default: it is not.
	Sealed func(l *Letter) bool
	// Since and Until limit the time at which the message became a dead letter: at or
	// after Since, and before Until.
	Since, Until time.Time
}

// Takes reports whether the filter takes a dead letter.
func (f Filter) Takes(l *Letter) bool {
	d := &l.DeadLetter
	switch {
	case f.App != "" && f.App != d.App,
		f.Channel != "" && f.Channel != d.Channel,
		f.Reason != "" && f.Reason != d.Reason,
		f.Type != "" && f.Type.Canonical() != d.Type,
		f.Connector != "" && f.Connector != d.Connector,
		f.Code != "" && f.Code != d.Code,
		f.Key != "" && f.Key != KeyOf(d),
		!f.Since.IsZero() && d.DeadAt.Before(f.Since),
		!f.Until.IsZero() && !d.DeadAt.Before(f.Until):
		return false
	}
	if len(f.IDs) > 0 && !slices.ContainsFunc(f.IDs, func(id string) bool { return SameID(id, d.ID) }) {
		return false
	}
	return f.isTo(l)
}

func (f Filter) isTo(l *Letter) bool {
	switch {
	case f.To == "" && len(f.ToHashes) == 0:
		return true
	case l.To == "" && f.Sealed != nil:
		m := l.Kept()
		return m != nil && m.Sealed != nil && f.Sealed(l)
	case len(f.ToHashes) > 0:
		return slices.Contains(f.ToHashes, l.ToHash)
	}
	return FitsMask(f.To, l.To)
}

// KeyOf returns the key of a dead letter's subject; none if that showed the recipient.
func KeyOf(d *messages.DeadLetter) string {
	s, err := wire.ParseSubject(d.Subject)
	if err != nil || s.Key == wire.HiddenKey {
		return ""
	}
	return s.Key
}

// Letter is a dead letter, and its place in CODEFERRY_DEAD.
type Letter struct {
	messages.DeadLetter
	Place uint64
	// Body is its message as it is stored, if Heads or Each read it.
	Body []byte
}

// Kept returns its message, nil if there is none or it can't be read.
func (l *Letter) Kept() *messages.SendCode {
	if l.Message != nil || len(l.Body) == 0 {
		return l.Message
	}
	var m messages.SendCode
	if json.Unmarshal(l.Body, &m) != nil {
		return nil // a replay says so
	}
	return &m
}

// DeadLetters calls f with every dead letter that the filter takes, oldest first. It blocks
// until it has read all that were stored when it began; an error of f ends it.
func DeadLetters(ctx context.Context, js jetstream.JetStream, want Filter, f func(Letter) error) error {
	return deadLetters(ctx, js, want, 0, whole, f)
}

// Heads is DeadLetters without the dead letters' attempts, and with their messages as bytes.
// For many dead letters it takes a third of the work.
func Heads(ctx context.Context, js jetstream.JetStream, want Filter, f func(Letter) error) error {
	return deadLetters(ctx, js, want, 0, head, f)
}

func whole(data []byte, l *Letter) error { return json.Unmarshal(data, &l.DeadLetter) }

func head(data []byte, l *Letter) error {
	var h struct {
		*messages.DeadLetter
		Attempts skipped         `json:"attempts"`
		Message  json.RawMessage `json:"message"`
	}
	h.DeadLetter = &l.DeadLetter
	err := json.Unmarshal(data, &h)
	if string(h.Message) != "null" {
		l.Body = h.Message
	}
	return err
}

// skipped takes any JSON and keeps nothing of it.
type skipped struct{}

func (skipped) UnmarshalJSON([]byte) error { return nil }

func deadLetters(ctx context.Context, js jetstream.JetStream, want Filter, first uint64, decode func([]byte, *Letter) error, f func(Letter) error) error {
	subject := wire.DeadSubject(orAny(want.App), messages.Channel(orAny(string(want.Channel))), messages.Reason(orAny(string(want.Reason))))
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}}
	if first > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, first
	} else {
		from(&cfg, want.Since)
	}
	return read(ctx, js, wire.DeadName, cfg, func(seq uint64, subject string, data []byte) error {
		l := Letter{Place: seq}
		if err := decode(data, &l); err != nil {
			l = Letter{DeadLetter: unreadable(subject), Place: seq}
		}
		if !want.Takes(&l) {
			return nil
		}
		return f(l)
	})
}

// unreadable stands for something else that somebody has stored among the dead letters, so
// that it can be listed and erased.
func unreadable(subject string) messages.DeadLetter {
	d := messages.DeadLetter{Detail: "what is stored here is not a dead letter"}
	if tokens := strings.Split(subject, "."); len(tokens) > 4 {
		d.App, d.Channel, d.Reason = tokens[2], messages.Channel(tokens[3]), messages.Reason(tokens[4])
	}
	return d
}

func orAny(token string) string {
	if token == "" {
		return "*"
	}
	return token
}

// Newest returns the newest n dead letters that the filter takes, oldest first,
// and whether there are more. It reads no more of the stream than it has to.
func Newest(ctx context.Context, js jetstream.JetStream, want Filter, n uint32) (letters []Letter, more bool, err error) {
	s, err := js.Stream(ctx, wire.DeadName)
	if err != nil {
		return nil, false, unread(wire.DeadName, err)
	}
	state := s.CachedInfo().State
	for window := 10 * uint64(n); ; window *= 10 {
		first := state.FirstSeq
		if state.LastSeq > state.FirstSeq+window {
			first = state.LastSeq - window
		}
		letters, more = nil, false
		err := deadLetters(ctx, js, want, max(first, 1), whole, func(l Letter) error {
			if letters = append(letters, l); len(letters) > int(n) {
				letters, more = letters[1:], true
			}
			return nil
		})
		if err != nil || len(letters) == int(n) && more || first == state.FirstSeq {
			return letters, more, err
		}
	}
}

// Each is Heads with several calls of f at a time. It ends with ctx or with the first error,
// after the running calls have returned. If f must not stop halfway, it must not use ctx.
func Each(ctx context.Context, js jetstream.JetStream, want Filter, workers int, f func(context.Context, Letter) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan Letter)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for l := range work {
				if err := f(ctx, l); err != nil {
					stop(err)
				}
			}
		})
	}
	err := Heads(ctx, js, want, func(l Letter) error {
		select {
		case work <- l:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(work)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Remover deletes dead letters.
type Remover struct{ stream jetstream.Stream }

// NewRemover opens the stream of the dead letters.
func NewRemover(ctx context.Context, js jetstream.JetStream) (*Remover, error) {
	s, err := js.Stream(ctx, wire.DeadName)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", wire.DeadName, err)
	}
	return &Remover{s}, nil
}

// Remove deletes a dead letter. It is not an error if it is gone already.
func (r *Remover) Remove(ctx context.Context, l Letter) error {
	return r.gone(ctx, l, r.stream.DeleteMsg(ctx, l.Place))
}

// Erase deletes a dead letter, and the server overwrites it on the disk first. That takes a
// hundred times as long.
func (r *Remover) Erase(ctx context.Context, l Letter) error {
	return r.gone(ctx, l, r.stream.SecureDeleteMsg(ctx, l.Place))
}

// gone reports whether a dead letter is already deleted. The server has the same error for a
// delete that fails and for one that finds nothing.
func (r *Remover) gone(ctx context.Context, l Letter, err error) error {
	if err == nil {
		return nil
	}
	if _, missing := r.stream.GetMsg(ctx, l.Place); errors.Is(missing, jetstream.ErrMsgNotFound) {
		return nil
	}
	return fmt.Errorf("delete the dead letter of %s: %w", l.ID, err)
}
