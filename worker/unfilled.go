package worker

import (
	"sync"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// unfilled logs the placeholders of a connector's templates that had no value in a
// payload. Each is logged once in the connector's life. Its messages are sent without the
// value.
type unfilled struct {
	log zerolog.Logger

	mu     sync.Mutex
	logged map[blank]bool
}

// blank is a placeholder of a template.
type blank struct {
	usage                 messages.Type
	template, placeholder string
}

func newUnfilled(log zerolog.Logger) *unfilled {
	return &unfilled{log: log, logged: make(map[blank]bool)}
}

// report logs the placeholders that m lacks and that were not logged before. The names
// come from the template; nothing of the message is shown.
func (u *unfilled) report(usage messages.Type, m *sender.Message) {
	for _, name := range m.Missing {
		if u.first(blank{usage.Canonical(), m.Template, name}) {
			u.log.Warn().Str("type", string(usage)).Str("placeholder", name).
				Msg("the payload has no value for a placeholder of the template, so the message is sent without it; both names must match, including upper and lower case")
		}
	}
}

func (u *unfilled) first(b blank) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.logged[b]
	u.logged[b] = true
	return !seen
}
