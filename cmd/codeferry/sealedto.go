package main

import (
	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages/wire"
)

// sealedTo returns a function for archive.Filter.Sealed: it opens a dead letter's message with
// the keys of the configuration, and compares its address. It calls unread for each that it
// can't open. It may be used by many goroutines if unread may.
func (f serverFlags) sealedTo(to string, unread func()) (func(*archive.Letter) bool, error) {
	opts, err := f.waitingOptions()
	if err != nil {
		return nil, err
	}
	return func(l *archive.Letter) bool {
		if l.Channel != channelOf(to) {
			return false
		}
		m := *l.Kept() // Open changes it
		if opts.Opener == nil || opts.Opener.Open(l.Subject, &m) != nil {
			unread()
			return false
		}
		return wire.SameAddress(m.To, to)
	}, nil
}
