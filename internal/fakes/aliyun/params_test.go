package aliyun

import (
	"encoding/json"
	"maps"
	"testing"
)

func TestJSONParams(t *testing.T) {
	p, err := parseJSONParams(` { "a" : "示\n" , "b" : 1.50 , "c" : true , "d" : null , "e":"" } `)
	want := params{"a": "示\n", "b": "1.50", "c": "true", "e": ""}
	if err != nil || !maps.Equal(p, want) {
		t.Errorf("%v, %v; want %v", p, err, want)
	}
	for _, bad := range []string{"", "null", "[]", `"a"`, `{"a":1`, `{"a":{}}`, `{"a":[]}`, `{} {}`} {
		if p, err := parseJSONParams(bad); err == nil {
			t.Errorf("%q was read: %v", bad, p)
		}
	}
}

// FuzzJSONParams: what is read can be written and read again.
func FuzzJSONParams(f *testing.F) {
	f.Add(`{"a":"示","b":1.50,"c":true,"d":null}`)
	f.Add(` {"a" : {} } `)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, body string) {
		p, err := parseJSONParams(body)
		if err != nil {
			return
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseJSONParams(string(text))
		if err != nil || !maps.Equal(again, p) {
			t.Fatalf("%q became %v, and %q became %v, %v", body, p, text, again, err)
		}
	})
}
