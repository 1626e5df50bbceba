package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/waiting"
)

// lostMessage is a message that no longer waits although no outcome ends it.
type lostMessage struct {
	// last is its last outcome.
	last messages.Outcome
	// doubt tells that one of its outcomes is a doubt: it may have been sent.
	doubt bool
	// earlier tells that it was in a stream that was deleted since.
	earlier bool
}

// findEnds finds out what became of messages that no longer wait although their last outcome
// says that a worker continues with them. The stream drops a message when a newer one is
// stored for its subject, and no worker sees it again. So findEnds adds an outcome for a
// message that was superseded, and keeps the others as gone.
func (f *finder) findEnds(ctx context.Context) error {
	places := make(map[archive.Stored]bool)
	for _, l := range lostMessages(f.outcomes, f.waiting) {
		m, err := f.reader.At(ctx, l.last.Sequence)
		if err != nil {
			return err
		}
		// If it waits, its address or id can't be read here.
		if m == nil || !m.StoredAt.Equal(l.last.StoredAt) {
			places[placeOf(&l.last)] = true
		}
	}
	if len(places) == 0 {
		return nil
	}
	if err := f.findAgain(ctx, places); err != nil {
		return err
	}
	lost := slices.DeleteFunc(lostMessages(f.outcomes, f.waiting), func(l lostMessage) bool { return !places[placeOf(&l.last)] })
	stored, err := f.storedFor(ctx, lost)
	if err != nil {
		return err
	}
	for _, l := range lost {
		l.earlier = l.last.StoredAt.Before(f.reader.Stream().Created)
		if end, ok := supersededBy(l, stored[subjectOf(&l.last)]); ok {
			f.outcomes = append(f.outcomes, end)
		} else {
			f.gone = append(f.gone, l)
		}
	}
	return nil
}

// findAgain reads the outcomes and dead letters of some messages again. A worker may have
// settled a message after the first reading of its outcomes and before the stream was read.
func (f *finder) findAgain(ctx context.Context, places map[archive.Stored]bool) error {
	again := finder{js: f.js, query: f.query, sealedTo: f.sealedTo}
	others, err := again.findLetters(ctx)
	if err != nil {
		return err
	}
	if err := again.findOutcomes(ctx, others); err != nil {
		return err
	}
	f.outcomes = slices.DeleteFunc(f.outcomes, func(o messages.Outcome) bool { return places[placeOf(&o)] })
	for _, o := range again.outcomes {
		if places[placeOf(&o)] {
			f.outcomes = append(f.outcomes, o)
		}
	}
	return nil
}

// supersededBy returns the outcome of a message that a newer one has superseded. stored are
// messages for its subject. ok is false if none of them is newer, if the stream was deleted
// with the message, or if the message was in doubt: then it may have been sent. An outcome can
// be lost, so the text says only what the other outcomes tell. The stream may have dropped the
// message for one that left no trace and is older than those in stored, so the text says "at
// the latest".
func supersededBy(l lostMessage, stored []archive.Stored) (end messages.Outcome, ok bool) {
	o := l.last
	var by archive.Stored
	for _, s := range stored {
		if s.Sequence > o.Sequence && s.At.After(o.StoredAt) && (by.Sequence == 0 || s.Sequence < by.Sequence) {
			by = s
		}
	}
	if l.doubt || l.earlier || by.Sequence == 0 {
		return end, false
	}
	end = messages.Outcome{
		ID: o.ID, Epoch: o.Epoch, App: o.App, Channel: o.Channel, Type: o.Type, Key: o.Key, To: o.To, Status: messages.StatusSuperseded,
		Connector: o.Connector, Attempt: o.Attempt, Sequence: o.Sequence, StoredAt: o.StoredAt,
		Detail: fmt.Sprintf("a newer code superseded it, message %d at the latest; it was not sent, as far as its outcomes say", by.Sequence), At: by.At,
	}
	if end.At.Before(o.At) { // it was stored while an attempt was made, or a clock is wrong
		end.At = o.At
	}
	return end, true
}

// lostMessages returns the messages that a worker has to continue with, as their outcomes
// say, and that do not wait. The outcomes of a message are in the order of the stream: the
// clocks of two workers can differ, so it does not compare their times.
func lostMessages(outcomes []messages.Outcome, waits []waiting.Message) (lost []lostMessage) {
	open := make(map[archive.Stored]lostMessage)
	ended := make(map[archive.Stored]bool)
	for _, o := range outcomes {
		place := placeOf(&o)
		if o.Status != messages.StatusRetrying && o.Status != messages.StatusUnknown {
			ended[place] = true
		}
		open[place] = lostMessage{last: o, doubt: open[place].doubt || o.Status == messages.StatusUnknown}
	}
	for _, m := range waits {
		ended[archive.Stored{At: m.StoredAt.UTC(), Sequence: m.Sequence}] = true
	}
	for place, l := range open {
		if place.Sequence > 0 && !ended[place] {
			lost = append(lost, l)
		}
	}
	slices.SortFunc(lost, func(a, b lostMessage) int { return placeOf(&a.last).Compare(placeOf(&b.last)) })
	return lost
}

// storedFor returns which messages are known for the subjects of lost ones: those that wait,
// and those that have an outcome. A subject without a key can't be told from others, and has
// none.
func (f *finder) storedFor(ctx context.Context, lost []lostMessage) (map[messages.Subject][]archive.Stored, error) {
	stored := make(map[messages.Subject][]archive.Stored)
	for i := range lost {
		if s := subjectOf(&lost[i].last); s.Key != "" {
			stored[s] = nil
		}
	}
	if len(stored) == 0 {
		return nil, nil //nolint:nilnil // nothing is known of no subject
	}
	note := func(s messages.Subject, place archive.Stored) {
		if known, ok := stored[s]; ok {
			stored[s] = append(known, place)
		}
	}
	var want archive.OutcomeFilter
	for s := range stored {
		if err := f.reader.Bare(ctx, waiting.Filter{App: s.App, Channel: s.Channel, Key: s.Key}, func(m waiting.Message) error {
			if of := (messages.Subject{App: m.App, Channel: m.Channel, Type: m.Type, Key: m.Key}); of == s {
				note(s, archive.Stored{At: m.StoredAt.UTC(), Sequence: m.Sequence})
			}
			return nil
		}); err != nil {
			return nil, err
		}
		want = archive.OutcomeFilter{App: s.App, Channels: []messages.Channel{s.Channel}, Key: s.Key}
	}
	if len(stored) > 1 {
		want = archive.OutcomeFilter{} // one look at all is cheaper than one for each subject
	}
	return stored, archive.Outcomes(ctx, f.js, want, func(o messages.Outcome) error {
		note(subjectOf(&o), placeOf(&o))
		return nil
	})
}

// subjectOf is the subject of an outcome's message.
func subjectOf(o *messages.Outcome) messages.Subject {
	return messages.Subject{App: o.App, Channel: o.Channel, Type: o.Type.Canonical(), Key: o.Key}
}

// placeOf is where and when an outcome's message was stored.
func placeOf(o *messages.Outcome) archive.Stored {
	return archive.Stored{At: o.StoredAt.UTC(), Sequence: o.Sequence}
}

// goneText says what is known of a message that no longer waits and has no last outcome.
func goneText(l *lostMessage) string {
	why := "a newer code for the same key superseded it, or its last outcome was lost"
	if l.earlier {
		why = "the stream was deleted and made again"
	}
	if l.doubt {
		why = "it was in doubt, and may have been sent; then " + why
	}
	return fmt.Sprintf("Message %d, stored %s, does not wait any more, and no outcome says why: %s.", l.last.Sequence, l.last.StoredAt.Local().Format(localTime), why)
}
