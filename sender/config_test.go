package sender_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

func TestRequired(t *testing.T) {
	got := sender.Required("a", "", "b", "x", "c", "")
	if want := []sender.Problem{{Path: "a", Text: "is required"}, {Path: "c", Text: "is required"}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReadOneOf(t *testing.T) {
	type unit string
	got := unit("b")
	if err := sender.ReadOneOf(&got, []byte("c"), "a", "c"); err != nil {
		t.Errorf("c: %v", err)
	}
	if got != "c" {
		t.Errorf("got %q, want c", got)
	}
	for _, text := range []string{"", "C", "c ", "ac"} {
		err := sender.ReadOneOf(&got, []byte(text), "a", "c")
		if err == nil || !strings.Contains(err.Error(), "not one of a and c") {
			t.Errorf("%q: got error %v, want one that names a and c", text, err)
		}
		if got != "c" {
			t.Errorf("%q: the value became %q, want it to stay c", text, got)
		}
	}
}
