package jetpull

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// isStatus reports whether msg is a status message of the server: only a message of the
// stream has a subject for its ack.
func isStatus(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Reply == "" && msg.Header.Get("Status") != ""
}

// status is what a status message means for the pull request that it is about.
type status struct {
	// ended is how many messages of the request will not come. whole is true if none will.
	ended int
	whole bool
	// lost is true if the server has forgotten all requests.
	lost bool
	// refused is true if the Puller has to pause before its next request.
	refused bool
}

const pendingHeader = "Nats-Pending-Messages"

var errNoLeader = errors.New("the consumer does not answer: it has no leader, or it does not exist")

// ErrRefused means that the server refuses to hand out messages, and will refuse again
// unless something changes. The error that wraps it has the server's own text.
var ErrRefused = errors.New("the server refuses to hand out messages; if the consumer's settings are the cause, codeferry provision puts them right")

// readStatus reads a status message. After an error the Puller can't be used any more.
func readStatus(msg *nats.Msg) (status, error) {
	code, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch n, counted := pendingMessages(msg); code {
	case "100": // idle heartbeat
		return status{}, nil
	case "404", "408": // no messages, or the request has expired
		return status{ended: n, whole: !counted}, nil
	case "409":
		switch {
		case strings.Contains(description, "Consumer Deleted"):
			return status{}, ErrConsumerGone
		case strings.Contains(description, "Leadership Change"):
			return status{lost: true, refused: true}, nil
		case counted, strings.Contains(description, "Exceeded MaxWaiting"):
			return status{ended: n, whole: !counted, refused: true}, nil
		}
	case "503":
		return status{}, errNoLeader
	}
	return status{}, fmt.Errorf("%w: %s %s", ErrRefused, code, description)
}

// pendingMessages returns how many messages of a request will not come, if the status
// message says so.
func pendingMessages(msg *nats.Msg) (n int, counted bool) {
	n, err := strconv.Atoi(msg.Header.Get(pendingHeader))
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}
