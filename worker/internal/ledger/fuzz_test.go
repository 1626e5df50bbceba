package ledger

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// FuzzDecode: any value of the bucket is read as an entry with a state that this worker
// knows, or as an error. An entry that is encoded again decodes to the same entry.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"state":"claimed","delivery":2,"consumer":20,"sequence":7,"storedAt":70,"owner":"me","try":3}`,
		`{"state":"unknown","doubts":1,"doubtFor":5,"doubtGrace":6,"suspects":["a"],"history":[{"connector":"a","at":"2026-11-21T12:00:00Z"}]}`,
		`{"state":"sent"}`, `{"state":"tomorrow","new":{}}`, `{"state":7}`, `{}`, `null`, `[]`, `"x"`, ``, `{"delivery":-1}`, `{"storedAt":1e99}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decode(data)
		if err != nil {
			if e != nil {
				t.Errorf("got the entry %+v with the error %v, want no entry", e, err)
			}
			return
		}
		switch e.State {
		case Claimed, Retrying, InDoubt, Released, LostWorker, Panicked, Sent:
		default:
			t.Errorf("got the unknown state %q", e.State)
		}
		b, err := encode(*e)
		if err != nil {
			return // JSON has no year 10000
		}
		again, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		b2, err := encode(*again)
		if err != nil || !bytes.Equal(b, b2) || again.State != e.State || !reflect.DeepEqual(again.Place, e.Place) {
			t.Errorf("%s became %s, with the error %v", b, b2, err)
		}
	})
}

// keys matches the keys that a bucket takes.
var keys = regexp.MustCompile(`^[-/_=.a-zA-Z0-9]+$`)

// FuzzKey: a bucket takes every key, and two publishes have the same one only if they
// are equal.
func FuzzKey(f *testing.F) {
	f.Add("id", "subject", []byte("body"), "id", "subject", []byte("body"), uint64(7), int64(70))
	f.Add("", "subject", []byte("body"), "id", "", []byte(nil), uint64(0), int64(-70))
	f.Add("a b", "*.>", []byte("\n"), "ä", "..", []byte{0}, uint64(1<<63), int64(-1<<63))
	f.Add("id", "s", []byte("ubject"), "ids", "", []byte("ubject"), uint64(1), int64(1))
	f.Add(strings.Repeat("x", 2000), "s", []byte("b"), strings.Repeat("x", 2000), "s", []byte("c"), uint64(1), int64(1))
	f.Fuzz(func(t *testing.T, id1, subject1 string, body1 []byte, id2, subject2 string, body2 []byte, sequence uint64, storedAt int64) {
		p := Place{Sequence: sequence, StoredAt: storedAt}
		k1, k2 := Key(id1, subject1, body1, p), Key(id2, subject2, body2, p)
		for _, k := range []string{k1, k2} {
			if !keys.MatchString(k) || strings.HasPrefix(k, ".") || strings.HasSuffix(k, ".") || strings.Contains(k, "..") {
				t.Errorf("a bucket refuses the key %q", k)
			}
		}
		if k1 != Key(id1, subject1, bytes.Clone(body1), p) {
			t.Error("the same publish has another key")
		}
		if (id1 == "") != (id2 == "") && k1 == k2 {
			t.Errorf("a publish with an id and one without have the key %s", k1)
		}
		if id1 == "" || id2 == "" || strings.Contains(id1+id2+subject1+subject2, "\x00") {
			return // subjects and headers have no zero byte
		}
		if equal := id1 == id2 && subject1 == subject2 && bytes.Equal(body1, body2); (k1 == k2) != equal {
			t.Errorf("equal publishes: %t; the keys are %s and %s", equal, k1, k2)
		}
	})
}
