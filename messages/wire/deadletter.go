package wire

import (
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages"
)

// HiddenKey replaces a key that shows the recipient in a dead letter's subject.
const HiddenKey = "****"

// EpochHeader is the header with the count of a message's replays. A message without it was
// never replayed.
const EpochHeader = "Codeferry-Epoch"

// Epoch returns how often a message was replayed; a header that is no number counts as
// none.
func Epoch(h nats.Header) int {
	const most = 1 << 20 // far more than anybody replays
	text := h.Get(EpochHeader)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > most {
		return 0
	}
	return int(n)
}

// DeadMsgID returns a dead letter's Nats-Msg-Id, dead.<sequence>.<storedAt>, the time in
// nanoseconds since 1970. So a crash between the dead letter and the settling of the message
// leaves one dead letter, not two. It identifies the stored message. The message's id does
// not: another message with the same id has a dead letter of its own, and so has a message
// of a stream that was deleted and created again.
func DeadMsgID(d *messages.DeadLetter) string {
	return "dead." + strconv.FormatUint(d.Sequence, 10) + "." + strconv.FormatInt(d.StoredAt.UnixNano(), 10)
}
