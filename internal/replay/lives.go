package replay

import (
	"slices"

	"github.com/codeferry/codeferry/internal/archive"
)

// life is a stored message, and its result.
type life struct {
	archive.Stored
	// id is the message's id, hashed.
	id    uint64
	epoch int
	sent  bool
}

// isReplayOf reports whether l, which follows older for the same subject, is its replay.
func (l life) isReplayOf(older life) bool { return l.id == older.id && l.epoch > older.epoch }

// place returns the index of a stored message among the lives of its subject, or the index
// at which to insert it.
func place(lives []life, s archive.Stored) (i int, found bool) {
	return slices.BinarySearchFunc(lives, s, func(l life, s archive.Stored) int { return l.Compare(s) })
}

// fate is what is known about a dead letter's message.
type fate int

const (
	// fateOpen: nothing prevents a replay.
	fateOpen fate = iota
	fateReplayed
	fateDelivered
	fateReplaced
	// fateUnknown: the message is older than the oldest kept outcome.
	fateUnknown
)

// fateAmong decides the fate of one of the lives of a subject, which are in order. It compares
// stored messages, not ids, because an id may be used again. The next life is its replay, or a
// newer code. The one before says nothing, unless mine is its replay: then they are the same
// code.
func fateAmong(lives []life, mine life) fate {
	i, found := place(lives, mine.Stored)
	newer := lives[i:]
	if found {
		newer = newer[1:]
		mine.sent = lives[i].sent
	}
	if len(newer) > 0 && newer[0].isReplayOf(mine) {
		return fateReplayed
	}
	sent := mine.sent
	for i--; i >= 0 && mine.isReplayOf(lives[i]); i-- {
		mine = lives[i]
		sent = sent || mine.sent
	}
	switch {
	case sent:
		return fateDelivered
	case len(newer) > 0:
		return fateReplaced
	}
	return fateOpen
}
