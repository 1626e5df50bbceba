package faults

import "testing"

// TestIncarnations: a publish belongs to the stream that it began with, is given up when that
// stream is deleted, and is not sure of its place if it was in progress meanwhile.
func TestIncarnations(t *testing.T) {
	var n incarnations
	_, before := n.enter(t.Context())
	if got, want := before(), (place{incarnation: 0, sure: true}); got != want {
		t.Errorf("before: %+v, want %+v", got, want)
	}

	underWay, leaveUnderWay := n.enter(t.Context())
	n.willBeDeleted()
	meanwhile, leaveMeanwhile := n.enter(t.Context())
	if underWay.Err() != nil || meanwhile.Err() != nil {
		t.Errorf("given up before the stream is deleted: %v, %v", underWay.Err(), meanwhile.Err())
	}
	n.deleted()
	if underWay.Err() == nil || meanwhile.Err() == nil {
		t.Errorf("not given up when the stream is deleted: %v, %v", underWay.Err(), meanwhile.Err())
	}
	for name, leave := range map[string]func() place{"under way": leaveUnderWay, "meanwhile": leaveMeanwhile} {
		if got, want := leave(), (place{incarnation: 0}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}

	after, leaveAfter := n.enter(t.Context())
	if after.Err() != nil {
		t.Errorf("given up after the stream was deleted: %v", after.Err())
	}
	if got, want := leaveAfter(), (place{incarnation: 1, sure: true}); got != want || n.last() != 1 {
		t.Errorf("after: %+v of %d streams, want %+v", got, n.last(), want)
	}
}
