package messages_test

import "testing"

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
	} {
		for _, form := range same[1:] {
			if hash(form) != hash(same[0]) {
				t.Errorf("%s and %s differ", form, same[0])
			}
		}
	}
	if hash("+8613012345678") == hash("+8613012345679") || hash("a@example.com") == hash("b@example.com") {
		t.Error("different addresses have the same hash")
	}
	if h, err := other.Lookup("a@example.com"); err != nil || h == hash("a@example.com") || len(h) != 32 {
		t.Errorf("%v: without the key it is the same: %s", err, h)
	}
}
