package fakes

import (
	"slices"
	"sync"
)

// Kept keeps the requests to a fake, and the mails that it has accepted. It is safe for
// concurrent use. The zero value is empty and ready to use.
type Kept[M any] struct {
	mu       sync.Mutex
	mails    []M
	requests []string
}

// Request keeps a request, such as "POST /v3/mail/send", and returns the number of requests so
// far.
func (k *Kept[M]) Request(text string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, text)
	return len(k.requests)
}

// Accept keeps an accepted mail, and returns the number of mails so far.
func (k *Kept[M]) Accept(m M) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mails = append(k.mails, m)
	return len(k.mails)
}

// Inbox returns the accepted mails so far.
func (k *Kept[M]) Inbox() []M {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.mails)
}

// Requests returns the requests so far.
func (k *Kept[M]) Requests() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.requests)
}
