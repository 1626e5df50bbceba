package wire_test

import (
	"testing"

	"github.com/codeferry/codeferry/messages/wire"
)

func TestLookup(t *testing.T) {
	key, other := newKey(t), newKey(t)
	hash := func(to string) string {
		t.Helper()
		h, err := key.Lookup(to)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, same := range [][]string{
		{"+8613012345678", "13012345678", "0086 130-1234-5678", "8613012345678"},
		{"Foo@Example.com", "foo@example.com"},
		{"+85291234567", "0085291234567"},
		{"+5215512345678", "+525512345678", "00525512345678"},
		{"＋８６１３０１２３４５６７８", "+8613012345678"},
	} {
		for _, form := range same[1:] {
			if hash(form) != hash(same[0]) {
				t.Errorf("%s and %s have different hashes", form, same[0])
			}
			if !wire.SameAddress(form, same[0]) {
				t.Errorf("%s and %s are not the same address", form, same[0])
			}
		}
	}
	if hash("+8613012345678") == hash("+8613012345679") {
		t.Error("two numbers have the same hash")
	}
	if wire.SameAddress("+8613012345678", "+8613012345679") || wire.SameAddress("a@example.com", "b@example.com") {
		t.Error("different addresses are the same")
	}
	if hash("a@example.com") == hash("b@example.com") {
		t.Error("two email addresses have the same hash")
	}
	h, err := other.Lookup("a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if h == hash("a@example.com") {
		t.Errorf("two keys give the same hash: %s", h)
	}
	if len(h) != 32 {
		t.Errorf("the hash %s has %d characters, want 32", h, len(h))
	}
}
