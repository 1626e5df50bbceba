package aliyun

import (
	"net/http"
	"sync"
	"time"
)

// The default key pair, as in Aliyun's documentation of the signature.
const (
	DefaultKeyID     = "testid"
	DefaultKeySecret = "testsecret"
)

// Options configure a Server. The zero value is ready to use.
type Options struct {
	// Keys are the accepted access keys. Default: one with ID testid and
	// Secret testsecret, as in Aliyun's documentation of the signature.
	Keys []Key

	// FlowControl turns on the limits of verification codes to mainland China:
	// for a signature and number 1 a minute, 5 an hour and 10 in 24 hours, and
	// for a number 40 in 24 hours. Sends are counted while it is on. Default:
	// off. SetFlowControl and PUT /settings change it later.
	FlowControl bool

	// Now is the clock for timestamps, nonces, flow control and the inbox. A
	// fault's latency passes in real time. Default: time.Now.
	Now func() time.Time

	// MaxInbox is how many messages the inbox keeps, the newest ones. Default:
	// 100000.
	MaxInbox int
}

// Key is an access key. One with a SecurityToken is temporary (STS): its
// requests have to carry the token.
type Key struct{ ID, Secret, SecurityToken string }

const defaultMaxInbox = 100_000

// Server is the fake. It is safe for concurrent use.
type Server struct {
	keys     map[string]Key
	now      func() time.Time
	handler  http.Handler
	requests counters
	faults   faults
	nonces   nonces
	flow     flow
	inbox    *inbox
	ids      ids

	close  sync.Once
	closed chan struct{}
}

// New makes a Server. It starts nothing: serve it with net/http, and Close it
// when done.
func New(o Options) *Server {
	if len(o.Keys) == 0 {
		o.Keys = []Key{{ID: DefaultKeyID, Secret: DefaultKeySecret}}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxInbox <= 0 {
		o.MaxInbox = defaultMaxInbox
	}
	s := &Server{
		keys:     make(map[string]Key, len(o.Keys)),
		now:      o.Now,
		requests: newCounters(),
		inbox:    newInbox(o.MaxInbox),
		closed:   make(chan struct{}),
	}
	for _, key := range o.Keys {
		s.keys[key.ID] = key
	}
	s.flow.on.Store(o.FlowControl)
	s.ids.init()
	s.handler = s.routes()
	return s
}

// ServeHTTP serves the API and the control side.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close cuts requests that hang or wait for a latency, now and later. Everything else still
// works. Further calls do nothing.
func (s *Server) Close() { s.close.Do(func() { close(s.closed) }) }

// Inbox returns the messages to a recipient, newest first; to is an address in upper or lower
// case, or a number in any form (+8613012345678 and 13012345678 are the same). With an empty
// to it returns all messages.
func (s *Server) Inbox(to string) []Message { return s.messages(to, 0) }

// messages is never nil: its JSON is a list.
func (s *Server) messages(to string, limit int) []Message {
	found := s.inbox.newestFirst(to, limit)
	list := make([]Message, len(found))
	for i, a := range found {
		list[i] = a.Message
	}
	return list
}

// Reset empties the inbox and the flow-control counters. Faults, settings,
// used nonces and request counts stay.
func (s *Server) Reset() {
	s.inbox.reset()
	s.flow.reset()
}

// SetFaults replaces the faults. An empty list removes all. An error names the wrong field;
// then nothing is changed.
func (s *Server) SetFaults(list []Fault) error { return s.faults.set(list) }

// SetFlowControl turns flow control on or off; see Options. Earlier counts stay.
func (s *Server) SetFlowControl(on bool) { s.flow.on.Store(on) }

// Requests returns how often each action was called since New, with any answer. Requests with
// an unknown action or none count as "other".
func (s *Server) Requests() map[string]int { return s.requests.snapshot() }
