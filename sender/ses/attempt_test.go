package ses

import (
	"context"
	"errors"
	"testing"
)

// TestPanics: what the SDK can't take is doubt once it was sent.
func TestPanics(t *testing.T) {
	c := &connector{secrets: func() []string { return nil }}
	for _, status := range []int{200, 400} {
		if e := c.failure(errPanic, &attempt{begun: true, status: status}, nil); e.Code != "SDK.Panic" || e.Class.String() != "unknown" {
			t.Errorf("%d: %+v", status, e)
		}
	}
	out, a, err := call(t.Context(), new(client), func(context.Context, *int, ...func(*options)) (*int, error) { panic("boom") }, new(int))
	if out != nil || a == nil || !errors.Is(err, errPanic) {
		t.Errorf("%v, %v, %v", out, a, err)
	}
	if e := c.failure(err, a, nil); e.Class.String() != "misconfigured" {
		t.Error(e)
	}
}

// TestWhatFailsAfterTheRequest is doubt, wherever it failed; what fails before is not.
func TestWhatFailsAfterTheRequest(t *testing.T) {
	c := &connector{secrets: func() []string { return nil }}
	for asked, want := range map[bool]string{true: "unknown", false: "unavailable"} {
		if e := c.failure(context.Canceled, &attempt{begun: true, asked: asked}, nil); e.Class.String() != want {
			t.Errorf("asked %v: %+v", asked, e)
		}
	}
}
