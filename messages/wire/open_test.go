package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

const sealSubject = "codeferry.send.default.sms.SignIn.user-1"

func newKey(t testing.TB) wire.PrivateKey {
	t.Helper()
	k, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func secretCode() *messages.SendCode {
	return &messages.SendCode{
		ID: "01JDCT5Z6Q0000000000000000", To: "+8613012345678", Type: messages.SignIn, IP: "203.0.113.7",
		Payload: messages.Payload{"code": "482913", "n": json.Number("7"), "user": map[string]any{"name": "安"}},
		Extra:   map[string]json.RawMessage{"later": json.RawMessage(`1`)},
	}
}

// overTheWire seals a message and reads it back as a worker would.
func overTheWire(t testing.TB, to messages.PublicKey, m *messages.SendCode) *messages.SendCode {
	t.Helper()
	sealed, err := messages.NewSealer(to).Seal(sealSubject, m)
	if err != nil {
		t.Fatal(err)
	}
	body, err := sealed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"482913", "13012345678", "203.0.113.7", "安", `"to"`, `"payload"`, "later"} {
		if bytes.Contains(body, []byte(secret)) {
			t.Errorf("%s is in %s", secret, body)
		}
	}
	got, err := wire.Decode(body, messages.SMS)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSealAndOpen(t *testing.T) {
	key, m := newKey(t), secretCode()
	got := overTheWire(t, key.Public(), m)
	if !reflect.DeepEqual(m, secretCode()) {
		t.Error("sealing changed the message")
	}
	if got.To != "" || got.Payload != nil {
		t.Errorf("the sealed message has To %q and a payload %v, want neither", got.To, got.Payload)
	}
	if got.Sealed == nil {
		t.Fatal("the sealed message has no Sealed")
	}
	if got.Sealed.Key != key.Public().ID() {
		t.Errorf("Sealed.Key is %s, want %s", got.Sealed.Key, key.Public().ID())
	}
	// Keys rotate: the older one still opens.
	if err := wire.NewOpener(newKey(t), key).Open(sealSubject, got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("the opened message is %#v with the payload %v, want %#v with %v", got, map[string]any(got.Payload), m, map[string]any(m.Payload))
	}
	if err := wire.NewOpener().Open(sealSubject, got); err != nil {
		t.Errorf("Open of a plain message: %v", err)
	}
	if other := overTheWire(t, key.Public(), m); bytes.Equal(other.Sealed.Box, overTheWire(t, key.Public(), m).Sealed.Box) {
		t.Error("the same message has the same box twice")
	}
}

func TestOpenRefuses(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string]struct {
		subject string
		change  func(*messages.SendCode)
		opener  *wire.Opener
		want    error
	}{
		"another subject": {"codeferry.send.default.sms.SignIn.user-2", func(*messages.SendCode) {}, wire.NewOpener(key), wire.ErrTampered},
		"another id":      {sealSubject, func(m *messages.SendCode) { m.ID = "another" }, wire.NewOpener(key), wire.ErrTampered},
		"a bit":           {sealSubject, func(m *messages.SendCode) { m.Sealed.Box[40] ^= 1 }, wire.NewOpener(key), wire.ErrTampered},
		"the key's bit":   {sealSubject, func(m *messages.SendCode) { m.Sealed.Box[3] ^= 1 }, wire.NewOpener(key), wire.ErrTampered},
		"cut":             {sealSubject, func(m *messages.SendCode) { m.Sealed.Box = m.Sealed.Box[:50] }, wire.NewOpener(key), wire.ErrTampered},
		"short":           {sealSubject, func(m *messages.SendCode) { m.Sealed.Box = m.Sealed.Box[:31] }, wire.NewOpener(key), wire.ErrTampered},
		"nothing":         {sealSubject, func(m *messages.SendCode) { m.Sealed.Box = nil }, wire.NewOpener(key), wire.ErrTampered},
		"a zero point":    {sealSubject, func(m *messages.SendCode) { clear(m.Sealed.Box[:32]) }, wire.NewOpener(key), wire.ErrTampered},
		"no key":          {sealSubject, func(*messages.SendCode) {}, wire.NewOpener(), wire.ErrNoKey},
		"another key":     {sealSubject, func(*messages.SendCode) {}, wire.NewOpener(newKey(t)), wire.ErrNoKey},
		"a key's id":      {sealSubject, func(m *messages.SendCode) { m.Sealed.Key = "482913 is my code" }, wire.NewOpener(key), wire.ErrNoKey},
	} {
		m := overTheWire(t, key.Public(), secretCode())
		c.change(m)
		before := *m
		err := c.opener.Open(c.subject, m)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want %v", name, err, c.want)
		}
		if !reflect.DeepEqual(*m, before) {
			t.Errorf("%s: Open changed the message to %#v", name, m)
		}
		if err != nil && strings.Contains(err.Error(), "482913") {
			t.Errorf("%s: the error shows the code: %v", name, err)
		}
	}
	if _, err := messages.NewSealer(key.Public()).Seal(sealSubject, &messages.SendCode{To: "+8613012345678"}); err == nil {
		t.Error("a message without an id was sealed")
	}
}

// TestSealVectors opens stored messages. Implementations in other languages can test with the
// same file.
func TestSealVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/sealed.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Private, Public, KeyID, Subject string
		Body                            json.RawMessage
		Plain                           json.RawMessage
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 2 {
		t.Fatalf("testdata/sealed.json has %d vectors, want 2 or more", len(vectors))
	}
	for _, v := range vectors {
		key, err := wire.ParsePrivateKey(v.Private)
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Public().String(); got != v.Public {
			t.Fatalf("the public key is %s, want %s", got, v.Public)
		}
		if got := key.Public().ID(); got != v.KeyID {
			t.Fatalf("the key's id is %s, want %s", got, v.KeyID)
		}
		s, err := wire.ParseSubject(v.Subject)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Decode(v.Body, s.Channel)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.NewOpener(key).Open(v.Subject, m); err != nil {
			t.Fatal(err)
		}
		var want messages.SendCode
		if err := json.Unmarshal(v.Plain, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*m, want) {
			t.Errorf("the opened message is %#v, want %#v", *m, want)
		}
	}
}

func TestKeys(t *testing.T) {
	key := newKey(t)
	text, err := key.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := wire.ParsePrivateKey(" " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.Public().ID(), key.Public().ID(); got != want {
		t.Fatalf("the parsed private key has the id %s, want %s", got, want)
	}
	public, err := messages.ParsePublicKey(key.Public().String())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := public.ID(), key.Public().ID(); got != want {
		t.Fatalf("the parsed public key has the id %s, want %s", got, want)
	}
	for _, wrong := range []string{"", "x", text, key.Public().String()[:30], key.Public().String() + "A", "codeferry-public-" + strings.Repeat("!", 43)} {
		wantKeyError(t, wrong, func() error { _, err := messages.ParsePublicKey(wrong); return err }())
	}
	for _, wrong := range []string{"", key.Public().String(), text[:40], text + "A"} {
		wantKeyError(t, wrong, func() error { _, err := wire.ParsePrivateKey(wrong); return err }())
	}
	secret := strings.TrimPrefix(text, "codeferry-private-")
	j, err := json.Marshal(map[string]any{"k": key})
	if err != nil {
		t.Fatal(err)
	}
	shown := string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb+verb, key, &key)
	}
	if strings.Contains(shown, secret) {
		t.Errorf("a printed key shows the secret: %s", shown)
	}
	if zero := fmt.Sprint(wire.PrivateKey{}); strings.Contains(zero, "0x") {
		t.Errorf("a printed zero key shows its fields: %s", zero)
	}
}

// wantKeyError fails the test unless err refuses a key's text without showing it.
func wantKeyError(t *testing.T, text string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("the key %q was taken", text)
	} else if len(text) > 5 && strings.Contains(err.Error(), text) {
		t.Errorf("the error shows the key: %v", err)
	}
}

func TestDecodeSealed(t *testing.T) {
	for _, more := range []string{`"to":"+8613012345678"`, `"payload":{"code":"1"}`, `"ip":"x"`} {
		_, err := wire.Decode([]byte(`{"id":"x","type":"SignIn","sealed":{"key":"a","box":"AA=="},`+more+`}`), messages.SMS)
		if f := (*messages.FieldError)(nil); !errors.As(err, &f) || f.Field != "sealed" {
			t.Errorf("with %s: error is %v, want a *FieldError about sealed", more, err)
		}
	}
	for body, field := range map[string]string{
		`{"type":"SignIn","sealed":{"key":"a","box":"AA=="}}`:                "id",
		`{"id":"x","sealed":{"key":"a","box":"AA=="}}`:                       "type",
		`{"id":"x","type":"SignIn","sealed":{"key":"a","box":"no base64!"}}`: "sealed",
		`{"id":"x","type":"SignIn","sealed":"AA=="}`:                         "sealed",
		`{"id":"x y","type":"SignIn","sealed":{"key":"a","box":"AA=="}}`:     "id",
		`{"id":"x","type":"SignIn","sealed":null}`:                           "to",
	} {
		_, err := wire.Decode([]byte(body), messages.SMS)
		if f := (*messages.FieldError)(nil); !errors.As(err, &f) || f.Field != field {
			t.Errorf("%s: error is %v, want a *FieldError about %s", body, err, field)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key := newKey(f)
	sealed, err := messages.NewSealer(key.Public()).Seal(sealSubject, secretCode())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed.Sealed.Box, sealSubject, sealed.ID)
	f.Add([]byte{}, "", "")
	o := wire.NewOpener(key)
	f.Fuzz(func(t *testing.T, box []byte, subject, id string) {
		m := &messages.SendCode{ID: id, Sealed: &messages.Sealed{Key: key.Public().ID(), Box: box}}
		err := o.Open(subject, m)
		if err == nil != (bytes.Equal(box, sealed.Sealed.Box) && subject == sealSubject && id == sealed.ID) {
			t.Errorf("Open of a box for subject %q and id %q: error is %v; only the sealed box opens, on its own subject and id", subject, id, err)
		}
	})
}

// BenchmarkSeal seals as a Publisher does, and with a new encapsulated key for each message,
// as a publisher in another language may.
func BenchmarkSeal(b *testing.B) {
	key, m := newKey(b).Public(), secretCode()
	b.Run("publisher", func(b *testing.B) {
		s := messages.NewSealer(key)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Seal(sealSubject, m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := messages.NewSealer(key).Seal(sealSubject, m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens messages with the same key, and with a new key each.
func BenchmarkOpen(b *testing.B) {
	key := newKey(b)
	m := overTheWire(b, key.Public(), secretCode())
	b.Run("publisher", func(b *testing.B) {
		o := wire.NewOpener(key)
		b.ReportAllocs()
		for b.Loop() {
			c := *m
			if err := o.Open(sealSubject, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := *m
			if err := wire.NewOpener(key).Open(sealSubject, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
