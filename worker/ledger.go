package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// ledger keeps what the happy path can't say: that a message is being retried,
// in doubt, handed back, or sent without a confirmed ack.
type ledger struct{ bucket jetstream.KeyValue }

// state is what the worker that wrote an entry knew.
type state string

const (
	// stateRetrying: not accepted; handed back with a delay.
	stateRetrying state = "retrying"
	// stateUnknown: it may have been accepted; handed back with a delay.
	stateUnknown state = "unknown"
	// stateReleased: handed back at the shutdown before anything was done.
	stateReleased state = "released"
	// stateSent: accepted, and the ack could not be confirmed.
	stateSent state = "sent"
	// stateClaimed: a worker has it, where the ledger alone decides.
	stateClaimed state = "claimed"
	// stateDoubt: its former worker was never heard of again; another has taken
	// it up.
	stateDoubt state = "doubt"
)

// entry is what the ledger knows of a message.
type entry struct {
	State state `json:"state"`
	// Delivery is the one during which the entry was written. It speaks for the
	// next delivery only: of any later one nothing is known.
	Delivery uint64 `json:"delivery"`
	// Sequence is the message's place in the stream, and Digest what it says: an id
	// used again for another message is another message. The same message at another
	// place was published again by somebody whom no acknowledgement reached.
	Sequence uint64 `json:"sequence"`
	Digest   string `json:"digest,omitempty"`
	Doubts   int    `json:"doubts,omitempty"`
	// DoubtSince is when the message came to be in doubt, DoubtUntil how long the
	// provider is asked about it.
	DoubtSince time.Time          `json:"doubtSince,omitzero"`
	DoubtUntil time.Time          `json:"doubtUntil,omitzero"`
	History    []messages.Attempt `json:"history,omitempty"`
}

// maxHistory bounds what is kept of a message's attempts; the oldest go first.
const maxHistory = 32

// write stores an entry for d, and returns once the server has it.
func (l *ledger) write(ctx context.Context, d *delivery, s state) error {
	b, err := encode(d, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if d.claim, err = l.bucket.Put(ctx, ledgerKey(d), b); err != nil {
		return fmt.Errorf("write %s to the ledger: %w", s, err)
	}
	return nil
}

// create stores an entry for d where there is none; ok is false where there is.
func (l *ledger) create(ctx context.Context, d *delivery, s state) (ok bool, err error) {
	b, err := encode(d, s)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	d.claim, err = l.bucket.Create(ctx, ledgerKey(d), b)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("write %s to the ledger: %w", s, err)
	}
	return true, nil
}

func encode(d *delivery, s state) ([]byte, error) {
	history := d.history
	if len(history) > maxHistory {
		history = history[len(history)-maxHistory:]
	}
	b, err := json.Marshal(entry{State: s, Delivery: d.deliveries, Sequence: d.sequence, Digest: digest(d), Doubts: d.doubts, DoubtSince: d.doubtSince, DoubtUntil: d.doubtUntil, History: history})
	if err != nil {
		return nil, fmt.Errorf("encode a ledger entry: %w", err)
	}
	return b, nil
}

// read returns the entry for d, and nil where there is none.
func (l *ledger) read(ctx context.Context, d *delivery) (*entry, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	v, err := l.bucket.Get(ctx, ledgerKey(d))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil //nolint:nilnil // no entry is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	e := new(entry)
	if err := json.Unmarshal(v.Value(), e); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	if e.Sequence != d.sequence && e.Digest != digest(d) {
		return nil, nil //nolint:nilnil // the entry is another message's
	}
	return e, nil
}

// digest tells messages of the same id apart.
func digest(d *delivery) string {
	sum := sha256.Sum256(append([]byte(d.msg.Subject+"\n"), d.msg.Data...))
	return hex.EncodeToString(sum[:8])
}

var kvKey = regexp.MustCompile(`^[-/_=.a-zA-Z0-9]+$`)

// ledgerKey returns a message's id where it can be a key, and a hash of it
// otherwise. A replay has a key of its own: what is known of one life says nothing
// of the next.
func ledgerKey(d *delivery) string {
	id := d.id
	if d.epoch > 0 {
		id += "." + strconv.Itoa(d.epoch)
	}
	if kvKey.MatchString(id) && !strings.HasPrefix(id, ".") && !strings.HasSuffix(id, ".") && !strings.Contains(id, "..") {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256-" + hex.EncodeToString(sum[:])
}
