package wire

import (
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/sealing"
)

// TestOpenerCache: the cache is bounded, and a message whose cipher is gone still opens. The
// cache does not keep the cipher of a box that does not open.
func TestOpenerCache(t *testing.T) {
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	o := NewOpener(key)
	var first *messages.SendCode
	for i := range 2*maxRecent + 10 {
		m, err := messages.NewSealer(key.Public()).Seal("s", &messages.SendCode{ID: "id-1", To: "a@example.com", Type: messages.SignIn, Payload: messages.Payload{}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			kept := *m
			first = &kept
			if err := o.Open("another subject", m); err == nil {
				t.Fatal("a box opens on another subject")
			}
			if n := len(o.recent); n > 0 {
				t.Fatalf("after a box that does not open the cache has %d ciphers, want none", n)
			}
			*m = kept
		}
		if err := o.Open("s", m); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.recent) > maxRecent || len(o.older) > maxRecent {
		t.Errorf("the cache has %d recent and %d older ciphers, want at most %d of each", len(o.recent), len(o.older), maxRecent)
	}
	if o.known(first.Sealed.Key+string(first.Sealed.Box[:sealing.EncSize])) != nil {
		t.Error("the cache still has the first cipher")
	}
	if err := o.Open("s", first); err != nil {
		t.Errorf("a message whose cipher is no longer in the cache: %v", err)
	}
}
