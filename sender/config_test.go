package sender_test

import (
	"slices"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

func TestRequired(t *testing.T) {
	got := sender.Required("a", "", "b", "x", "c", "")
	if want := []sender.Problem{{Path: "a", Text: "is required"}, {Path: "c", Text: "is required"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
