package worker

import (
	"sync"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// untried remembers fresh messages that this worker has put back because it could not read
// the ledger. If the next delivery also comes to this worker, no other worker can have had
// the message in between: it is still fresh. A worker that does not remember it treats it
// as one in doubt.
type untried struct {
	mu  sync.Mutex
	all map[ledger.Place]handedOut
}

// handedOut identifies a delivery of a message: its number, and the consumer.
type handedOut struct {
	delivered uint64
	consumer  int64
}

// maxUntried is the most messages that are remembered.
const maxUntried = 10_000

func newUntried() *untried { return &untried{all: make(map[ledger.Place]handedOut)} }

// put remembers a message.
func (u *untried) put(m *jetpull.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.all) < maxUntried {
		u.all[placeOf(m)] = handedOut{m.Delivered, m.Consumer.UnixNano()}
	}
}

// take reports whether this worker has put back the delivery before this one, and forgets
// it.
func (u *untried) take(m *jetpull.Message) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := placeOf(m)
	before, known := u.all[p]
	delete(u.all, p)
	return known && before == handedOut{m.Delivered - 1, m.Consumer.UnixNano()}
}
