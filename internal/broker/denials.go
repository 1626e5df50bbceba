package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
)

// Denials tells a [Keeper] which requests the server does not permit. The server answers
// such a request with an error of the connection alone, so without this the Keeper would wait
// until the request times out. The zero value is ready. Many goroutines can use it at once.
type Denials struct {
	mu      sync.Mutex
	waiting map[*context.CancelCauseFunc]struct{}
}

// Heard takes an error of [Target.Denied]. It ends the requests that wait to look at, make or
// change a stream or a consumer, if err is about one.
func (d *Denials) Heard(err error) {
	operation, subject := Denial(err)
	if operation != "publish" || !changes(subject) && !looks(subject) {
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

// looks reports whether a request to subject looks at a stream or a consumer of the workers.
func looks(subject string) bool {
	if _, stream, ok := strings.Cut(subject, ".STREAM.INFO."); ok {
		return slices.ContainsFunc(wire.StreamConfigs(wire.StreamOptions{}), func(c jetstream.StreamConfig) bool { return c.Name == stream })
	}
	return strings.Contains(subject, ".CONSUMER.INFO."+wire.StreamName+".")
}

// until returns a context that ends with ctx, or when the server denies a look or a change. Its cause is
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

// notPermittedError is a request to look at, make or change something that the server refused.
type notPermittedError struct{ cause error }

func (e *notPermittedError) Error() string {
	operation, subject := Denial(e.cause)
	remedy := "run codeferry provision with one that has the permission (docs/roles.md)"
	if looks(subject) {
		remedy = "docs/roles.md lists what a worker needs"
	}
	return fmt.Sprintf("NATS does not permit this user to %s to %s; %s", operation, subject, remedy)
}

func (e *notPermittedError) Unwrap() error { return e.cause }
