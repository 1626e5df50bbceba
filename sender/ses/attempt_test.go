package ses

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestPanics: a panic of the SDK is doubt after the request was sent.
func TestPanics(t *testing.T) {
	c := &connector{secrets: func() []string { return nil }}
	for _, status := range []int{200, 400} {
		e := c.failure(errPanic, &attempt{begun: true, status: status}, nil)
		sendertest.WantCode(t, e, sender.Unknown, "SDK.Panic")
	}
	out, a, err := call(t.Context(), new(client), time.Time{}, func(context.Context, *int, ...func(*options)) (*int, error) { panic("boom") }, new(int))
	if out != nil {
		t.Errorf("there is an output: %v", out)
	}
	if a == nil {
		t.Error("there is no attempt")
	}
	if !errors.Is(err, errPanic) {
		t.Errorf("got error %v, want %v", err, errPanic)
	}
	sendertest.Want(t, c.failure(err, a, nil), sender.Misconfigured)
}

// TestWhatFailsAfterTheRequest is doubt, wherever it fails; an error before the request
// is not.
func TestWhatFailsAfterTheRequest(t *testing.T) {
	c := &connector{secrets: func() []string { return nil }}
	for asked, want := range map[bool]string{true: "unknown", false: "unavailable"} {
		if e := c.failure(context.Canceled, &attempt{begun: true, asked: asked}, nil); e.Class.String() != want {
			t.Errorf("asked %v: %+v", asked, e)
		}
	}
}
