package archive

import (
	"cmp"
	"slices"

	"github.com/codeferry/codeferry/messages"
)

// Story is the history of a message and of its replays.
type Story struct {
	// Lives are the stored messages, oldest first: the message, then its replays.
	Lives []Stored
	// Outcomes are in the order in which they were read.
	Outcomes []messages.Outcome

	// read are the outcomes' places in the order in which they were read.
	read []int
}

// Stories separates the outcomes of one id by message, the oldest message first. If a stored
// message has a higher epoch than the one before it for the same subject, it is a replay of
// that one, and belongs to its story.
func Stories(outcomes []messages.Outcome) []Story {
	bySubject := make(map[messages.Subject][]life)
	for i, o := range outcomes {
		s := messages.Subject{App: o.App, Channel: o.Channel, Type: o.Type.Canonical(), Key: o.Key}
		bySubject[s] = addTo(bySubject[s], o, i)
	}
	var stories []Story
	for _, lives := range bySubject {
		for i, l := range lives {
			if i == 0 || l.epoch <= lives[i-1].epoch {
				stories = append(stories, Story{})
			}
			s := &stories[len(stories)-1]
			s.Lives = append(s.Lives, l.Stored)
			s.read = append(s.read, l.read...)
		}
	}
	for i := range stories {
		s := &stories[i]
		slices.Sort(s.read)
		for _, r := range s.read {
			s.Outcomes = append(s.Outcomes, outcomes[r])
		}
	}
	slices.SortFunc(stories, func(a, b Story) int {
		return cmp.Or(a.Lives[0].Compare(b.Lives[0]), cmp.Compare(a.read[0], b.read[0]))
	})
	return stories
}

// life is a stored message, and the indexes of its outcomes.
type life struct {
	Stored
	epoch int
	read  []int
}

// addTo adds the ith outcome to the lives of its subject, which are in order.
func addTo(lives []life, o messages.Outcome, i int) []life {
	stored := Stored{o.StoredAt, o.Sequence}
	at, found := slices.BinarySearchFunc(lives, stored, func(l life, s Stored) int { return l.Compare(s) })
	if !found {
		lives = slices.Insert(lives, at, life{Stored: stored, epoch: o.Epoch})
	}
	lives[at].Sequence = max(lives[at].Sequence, o.Sequence)
	lives[at].read = append(lives[at].read, i)
	return lives
}
