package messages_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestSealerChangesItsEncapsulatedKey after a minute, and after many messages. Each message
// has a nonce of its own, and each opens.
func TestSealerChangesItsEncapsulatedKey(t *testing.T) {
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	const (
		subject   = "codeferry.send.default.sms.SignIn.user-1"
		encSize   = 32
		nonceSize = 12
	)
	now := time.Now()
	s, o := messages.NewSealer(key.Public()), wire.NewOpener(key)
	s.SetClock(func() time.Time { return now })
	nonces := make(map[string]bool)
	seal := func() []byte {
		t.Helper()
		m, err := s.Seal(subject, &messages.SendCode{ID: "id-1", To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "482913"}})
		if err != nil {
			t.Fatal(err)
		}
		box := m.Sealed.Box
		if nonce := string(box[encSize : encSize+nonceSize]); nonces[nonce] {
			t.Error("a nonce was used twice")
		} else {
			nonces[nonce] = true
		}
		if err := o.Open(subject, m); err != nil {
			t.Errorf("a sealed message does not open: %v", err)
		}
		if got := m.Payload.Text("code"); got != "482913" {
			t.Errorf("the opened code is %q, want 482913", got)
		}
		return box[:encSize]
	}
	first := seal()
	if !bytes.Equal(seal(), first) {
		t.Error("the second message has another encapsulated key")
	}
	now = now.Add(messages.SealFor)
	second := seal()
	if bytes.Equal(second, first) {
		t.Error("after a minute the encapsulated key is still the same")
	}
	s.EndAfter(1)
	if !bytes.Equal(seal(), second) {
		t.Error("the last message has another encapsulated key")
	}
	if bytes.Equal(seal(), second) {
		t.Error("the message after the last one has the same encapsulated key")
	}
}
