package archive_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestFilterTakesHashedIDs: the publisher's id finds a dead letter that holds a hash of it, and
// the hash finds one that holds the id.
func TestFilterTakesHashedIDs(t *testing.T) {
	t.Parallel()
	const shows = "login-13012345678"
	for name, c := range map[string]struct {
		stored string
		ids    []string
		want   bool
	}{
		"no ids":                     {wire.HashID(shows), nil, true},
		"the publisher's id":         {wire.HashID(shows), []string{"other", shows}, true},
		"the hash":                   {wire.HashID(shows), []string{wire.HashID(shows)}, true},
		"the hash of a stored id":    {"login-1", []string{wire.HashID("login-1")}, true},
		"another id":                 {wire.HashID(shows), []string{"other"}, false},
		"another hash":               {wire.HashID(shows), []string{wire.HashID("other")}, false},
		"an id, for one without any": {"", []string{"other"}, false},
	} {
		if got := (archive.Filter{IDs: c.ids}).Takes(&archive.Letter{DeadLetter: messages.DeadLetter{ID: c.stored}}); got != c.want {
			t.Errorf("%s: taken is %t, want %t", name, got, c.want)
		}
	}
}
