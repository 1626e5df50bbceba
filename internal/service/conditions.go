package service

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Conditions are the states that a running service reports in addition to the worker's: each
// has a name, an explanation, and the time at which it began. /readyz shows them. Many
// goroutines can use it at once.
type Conditions struct {
	now func() time.Time

	mu sync.Mutex
	of map[string]condition
}

type condition struct {
	name, words string
	since       time.Time
	// blocks says that codes can't be sent as they should: /readyz answers 503.
	blocks bool
}

// NewConditions returns Conditions without any condition. Default of now: time.Now.
func NewConditions(now func() time.Time) *Conditions {
	if now == nil {
		now = time.Now
	}
	return &Conditions{now: now, of: make(map[string]condition)}
}

// Block reports that codes can't be sent as they should, and why: while the condition holds,
// /readyz answers 503 with the words. They have to name the setting that helps, and must hold
// no secret, no code and no whole address. Block returns true if this is new: the condition
// did not hold, or had other words. The condition's time stays that of the first call.
func (c *Conditions) Block(name, words string) (news bool) { return c.set(name, words, true) }

// Note reports something that readers of /readyz have to know, and that stops no code: the
// status stays 200. Otherwise it is like Block.
func (c *Conditions) Note(name, words string) (news bool) { return c.set(name, words, false) }

func (c *Conditions) set(name, words string, blocks bool) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, holds := c.of[name]
	since := old.since
	if !holds {
		since = c.now()
	}
	c.of[name] = condition{name, words, since, blocks}
	return !holds || old.words != words || old.blocks != blocks
}

// Clear ends a condition. It returns true if the condition held, and for how long.
func (c *Conditions) Clear(name string) (lasted time.Duration, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, held := c.of[name]
	if held {
		lasted = c.now().Sub(old.since)
	}
	delete(c.of, name)
	return lasted, held
}

// holds reports whether a condition holds.
func (c *Conditions) holds(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, holds := c.of[name]
	return holds
}

// texts returns the words of the conditions that block, and of those that don't, oldest
// first.
func (c *Conditions) texts() (blocking, notes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]condition, 0, len(c.of))
	for _, one := range c.of {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b condition) int {
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.name, b.name))
	})
	now := c.now()
	for _, one := range all {
		text := fmt.Sprintf("%s: %s (for %s)", one.name, one.words, now.Sub(one.since).Truncate(time.Second))
		if one.blocks {
			blocking = append(blocking, text)
		} else {
			notes = append(notes, text)
		}
	}
	return blocking, notes
}
