package messages_test

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
)

const sealSubject = "codeferry.send.default.sms.SignIn.user-1"

func newKey(t testing.TB) messages.PrivateKey {
	t.Helper()
	k, err := messages.GenerateKey()
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
	got, err := messages.Decode(body, messages.SMS)
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
	if got.To != "" || got.Payload != nil || got.Sealed == nil || got.Sealed.Key != key.Public().ID() {
		t.Errorf("%#v", got)
	}
	// Keys rotate: the older one still opens.
	if err := messages.NewOpener(newKey(t), key).Open(sealSubject, got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, m) {
		t.Errorf("got %#v, %v", got, map[string]any(got.Payload))
	}
	if err := messages.NewOpener().Open(sealSubject, got); err != nil {
		t.Errorf("a plain message: %v", err)
	}
	if other := overTheWire(t, key.Public(), m); bytes.Equal(other.Sealed.Box, overTheWire(t, key.Public(), m).Sealed.Box) {
		t.Error("the same message is sealed to the same box")
	}
}

func TestWhatDoesNotOpen(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string]struct {
		subject string
		change  func(*messages.SendCode)
		opener  *messages.Opener
		want    error
	}{
		"another subject": {"codeferry.send.default.sms.SignIn.user-2", func(*messages.SendCode) {}, messages.NewOpener(key), messages.ErrTampered},
		"another id":      {sealSubject, func(m *messages.SendCode) { m.ID = "another" }, messages.NewOpener(key), messages.ErrTampered},
		"a bit":           {sealSubject, func(m *messages.SendCode) { m.Sealed.Box[40] ^= 1 }, messages.NewOpener(key), messages.ErrTampered},
		"the key's bit":   {sealSubject, func(m *messages.SendCode) { m.Sealed.Box[3] ^= 1 }, messages.NewOpener(key), messages.ErrTampered},
		"cut":             {sealSubject, func(m *messages.SendCode) { m.Sealed.Box = m.Sealed.Box[:50] }, messages.NewOpener(key), messages.ErrTampered},
		"short":           {sealSubject, func(m *messages.SendCode) { m.Sealed.Box = m.Sealed.Box[:31] }, messages.NewOpener(key), messages.ErrTampered},
		"nothing":         {sealSubject, func(m *messages.SendCode) { m.Sealed.Box = nil }, messages.NewOpener(key), messages.ErrTampered},
		"a zero point":    {sealSubject, func(m *messages.SendCode) { clear(m.Sealed.Box[:32]) }, messages.NewOpener(key), messages.ErrTampered},
		"no key":          {sealSubject, func(*messages.SendCode) {}, messages.NewOpener(), messages.ErrNoKey},
		"another key":     {sealSubject, func(*messages.SendCode) {}, messages.NewOpener(newKey(t)), messages.ErrNoKey},
		"a key's id":      {sealSubject, func(m *messages.SendCode) { m.Sealed.Key = "482913 is my code" }, messages.NewOpener(key), messages.ErrNoKey},
	} {
		m := overTheWire(t, key.Public(), secretCode())
		c.change(m)
		before := *m
		err := c.opener.Open(c.subject, m)
		if !errors.Is(err, c.want) || !reflect.DeepEqual(*m, before) {
			t.Errorf("%s: %v, %#v", name, err, m)
		}
		if err != nil && strings.Contains(err.Error(), "482913") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := messages.NewSealer(key.Public()).Seal(sealSubject, &messages.SendCode{To: "+8613012345678"}); err == nil {
		t.Error("a message without an id was sealed")
	}
}

// TestSealVectors opens what was sealed once: whoever writes the format in
// another language opens and makes the same.
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
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors) < 2 {
		t.Fatal(err, len(vectors))
	}
	for _, v := range vectors {
		key, err := messages.ParsePrivateKey(v.Private)
		if err != nil || key.Public().String() != v.Public || key.Public().ID() != v.KeyID {
			t.Fatal(err, key.Public())
		}
		s, err := messages.ParseSubject(v.Subject)
		if err != nil {
			t.Fatal(err)
		}
		m, err := messages.Decode(v.Body, s.Channel)
		if err != nil {
			t.Fatal(err)
		}
		if err := messages.NewOpener(key).Open(v.Subject, m); err != nil {
			t.Fatal(err)
		}
		var want messages.SendCode
		if err := json.Unmarshal(v.Plain, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*m, want) {
			t.Errorf("got %v, want %v", m, want)
		}
	}
}

func TestKeys(t *testing.T) {
	key := newKey(t)
	text, err := key.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := messages.ParsePrivateKey(" " + text + "\n")
	if err != nil || again.Public().ID() != key.Public().ID() {
		t.Fatal(err)
	}
	public, err := messages.ParsePublicKey(key.Public().String())
	if err != nil || public.ID() != key.Public().ID() {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "x", text, key.Public().String()[:30], key.Public().String() + "A", "codeferry-public-" + strings.Repeat("!", 43)} {
		if _, err := messages.ParsePublicKey(wrong); err == nil || len(wrong) > 5 && strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for _, wrong := range []string{"", key.Public().String(), text[:40], text + "A"} {
		if _, err := messages.ParsePrivateKey(wrong); err == nil || len(wrong) > 5 && strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
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
	if strings.Contains(shown, secret) || strings.Contains(fmt.Sprint(messages.PrivateKey{}), "0x") {
		t.Error(shown)
	}
}

func TestSealedBesideThePlain(t *testing.T) {
	for _, more := range []string{`"to":"+8613012345678"`, `"payload":{"code":"1"}`, `"ip":"x"`} {
		_, err := messages.Decode([]byte(`{"id":"x","type":"SignIn","sealed":{"key":"a","box":"AA=="},`+more+`}`), messages.SMS)
		if f := (*messages.FieldError)(nil); !errors.As(err, &f) || f.Field != "sealed" {
			t.Errorf("%s: %v", more, err)
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
		_, err := messages.Decode([]byte(body), messages.SMS)
		if f := (*messages.FieldError)(nil); !errors.As(err, &f) || f.Field != field {
			t.Errorf("%s: %v", body, err)
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
	o := messages.NewOpener(key)
	f.Fuzz(func(t *testing.T, box []byte, subject, id string) {
		m := &messages.SendCode{ID: id, Sealed: &messages.Sealed{Key: key.Public().ID(), Box: box}}
		err := o.Open(subject, m)
		if err == nil != (bytes.Equal(box, sealed.Sealed.Box) && subject == sealSubject && id == sealed.ID) {
			t.Errorf("%v for %q, %q", err, subject, id)
		}
	})
}

// BenchmarkSeal seals as a Publisher does, and with an encapsulated key for each
// message, as another language may.
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

// BenchmarkOpen opens likewise.
func BenchmarkOpen(b *testing.B) {
	key := newKey(b)
	m := overTheWire(b, key.Public(), secretCode())
	b.Run("publisher", func(b *testing.B) {
		o := messages.NewOpener(key)
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
			if err := messages.NewOpener(key).Open(sealSubject, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
