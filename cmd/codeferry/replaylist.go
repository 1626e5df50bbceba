package main

import (
	"encoding/json"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
)

// replayList prints what became of each dead letter, as it happens.
type replayList struct {
	verb  string
	dry   bool
	json  *json.Encoder
	table *columns
	// err is the first error of printing; nothing is printed after it.
	err error
}

// newReplayList makes a list. dry reports that nothing is done: the list says what would be.
func newReplayList(s streams, dry, asJSON bool) *replayList {
	r := &replayList{verb: wouldBe(dry), dry: dry}
	if asJSON {
		r.json = newJSON(s.out)
	}
	r.table = newColumns(s.out, []string{"ID", "APP", "CHANNEL", "KEY", "TO", "REASON", "RESULT"},
		[]string{sampleID, "default", "email", sampleKey, sampleTo, "undeliverable", ""})
	return r
}

// replayed is what became of a dead letter, as JSON. Sequence tells apart what has the same
// id.
type replayed struct {
	ID       string           `json:"id"`
	App      string           `json:"app"`
	Channel  messages.Channel `json:"channel"`
	Key      string           `json:"key,omitempty"`
	To       string           `json:"to,omitempty"`
	Reason   messages.Reason  `json:"reason"`
	Sequence uint64           `json:"sequence"`
	Decision replay.Decision  `json:"decision"`
	// Answer is the auth service's reason if it made no new code.
	Answer string `json:"answer,omitempty"`
	// DryRun is true if nothing was done: Decision is what would become of it.
	DryRun bool `json:"dryRun,omitempty"`
}

func (r *replayList) add(l archive.Letter, d replay.Decision, answer string) {
	switch {
	case r.err != nil:
	case r.json != nil:
		r.err = r.json.Encode(replayed{l.ID, l.App, l.Channel, archive.KeyOf(&l.DeadLetter), l.To, l.Reason, l.Sequence, d, answer, r.dry})
	default:
		result := became(r.verb, d)
		if answer != "" {
			result += ": " + plain(answer)
		}
		r.err = r.table.row([]string{
			plain(l.ID), plain(l.App), plain(string(l.Channel)), plain(shownKey(&l.DeadLetter)), plain(orDash(l.To)), plain(string(l.Reason)), result,
		}, nil)
	}
}
