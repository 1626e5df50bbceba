package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/waiting"
)

// statusQuery says which messages are asked for: one of id, to and key.
type statusQuery struct {
	id, to, key string
	// toHashes are the address's hashes by each key of the configuration.
	toHashes []string
	// since bounds when a message was stored; zero for any time.
	since time.Time
}

// name is what was asked for, as it may be shown.
func (q statusQuery) name() string {
	switch {
	case q.to != "":
		return "a message to " + messages.Mask(q.to)
	case q.key != "":
		return "a message with the key " + typed(q.key)
	}
	return typed(q.id)
}

// outcomes is what is asked of the outcomes.
func (q statusQuery) outcomes() archive.OutcomeFilter {
	f := archive.OutcomeFilter{ID: q.id, To: q.to, Key: q.key}
	if !q.since.IsZero() {
		const skew = 5 * time.Minute // a worker's clock may differ from the server's
		f.Since = q.since.Add(-skew)
	}
	return f
}

// letters is what is asked of the dead letters: also those to others with the same mask.
func (q statusQuery) letters() archive.Filter {
	f := archive.Filter{To: q.to, Key: q.key}
	if q.id != "" {
		f.IDs = []string{q.id}
	}
	return f
}

// takes tells whether a message that waits is one that is asked for, and whether that is
// known.
func (q statusQuery) takes(m *waiting.Message) (is, known bool) {
	switch {
	case q.to != "" && m.Channel != channelOf(q.to):
		return false, true
	case q.to != "":
		return m.IsTo(func(whole string) bool { return wire.SameAddress(whole, q.to) })
	case q.key != "":
		return m.Key == q.key, m.Key != ""
	}
	return archive.SameID(q.id, m.ID), true
}

// finder looks for messages wherever something of them may be kept.
type finder struct {
	js    jetstream.JetStream
	query statusQuery
	opts  waiting.Options
	// sealedTo is serverFlags.sealedTo.
	sealedTo func(to string, unread func()) (func(*archive.Letter) bool, error)

	// outcomes are those of the messages, and the dead letters whose outcome is not kept.
	outcomes []messages.Outcome
	waiting  []waiting.Message
	// others are the places of the dead letters to others with the same mask.
	others map[archive.Stored]bool
	// closed counts what could not be opened here, and so may be to the address.
	closed closed
	// gone are the messages that do not wait any more although a worker had to continue with
	// them, and of which it is not known what became of them.
	gone []lostMessage
	// blind says why it is not known what waits.
	blind error
	// reader is nil if blind is set.
	reader *waiting.Reader
}

// closed counts sealed messages that could not be opened.
type closed struct{ waiting, letters int }

// text says that they may be what is asked for; empty if there are none.
func (c closed) text(what string) string {
	var all []string
	if c.waiting > 0 {
		all = append(all, count(c.waiting, "waiting message"))
	}
	if c.letters > 0 {
		all = append(all, count(c.letters, "dead letter"))
	}
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, " and ") + " cannot be opened here, and may be " + what + ": name a configuration that has the sealing key by -c"
}

// before begins the sentence that says what there is not, and other comes before "dead letter".
func (c closed) before() (sealed, other string) {
	if sealed = c.text("it"); sealed != "" {
		sealed += "; "
	}
	if c.letters > 0 {
		other = "other "
	}
	return sealed, other
}

func (f *finder) empty() bool { return len(f.outcomes) == 0 && len(f.waiting) == 0 }

// find looks into the dead letters, the outcomes, and last into the stream, which some may
// not read.
func (f *finder) find(ctx context.Context) error {
	var err error
	if f.others, err = f.findLetters(ctx); err != nil {
		return err
	}
	if err := f.findOutcomes(ctx, f.others); err != nil {
		return err
	}
	if f.blind = f.findWaiting(ctx); f.blind == nil {
		return f.findEnds(ctx)
	}
	if denied := new(deniedError); errors.As(context.Cause(ctx), &denied) {
		f.blind = denied
		return nil
	}
	return ctx.Err()
}

// findLetters adds the dead letters. It returns the places of those that are to others with
// the same mask.
func (f *finder) findLetters(ctx context.Context) (others map[archive.Stored]bool, err error) {
	others = make(map[archive.Stored]bool)
	want := f.query.letters()
	if f.query.to != "" {
		sealed, err := f.sealedTo(f.query.to, func() { f.closed.letters++ })
		if err != nil {
			return nil, err
		}
		want.Sealed = func(l *archive.Letter) bool { return !l.StoredAt.Before(f.query.since) && sealed(l) }
	}
	return others, archive.DeadLetters(ctx, f.js, want, func(l archive.Letter) error {
		place := archive.Stored{At: l.StoredAt.UTC(), Sequence: l.Sequence}
		if len(f.query.toHashes) > 0 && l.ToHash != "" && !slices.Contains(f.query.toHashes, l.ToHash) {
			others[place] = true
			return nil
		}
		if !l.StoredAt.Before(f.query.since) {
			f.outcomes = append(f.outcomes, outcomeOf(&l.DeadLetter))
		}
		return nil
	})
}

// outcomeOf is the outcome that a dead letter tells of.
func outcomeOf(d *messages.DeadLetter) messages.Outcome {
	return messages.Outcome{
		ID: d.ID, App: d.App, Channel: d.Channel, Type: d.Type, Key: archive.KeyOf(d), Status: messages.StatusDead, To: d.To, Epoch: d.Epoch,
		Connector: d.Connector, Attempt: len(d.Attempts), Code: d.Code, Reason: d.Reason, Detail: d.Detail, Sequence: d.Sequence, StoredAt: d.StoredAt, At: d.DeadAt,
	}
}

// findOutcomes adds the outcomes. One that tells of a dead letter takes its place.
func (f *finder) findOutcomes(ctx context.Context, others map[archive.Stored]bool) error {
	letters := f.outcomes
	f.outcomes = nil
	told := make(map[archive.Stored]bool)
	if err := archive.Outcomes(ctx, f.js, f.query.outcomes(), func(o messages.Outcome) error {
		place := placeOf(&o)
		if o.StoredAt.Before(f.query.since) || others[place] {
			return nil
		}
		if o.Status == messages.StatusDead {
			told[place] = true
		}
		f.outcomes = append(f.outcomes, o)
		return nil
	}); err != nil {
		return err
	}
	letters = slices.DeleteFunc(letters, func(o messages.Outcome) bool {
		return told[placeOf(&o)]
	})
	f.outcomes = append(letters, f.outcomes...)
	return nil
}

// findWaiting adds the messages that wait.
func (f *finder) findWaiting(ctx context.Context) error {
	r, err := openWaiting(ctx, f.js, f.opts)
	if err != nil {
		return err
	}
	wanted := waiting.Filter{Key: f.query.key}
	places, sealed := make(map[uint64]bool), make(map[archive.Stored]bool)
	take := func(m *waiting.Message) bool {
		is, _ := f.query.takes(m)
		return is && !m.StoredAt.Before(f.query.since)
	}
	if err := r.Bare(ctx, wanted, func(m waiting.Message) error {
		if take(&m) {
			places[m.Sequence] = true
		}
		if _, known := f.query.takes(&m); f.query.to != "" && !known && !m.StoredAt.Before(f.query.since) {
			sealed[archive.Stored{At: m.StoredAt.UTC(), Sequence: m.Sequence}] = true
		}
		return nil
	}); err != nil {
		return err
	}
	if f.closed.waiting, err = f.openByOutcome(ctx, sealed); err != nil {
		return err
	}
	for sequence := range places {
		m, err := r.At(ctx, sequence)
		if err != nil {
			return err
		}
		if m != nil && take(m) {
			f.waiting = append(f.waiting, *m)
		}
	}
	slices.SortFunc(f.waiting, func(a, b waiting.Message) int { return cmp.Compare(a.Sequence, b.Sequence) })
	f.reader = r
	for i := range f.waiting {
		for j := range f.outcomes {
			f.waiting[i].Heard(&f.outcomes[j])
		}
	}
	return nil
}

// openByOutcome returns how many of the sealed messages may be to the address: an outcome with
// another mask says of one that it is not.
func (f *finder) openByOutcome(ctx context.Context, sealed map[archive.Stored]bool) (int, error) {
	if len(sealed) == 0 {
		return 0, nil
	}
	var all archive.OutcomeFilter
	err := archive.Outcomes(ctx, f.js, all, func(o messages.Outcome) error {
		if o.To != "" && !archive.FitsMask(f.query.to, o.To) {
			delete(sealed, placeOf(&o))
		}
		return nil
	})
	return len(sealed), err
}

// nothing says that nothing was found: that no such message was published if that is known,
// and otherwise why it is not.
func (f *finder) nothing(ctx context.Context) error {
	name := f.query.name()
	if f.blind != nil {
		sealed, other := f.closed.before()
		return fmt.Errorf("nothing is known of %s: %sthere is no outcome and no %sdead letter of it, and it is not known whether it waits: %w", name, sealed, other, f.blind)
	}
	t, err := f.account(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	if !f.empty() { // it came to an end while this looked
		return fmt.Errorf("%s has just been settled; ask again", name)
	}
	return errors.New(t.verdict(name, f.query, f.closed))
}

// account finds out which of the messages that the stream ever stored are known.
func (f *finder) account(ctx context.Context) (*account, error) {
	info := f.reader.Stream()
	t := newAccount(info.Created, max(1, info.Config.FirstSeq), info.State.LastSeq)
	if err := f.reader.Bare(ctx, waiting.Filter{}, func(m waiting.Message) error {
		if _, known := f.query.takes(&m); known {
			t.note(m.Sequence, m.StoredAt)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if err := archive.Heads(ctx, f.js, archive.Filter{}, func(l archive.Letter) error {
		if f.decided(l.To, archive.KeyOf(&l.DeadLetter)) {
			t.note(l.Sequence, l.StoredAt)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var err error
	if t.kept, err = archive.OutcomesFrom(ctx, f.js); err != nil {
		return nil, err
	}
	var all archive.OutcomeFilter
	asked := f.query.outcomes()
	asked.Since = time.Time{}
	return t, archive.Outcomes(ctx, f.js, all, func(o messages.Outcome) error {
		if f.decided(o.To, o.Key) {
			t.note(o.Sequence, o.StoredAt)
		}
		if !o.StoredAt.Before(f.query.since) && o.Sequence <= info.State.LastSeq && asked.Takes(&o) && !f.others[placeOf(&o)] {
			f.outcomes = append(f.outcomes, o)
		}
		return nil
	})
}

// decided tells whether what is kept of a message tells if it is one that is asked for.
func (f *finder) decided(to, key string) bool {
	switch {
	case f.query.to != "":
		return to != ""
	case f.query.key != "":
		return key != ""
	}
	return true
}

// account notes of which messages something is known. Nothing is known of one that is superseded
// before its first attempt has ended, and what became of others is forgotten after a while.
type account struct {
	// made is when the stream was made. first is the first sequence that it gave to a
	// message, last the newest.
	made        time.Time
	first, last uint64
	// kept is since when all outcomes are kept; zero if none has gone yet.
	kept time.Time
	// times are when the messages were stored (Unix, in nanoseconds), by how far they are from
	// the last; 0 if nothing is known.
	times []int64
}

// maxAccount bounds how far back an account goes: it takes 8 MiB then.
const maxAccount = 1 << 20

func newAccount(made time.Time, first, last uint64) *account {
	a := &account{made: made, first: first, last: last}
	if last >= first {
		a.times = make([]int64, min(last-first+1, maxAccount))
	}
	return a
}

// note notes that something is known of a message.
func (a *account) note(sequence uint64, stored time.Time) {
	if sequence > a.last || sequence == 0 || stored.Before(a.made) {
		return // another stream's, or a newer one
	}
	if i := a.last - sequence; i < uint64(len(a.times)) {
		a.times[i] = stored.UnixNano()
	}
}

// known tells since when something is known of every message; whole tells that it is so
// since the stream was made. since is zero if it is so of none.
func (a *account) known() (since time.Time, whole bool) {
	for _, at := range a.times {
		if at == 0 {
			return since, false
		}
		since = time.Unix(0, at)
	}
	return since, a.last < a.first || uint64(len(a.times)) == a.last-a.first+1
}

// missing counts the messages of which nothing is known although they were stored since a
// time, as far as the account goes. exact is false if some of them may be older.
func (a *account) missing(since time.Time) (n int, exact bool) {
	open := 0
	for _, at := range a.times {
		switch {
		case at == 0:
			open++
		case !time.Unix(0, at).Before(since):
			n, open = n+open, 0
		default:
			return n + open, open == 0
		}
	}
	return n + open, open == 0 || !since.After(a.made)
}

// verdict says that nothing was found, and what that means. c counts what could not
// be opened.
func (a *account) verdict(name string, q statusQuery, c closed) string {
	since, whole := a.known()
	at := func(t time.Time) string { return t.Local().Format(localTime) }
	asked := ""
	if !q.since.IsZero() {
		asked = " since " + at(q.since)
	}
	switch {
	case c != closed{}: // one of them may be it
	case whole && (q.since.IsZero() || q.since.Before(a.made)):
		return fmt.Sprintf("no such message was published since the stream %s was made at %s: %s", wire.StreamName, at(a.made), name)
	case whole, !since.IsZero() && !q.since.IsZero() && !since.After(q.since):
		return fmt.Sprintf("no such message was published%s: %s", asked, name)
	}
	var why []string
	from := q.since
	if !a.kept.IsZero() && a.kept.After(q.since) {
		why = append(why, fmt.Sprintf("outcomes before %s are no longer kept", at(a.kept)))
		from = a.kept
	}
	if n, exact := a.missing(from); n > 0 {
		most := ""
		if !exact {
			most = "up to "
		}
		what := "a newer code superseded them, or a worker is sending them now, or their outcomes were lost"
		switch {
		case q.to != "":
			what += ", or their addresses can't be read here"
		case q.key != "":
			what += ", or their keys are not kept since they showed the recipient"
		}
		why = append(why, fmt.Sprintf("of the messages that %s stored%s, %s%d left no outcome (%s)", wire.StreamName, span(from, since), most, n, what))
	}
	sealed, other := c.before()
	if c.waiting == 0 {
		sealed += "it does not wait, and "
	}
	text := fmt.Sprintf("nothing is known of %s%s: %sthere is no outcome and no %sdead letter of it. ", name, asked, sealed, other)
	if since.IsZero() {
		text += "Whether it was published can't be known"
	} else {
		whole := since.Add(time.Second - time.Nanosecond).Truncate(time.Second) // it is shown in seconds
		text += fmt.Sprintf("It was not published since %s; whether it was before can't be known", at(whole))
	}
	if len(why) > 0 {
		text += ": " + strings.Join(why, "; ")
	}
	return text
}

// span names the time from one moment to another in a sentence; zero is no bound.
func span(from, to time.Time) string {
	at := func(t time.Time) string { return t.Local().Format(localTime) }
	switch {
	case from.IsZero() && to.IsZero():
		return ""
	case to.IsZero():
		return " since " + at(from)
	case from.IsZero():
		return " before " + at(to)
	}
	return fmt.Sprintf(" between %s and %s", at(from), at(to))
}
