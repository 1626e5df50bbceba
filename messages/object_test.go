package messages

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzMembers compares eachMember, text and Payload.UnmarshalJSON with encoding/json.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":"x","b":[1,{"c":"}"}],"a":null}`, "{\"\\u0061\\\"\" :\t\"\\\\\"\r\n,\n\"b\":-1.5e+3 , \"c\":true}",
		`{"a":{"b":{}}}`, `[]`, `null`, `"x"`, `{`, `{"a"}`, `{"a":1,}`, ``, "{\"\xff\":\"\xff\"}", `{"a":1}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := make(map[string]json.RawMessage)
		err := eachMember(data, func(name string, value json.RawMessage) error {
			got[name] = value
			return nil
		})
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(data, &want)
		if (err == nil) != (wantErr == nil && want != nil) {
			t.Fatalf("%q: %v, and encoding/json: %v, %v", data, err, want, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %q, and encoding/json: %q", data, got, want)
		}
		for _, v := range want {
			var wantText string
			wantErr := json.Unmarshal(v, &wantText)
			if s, err := text(v); s != wantText || (err == nil) != (wantErr == nil) {
				t.Fatalf("%q: %q, %v, and encoding/json: %q, %v", v, s, err, wantText, wantErr)
			}
		}
		var p Payload
		var whole map[string]any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		wantErr = d.Decode(&whole)
		if err := p.UnmarshalJSON(data); (err == nil) != (wantErr == nil && json.Valid(data)) || err == nil && !reflect.DeepEqual(map[string]any(p), whole) {
			t.Fatalf("%q: %q, %v, and encoding/json: %q, %v", data, map[string]any(p), err, whole, wantErr)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"id":"01JDCT0000000000000000000A","to":"+8613012345678","type":"SignIn","payload":{"code":"123456","locale":"zh-CN"},"ip":"1.2.3.4","createdAt":"2026-11-21T12:00:00Z","expiresAt":"2026-11-21T12:10:00Z"}`)
	b.ReportAllocs()
	for b.Loop() {
		var m SendCode
		if err := m.UnmarshalJSON(body); err != nil {
			b.Fatal(err)
		}
		if err := m.Validate(SMS); err != nil {
			b.Fatal(err)
		}
	}
}
