package messages

import (
	"bytes"
	"testing"
	"time"
)

// TestAnEncapsulatedKeyServesForAMinute: it is made anew after that, and after many
// messages; each message has a nonce of its own, and each opens.
func TestAnEncapsulatedKeyServesForAMinute(t *testing.T) {
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	const subject = "codeferry.send.default.sms.SignIn.user-1"
	now := time.Now()
	s, o := NewSealer(key.Public()), NewOpener(key)
	s.now = func() time.Time { return now }
	nonces := make(map[string]bool)
	seal := func() []byte {
		t.Helper()
		m, err := s.Seal(subject, &SendCode{ID: "id-1", To: "+8613012345678", Type: SignIn, Payload: Payload{"code": "482913"}})
		if err != nil {
			t.Fatal(err)
		}
		box := m.Sealed.Box
		if nonce := string(box[encSize : encSize+nonceSize]); nonces[nonce] {
			t.Error("a nonce was used twice")
		} else {
			nonces[nonce] = true
		}
		if err := o.Open(subject, m); err != nil || m.Payload.Text("code") != "482913" {
			t.Errorf("%v, %v", m, err)
		}
		return box[:encSize]
	}
	first := seal()
	if !bytes.Equal(seal(), first) {
		t.Error("the second message has another key")
	}
	now = now.Add(sealFor)
	second := seal()
	if bytes.Equal(second, first) {
		t.Error("the key is as old as a minute")
	}
	s.with.left = 1
	if !bytes.Equal(seal(), second) || bytes.Equal(seal(), second) {
		t.Error("the key does not end with its last message")
	}
}

// TestAnOpenerRemembersSoMany: what it remembers is bounded, and what it has forgotten
// it opens all the same. A box that does not open is not remembered.
func TestAnOpenerRemembersSoMany(t *testing.T) {
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	o := NewOpener(key)
	var first *SendCode
	for i := range 2*maxRecent + 10 {
		m, err := NewSealer(key.Public()).Seal("s", &SendCode{ID: "id-1", To: "a@example.com", Type: SignIn, Payload: Payload{}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			kept := *m
			first = &kept
			if err := o.Open("another subject", m); err == nil || len(o.recent) > 0 {
				t.Fatalf("%v, and %d are remembered", err, len(o.recent))
			}
			*m = kept
		}
		if err := o.Open("s", m); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.recent) > maxRecent || len(o.older) > maxRecent || o.known(first.Sealed.Key+string(first.Sealed.Box[:encSize])) != nil {
		t.Errorf("%d and %d are remembered", len(o.recent), len(o.older))
	}
	if err := o.Open("s", first); err != nil {
		t.Error(err)
	}
}
