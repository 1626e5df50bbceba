package worker

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// refusingDomains notices when the recipients' domains refuse the sender itself, for
// instance because its IP address is blocked. One domain that refuses says nothing about
// the connector. Several in a row with the same code, and with no message accepted in
// between, do.
//
// An attacker who asks for codes can choose the domains. So subdomains count as one
// domain, and the refusals have to last for a time: a connector that still works has a
// message accepted meanwhile.
type refusingDomains struct {
	// running is false while nothing is refused; it saves taking the lock.
	running atomic.Bool

	mu sync.Mutex
	// code is the code of the domains in a row; since is when the first of them refused.
	code  string
	since time.Time
	// names are the first domainsInARow of them.
	names []string
}

const (
	// domainsInARow is how many domains have to refuse with the same code.
	domainsInARow = 5
	// domainsFor is how long they have to refuse.
	domainsFor = 10 * time.Second
)

// accepted notes that a message was accepted.
func (r *refusingDomains) accepted() {
	if !r.running.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
}

// refused notes that a recipient's domain has refused a message. all is true if enough
// domains have refused for long enough; then the count starts again.
func (r *refusingDomains) refused(to, code string) (all bool) {
	name := domainOf(to)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.running.Load() || r.code != code {
		r.forget()
		r.code, r.since = code, time.Now()
		r.running.Store(true)
	}
	if len(r.names) < domainsInARow && !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
	if len(r.names) < domainsInARow || time.Since(r.since) < domainsFor {
		return false
	}
	r.forget()
	return true
}

func (r *refusingDomains) forget() {
	r.running.Store(false)
	r.names = r.names[:0]
}

// domainOf returns the domain of a mail address, without its subdomains. It is empty for a
// number, so all numbers count as one domain.
func domainOf(to string) string {
	parts := strings.Split(to, "@") // a quoted local part can hold an @ too
	if len(parts) == 1 {
		return ""
	}
	labels := strings.Split(strings.ToLower(parts[len(parts)-1]), ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}
