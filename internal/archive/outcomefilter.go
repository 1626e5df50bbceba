package archive

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// OutcomeFilter says which outcomes are wanted; what is empty takes any.
type OutcomeFilter struct {
	App       string
	Channels  []messages.Channel
	Statuses  []messages.Status
	Connector string
	// ID is the publisher's. An outcome whose id showed the recipient holds a hash of it,
	// and is taken too.
	ID string
	// Key is the subject's. An outcome holds none if that showed the recipient.
	Key string
	// To is a whole address. Outcomes hold masked ones: others with the same mask are taken
	// too ([FitsMask]).
	To string
	// Since bounds when the step happened: from Since on.
	Since time.Time
}

// Takes tells whether the filter takes an outcome.
func (f *OutcomeFilter) Takes(o *messages.Outcome) bool {
	switch {
	case f.App != "" && f.App != o.App,
		len(f.Channels) > 0 && !slices.Contains(f.Channels, o.Channel),
		len(f.Statuses) > 0 && !slices.Contains(f.Statuses, o.Status),
		f.Connector != "" && f.Connector != o.Connector,
		f.ID != "" && !SameID(f.ID, o.ID),
		f.Key != "" && f.Key != o.Key,
		f.To != "" && !FitsMask(f.To, o.To),
		!f.Since.IsZero() && o.At.Before(f.Since):
		return false
	}
	return true
}

// SameID tells whether a stored id is the one that is asked for, or the hash that stands
// for it where it showed the recipient; or whether the hash is asked for.
func SameID(asked, stored string) bool {
	return stored == asked || strings.HasPrefix(stored, wire.HashedID) && stored == wire.HashID(asked) || strings.HasPrefix(asked, wire.HashedID) && asked == wire.HashID(stored)
}

// subject is what the server is asked for. It takes one filter, since a consumer with
// several has another subject of the API, which takes no permission by filter.
func (f *OutcomeFilter) subject() string {
	channel, status := messages.Channel("*"), messages.Status("*")
	if len(f.Channels) == 1 {
		channel = f.Channels[0]
	}
	if len(f.Statuses) == 1 {
		status = f.Statuses[0]
	}
	return wire.OutcomeSubject(orAny(f.App), channel, status)
}

// decode reads an outcome that is wanted. What surely is not is not decoded, since that
// takes longer than all else.
func (f *OutcomeFilter) decode(data []byte) (o messages.Outcome, ok bool) {
	if !mayHold(data, f.Key) || f.ID != "" && !mayHold(data, f.ID) && !bytes.Contains(data, []byte(wire.HashedID)) && !strings.HasPrefix(f.ID, wire.HashedID) {
		return o, false
	}
	if json.Unmarshal(data, &o) != nil || !f.Takes(&o) {
		return o, false // what is no outcome is no message's
	}
	return o, true
}

// mayHold tells whether JSON that a worker has written may hold a text.
func mayHold(data []byte, text string) bool {
	if text == "" {
		return true
	}
	quoted, err := json.Marshal(text)
	return err != nil || bytes.Contains(data, quoted)
}

// FitsMask tells whether a masked address may be that of a whole one, in any of the forms
// in which publishers write it: upper and lower case, a mainland number with or without its
// country code.
func FitsMask(to, masked string) bool {
	if strings.Contains(to, "@") {
		return strings.EqualFold(messages.Mask(to), masked)
	}
	masked = strings.TrimPrefix(masked, "+")
	for _, form := range numberForms(wire.Digits(to)) {
		if messages.Mask(form) == masked {
			return true
		}
	}
	return messages.Mask(to) == masked
}

// numberForms are the digits that a number may be written with.
func numberForms(digits string) []string {
	const (
		code   = "86"
		mobile = 11
	)
	digits = strings.TrimPrefix(digits, "00")
	forms := []string{digits, "00" + digits}
	switch {
	case len(digits) == mobile && digits[0] == '1':
		forms = append(forms, code+digits, "00"+code+digits)
	case len(digits) == len(code)+mobile && strings.HasPrefix(digits, code+"1"):
		forms = append(forms, digits[len(code):])
	}
	return forms
}
