package broker

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/codeferry/codeferry/messages/wire"
)

// Denials tells a [Keeper] which requests the server does not permit. The server answers
// such a request with an error of the connection alone, so without this the Keeper would wait
// until the request times out. The zero value is ready. Many goroutines can use it at once.
type Denials struct {
	mu      sync.Mutex
	waiting map[*context.CancelCauseFunc]struct{}
}

// Heard takes an error of [Target.Denied]. It ends the requests that wait to make or change
// a stream or a consumer, if err is about one.
func (d *Denials) Heard(err error) {
	operation, subject := Denial(err)
	if operation != "publish" || !changes(subject) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for end := range d.waiting {
		(*end)(&notPermittedError{err})
	}
}

// changes reports whether a request to subject makes or changes a stream or a consumer of
// the workers.
func changes(subject string) bool {
	return strings.Contains(subject, ".STREAM.CREATE.") || strings.Contains(subject, ".STREAM.UPDATE.") ||
		strings.Contains(subject, ".CONSUMER.CREATE."+wire.StreamName+".")
}

// until returns a context that ends with ctx, or when the server denies a change. Its cause is
// a *notPermittedError then. The caller has to call end.
func (d *Denials) until(ctx context.Context) (limited context.Context, end func()) {
	if d == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = make(map[*context.CancelCauseFunc]struct{})
	}
	d.waiting[&cancel] = struct{}{}
	return ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting, &cancel)
		cancel(nil)
	}
}

// notPermittedError is a request to make or change something that the server refused.
type notPermittedError struct{ cause error }

func (e *notPermittedError) Error() string {
	operation, subject := Denial(e.cause)
	return fmt.Sprintf("NATS does not permit this user to %s to %s; run codeferry provision with one that has the permission (docs/roles.md)", operation, subject)
}

func (e *notPermittedError) Unwrap() error { return e.cause }
