package skeleton_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// fake is the provider. A real one is the type Server in a package of internal/fakes, as
// strict as the provider; that package imports the standard library only.
type fake struct {
	mu       sync.Mutex
	requests int
	inbox    []mail
}

type mail struct{ Name, From, To, Subject, Text, HTML string }

// Requests is how many requests to send something have come.
func (f *fake) Requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// Inbox is what was accepted, oldest first.
func (f *fake) Inbox() []mail {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.inbox)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sends := r.Method == http.MethodPost && r.URL.String() == "/messages"
	if sends {
		f.requests++
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+key:
		refusal(http.StatusUnauthorized, "bad-key", "no").ServeHTTP(w, r)
	case sends:
		f.take(w, r)
	case r.Method == http.MethodGet && r.URL.Path == "/messages":
		f.look(w, r.URL.Query().Get("name"))
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) take(w http.ResponseWriter, r *http.Request) {
	var m mail
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || m.Name == "" || m.From == "" || m.To == "" {
		refusal(http.StatusBadRequest, "bad-content", "a field is missing or unknown").ServeHTTP(w, r)
		return
	}
	f.inbox = append(f.inbox, m)
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"id":"M-%d"}`, len(f.inbox)) // the client may be gone
}

func (f *fake) look(w http.ResponseWriter, name string) {
	i := slices.IndexFunc(f.inbox, func(m mail) bool { return m.Name == name })
	if i < 0 {
		_, _ = fmt.Fprint(w, `{"found":false}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{"found":true,"id":"M-%d"}`, i+1)
}

// newFake serves the provider's fake.
func newFake(t testing.TB) *sendertest.Fake {
	t.Helper()
	f := new(fake)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &sendertest.Fake{
		Endpoint: srv.URL,
		Requests: f.Requests,
		Accepted: func() (to []string) {
			for _, m := range f.Inbox() {
				to = append(to, m.To)
			}
			return to
		},
	}
}
