package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/internal/archive"
)

// sought are the ids that a command names, and which of them a dead letter has.
type sought struct {
	ids   []string
	found map[string]bool
	// filtered tells that flags choose among them, too.
	filtered bool
}

func (c *deadChoice) sought() *sought {
	return &sought{ids: c.IDs, found: make(map[string]bool, len(c.IDs)), filtered: !c.empty()}
}

func (s *sought) saw(l archive.Letter) {
	for _, id := range s.ids {
		if archive.SameID(id, l.ID) {
			s.found[id] = true
		}
	}
}

// missing returns the ids without a dead letter, once each and as they may be shown.
func (s *sought) missing() (all []string) {
	for _, id := range s.ids {
		if shown := typed(id); !s.found[id] && !slices.Contains(all, shown) {
			all = append(all, shown)
		}
	}
	return all
}

// err says which ids have no dead letter; nil if all have one.
func (s *sought) err() error {
	missing := s.missing()
	if len(missing) == 0 {
		return nil
	}
	text := "there is no dead letter with the id " + missing[0]
	if len(missing) > 1 {
		text = "there are no dead letters with the ids " + strings.Join(missing, ", ")
	}
	if s.filtered {
		text += " that the flags choose"
	}
	return &exitError{exitFailed, errors.New(text)}
}

// errEmptyID: an unset variable of a shell makes such an id. It would choose all dead letters
// that have none.
var errEmptyID = &exitError{exitUsage, errors.New("an id is empty; give the id of a message, and check the variable that it comes from")}

// deadLetters returns a number of dead letters in words.
func deadLetters(n int) string { return count(n, "dead letter") }
