package wire_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestStoredFormats: what an older version has stored in the streams is read and written again
// with every field and value that it had. If a format changes, add a file; never change these
// bytes, since a running system has them.
func TestStoredFormats(t *testing.T) {
	for file, again := range map[string]func(body []byte) (any, error){
		"outcome.json": func(body []byte) (any, error) {
			var o messages.Outcome
			return &o, json.Unmarshal(body, &o)
		},
		"deadletter.json": func(body []byte) (any, error) {
			var d messages.DeadLetter
			return &d, json.Unmarshal(body, &d)
		},
		"sendcode.json": func(body []byte) (any, error) { return wire.Decode(body, messages.SMS) },
	} {
		stored, err := os.ReadFile("testdata/formats/" + file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := again(stored)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		written, err := json.Marshal(v)
		if code, ok := v.(*messages.SendCode); ok {
			written, err = code.Encode()
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var before, after map[string]any
		for body, into := range map[string]*map[string]any{string(stored): &before, string(written): &after} {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatal(err)
			}
		}
		for name, value := range before {
			if !reflect.DeepEqual(after[name], value) {
				t.Errorf("%s: %s was %v, and becomes %v", file, name, value, after[name])
			}
		}
	}
}

// TestNewerFormats: fields and values that a newer version adds do not stop an older one.
func TestNewerFormats(t *testing.T) {
	var o messages.Outcome
	if err := json.Unmarshal([]byte(`{"id":"a","status":"paused","reason":"new","extra":{"a":1}}`), &o); err != nil || o.Status != "paused" {
		t.Errorf("an outcome: %+v, %v", o, err)
	}
	var d messages.DeadLetter
	if err := json.Unmarshal([]byte(`{"id":"a","reason":"new","extra":[1]}`), &d); err != nil || d.Reason != "new" {
		t.Errorf("a dead letter: %+v, %v", d, err)
	}
	m, err := wire.Decode([]byte(`{"to":"+8613012345678","type":"SignIn","payload":{"code":"1"},"extra":1}`), messages.SMS)
	if err != nil || m.Type != messages.SignIn {
		t.Errorf("a message: %+v, %v", m, err)
	}
}
