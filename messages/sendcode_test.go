package messages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// wireBody is the example of docs/wire.md.
const wireBody = `{"id":"01JDCT0000000000000000000A","to":"+8613012345678","type":"SignIn","payload":{"code":"123456","locale":"zh-CN"},` +
	`"ip":"1.2.3.4","createdAt":"2026-11-21T12:00:00Z","expiresAt":"2026-11-21T12:10:00Z"}`

func wireMessage() messages.SendCode {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return messages.SendCode{
		ID: "01JDCT0000000000000000000A", To: "+8613012345678", Type: messages.SignIn,
		Payload: messages.Payload{"code": "123456", "locale": "zh-CN"},
		IP:      "1.2.3.4", CreatedAt: noon, ExpiresAt: noon.Add(10 * time.Minute),
	}
}

func TestDecodeTheWiresOwnJSON(t *testing.T) {
	m, err := wire.Decode([]byte(wireBody), messages.SMS)
	if err != nil {
		t.Fatal(err)
	}
	if want := wireMessage(); !reflect.DeepEqual(*m, want) {
		t.Errorf("Decode() = %+v, want %+v", *m, want)
	}
	if got := m.Payload.Text("code"); got != "123456" {
		t.Errorf("Text(code) = %q, want 123456", got)
	}
	b, err := m.Encode()
	if err != nil || string(b) != wireBody {
		t.Errorf("Encode() = %s, %v, want %s", b, err, wireBody)
	}
}

func TestEncodeWritesTimesInUTC(t *testing.T) {
	m := wireMessage()
	m.CreatedAt = m.CreatedAt.In(time.FixedZone("CST", 8*3600))
	if b, err := m.Encode(); err != nil || string(b) != wireBody {
		t.Errorf("Encode() = %s, %v, want %s", b, err, wireBody)
	}
}

func TestDecodeOnlyRequiredFields(t *testing.T) {
	const body = `{"to":"foo@example.com","type":"Generic","payload":{}}`
	m, err := wire.Decode([]byte(body), messages.Email)
	if err != nil {
		t.Fatal(err)
	}
	want := messages.SendCode{To: "foo@example.com", Type: messages.Generic, Payload: messages.Payload{}}
	if !reflect.DeepEqual(*m, want) {
		t.Errorf("Decode() = %#v, want %#v", *m, want)
	}
	b, err := m.Encode()
	if err != nil || string(b) != body {
		t.Errorf("Encode() = %s, %v, want %s", b, err, body)
	}
	for _, field := range []string{"to", "type", "payload"} {
		for _, missing := range []string{`null`, ``} {
			_, err := wire.Decode(with(t, body, field, missing), messages.Email)
			wantField(t, err, field)
		}
	}
}

// with returns a JSON object with a field's value replaced, or without the field if value
// is empty.
func with(t testing.TB, object, field, value string) []byte {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &fields); err != nil {
		t.Fatal(err)
	}
	if value == "" {
		delete(fields, field)
	} else {
		fields[field] = json.RawMessage(value)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodeKeepsUnknownFields(t *testing.T) {
	body := `{"to":"+8613012345678","type":"SignIn","payload":{"code":"123456","n":1.50,"user":{"id":12345678901234567890}},` +
		`"To":"+1","TYPE":1,"a b":{"x":[1,2.0,null]},"tenant":"t1"}`
	m, err := wire.Decode([]byte(body), messages.SMS)
	if err != nil {
		t.Fatal(err)
	}
	if m.To != "+8613012345678" {
		t.Errorf("To is %q: the field \"To\" replaced \"to\"", m.To)
	}
	if m.Type != messages.SignIn {
		t.Errorf("Type is %q: the field \"TYPE\" replaced \"type\"", m.Type)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := canonical(t, []byte(body)); canonical(t, b) != want {
		t.Errorf("Encode() = %s, want %s", b, want)
	}
}

// canonical returns JSON with its fields in order and its numbers as written.
func canonical(t testing.TB, b []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, b)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEncodeProtectsKnownFields(t *testing.T) {
	m := wireMessage()
	m.Extra = map[string]json.RawMessage{
		"to": json.RawMessage(`"evil@example.com"`), "id": json.RawMessage(`"x"`), "payload": json.RawMessage(`null`),
		"createdAt": json.RawMessage(`1`), "tenant": json.RawMessage(`"t1"`),
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(wireBody, "}") + `,"tenant":"t1"}`; string(b) != want {
		t.Errorf("Encode() = %s, want %s", b, want)
	}
	for _, value := range []string{``, `1,"to":"evil@example.com"`, `1}{`, `{"a":}`} {
		m.Extra = map[string]json.RawMessage{"x": json.RawMessage(value)}
		_, err := m.Encode()
		wantField(t, err, "extra")
	}
}

func TestEncodeRefusesWhatJSONCantHold(t *testing.T) {
	for name, v := range map[string]any{
		"channel": make(chan int), "not a number": math.NaN(), "broken number": json.Number("secret1 2"),
	} {
		m := wireMessage()
		m.Payload["x"] = v
		_, err := m.Encode()
		wantField(t, err, "payload")
		if strings.Contains(err.Error(), "secret1") {
			t.Errorf("%s: the error shows the value: %v", name, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	number := func(digits int) string { return strings.Repeat("7", digits) }
	tests := []struct {
		field, value string // the field to change, and its value
		want         string // the field that the error names
	}{
		{"id", `1`, "id"},
		{"id", `"a b"`, "id"},
		{"id", `"é"`, "id"},
		{"id", `"a\u0000"`, "id"},
		{"id", `"` + number(201) + `"`, "id"},
		{"to", `8613012345678`, "to"},
		{"to", `["+8613012345678"]`, "to"},
		{"to", `""`, "to"},
		{"to", `"foo@example.com"`, "to"},
		{"type", `1`, "type"},
		{"type", `{}`, "type"},
		{"type", `""`, "type"},
		{"type", `"signin"`, "type"},
		{"type", `"Other"`, "type"},
		{"payload", `"123456"`, "payload"},
		{"payload", `[]`, "payload"},
		{"payload", `123456`, "payload"},
		{"payload", `{"code":123456}`, "payload.code"},
		{"payload", `{"code":null}`, "payload.code"},
		{"payload", `{"code":["1"]}`, "payload.code"},
		{"payload", `{"link":{}}`, "payload.link"},
		{"ip", `[1]`, "ip"},
		{"createdAt", `1763726400`, "createdAt"},
		{"createdAt", `"2026-11-21 12:00:00"`, "createdAt"},
		{"expiresAt", `"2026-11-21T12:00:00"`, "expiresAt"},
		{"expiresAt", `"2026-13-21T12:00:00Z"`, "expiresAt"},
		{"expiresAt", `"10m"`, "expiresAt"},
		{"expiresAt", `"9999-12-31T23:59:59-23:00"`, "expiresAt"},
		{"createdAt", `"0000-01-01T00:00:00+23:00"`, "createdAt"},
	}
	for _, tt := range tests {
		m, err := wire.Decode(with(t, wireBody, tt.field, tt.value), messages.SMS)
		wantField(t, err, tt.want)
		if m == nil {
			t.Errorf("%s %s: Decode returns no message with the error", tt.field, tt.value)
		}
	}
	for _, body := range []string{
		``, ` `, `null`, `[]`, `"x"`, `1`, `{`, `{"to"`, `{"to":"x"`, `{"to":"x"}}`, `{"to":"x"} x`, "\xff", `{'to':'x'}`, "\ufeff" + wireBody,
	} {
		_, err := wire.Decode([]byte(body), messages.SMS)
		wantField(t, err, "body")
	}
}

func TestDecodeTakes(t *testing.T) {
	for field, values := range map[string][]string{
		"id":        {``, `""`, `null`, `"` + strings.Repeat("7", 200) + `"`},
		"type":      {`"Test"`, `"BindMfa"`},
		"payload":   {`{}`, `{"code":""}`, `{"link":"https://example.com"}`, `{"n":1e400}`},
		"ip":        {`""`, `null`, `"::1"`},
		"createdAt": {`""`, `null`, `"2026-11-21T12:00:00.123456789+08:00"`},
		"expiresAt": {`""`, `null`, `"9999-12-31T23:59:59Z"`},
	} {
		for _, v := range values {
			if _, err := wire.Decode(with(t, wireBody, field, v), messages.SMS); err != nil {
				t.Errorf("%s %s: %v", field, v, err)
			}
		}
	}
}

func TestDecodeLimitsTheBody(t *testing.T) {
	pad := wire.MaxBody - len(with(t, wireBody, "pad", `""`))
	if wire.MaxBody != 16*1024 {
		t.Fatalf("MaxBody is %d, want 16 KiB", wire.MaxBody)
	}
	if _, err := wire.Decode(with(t, wireBody, "pad", `"`+strings.Repeat("x", pad)+`"`), messages.SMS); err != nil {
		t.Errorf("a body of MaxBody bytes: %v", err)
	}
	_, err := wire.Decode(with(t, wireBody, "pad", `"`+strings.Repeat("x", pad+1)+`"`), messages.SMS)
	wantField(t, err, "body")
}

// TestDecodeErrorsNeverLeak puts codes and addresses into every field, breaks the messages in
// many ways, and looks for the codes and addresses in the errors.
func TestDecodeErrorsNeverLeak(t *testing.T) {
	marks := []string{"739205", "leaky", "secret.example", "73920517394"}
	r := rand.New(rand.NewPCG(3, 4))
	failed := 0
	check := func(body []byte) {
		t.Helper()
		for _, c := range messages.Channels() {
			_, err := wire.Decode(body, c)
			if err == nil {
				continue
			}
			failed++
			for _, mark := range marks {
				if strings.Contains(err.Error(), mark) {
					t.Fatalf("the error shows %s: %v", mark, err)
				}
			}
		}
	}
	const body = `{"id":"739205","to":"leaky@secret.example","type":"SignIn","payload":{"code":"739205","user":{"phone":"73920517394"}},` +
		`"ip":"739205","createdAt":"2026-11-21T12:00:00Z","expiresAt":"2026-11-21T12:10:00Z","leaky":"leaky"}`
	values := []string{
		`"739205"`, `739205`, `"73920517394"`, `"leaky@secret.example"`, `["739205"]`, `{"739205":"leaky@secret.example"}`, `"739205 leaky"`,
		`"739205é"`, `"leaky@secret.example,x"`, `-739205.5e3`, `{"code":739205}`, `{"code":["739205"]}`, `{"link":{"leaky":739205}}`,
		`"` + strings.Repeat("leaky ", 50) + `"`,
	}
	for _, field := range []string{"id", "to", "type", "payload", "ip", "createdAt", "expiresAt"} {
		for _, v := range values {
			check(with(t, body, field, v))
		}
	}
	const breakers = `"'{}[]:,\ 0aé@` + "\x00\n\xff"
	for range 20_000 {
		b := []byte(body)
		for n := 1 + r.IntN(3); n > 0 && len(b) > 0; n-- {
			i := r.IntN(len(b))
			switch r.IntN(4) {
			case 0:
				b = append(b[:i:i], b[i+1:]...)
			case 1:
				b[i] = breakers[r.IntN(len(breakers))]
			case 2:
				b = append(b[:i:i], append([]byte{breakers[r.IntN(len(breakers))]}, b[i:]...)...)
			case 3:
				b = b[:i+1]
			}
		}
		check(b)
	}
	if failed < 10_000 {
		t.Errorf("only %d messages were refused, want 10000 or more", failed)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(wireBody), true)
	f.Add([]byte(`{"to":"foo@example.com","type":"Test","payload":{"n":1.0,"m":[{}]},"x":"<&>\u2028","é":1}`), false)
	f.Add([]byte(`{"to":"a@b","type":"Generic","payload":{"code":"\ud83d"},"createdAt":"0001-01-01T00:00:00+01:00"}`), false)
	f.Add([]byte(`{"to":"12345","type":"Generic","payload":{},"payload":{"a":1},"":{"":[]}}`), true)
	f.Fuzz(func(t *testing.T, body []byte, sms bool) {
		c := messages.Email
		if sms {
			c = messages.SMS
		}
		m, err := wire.Decode(body, c)
		if m == nil {
			t.Fatal("Decode returns no message")
		}
		if err != nil {
			return
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatalf("the decoded message can't be encoded: %v", err)
		}
		var again messages.SendCode
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("the encoded message can't be decoded: %v\n%s", err, b)
		}
		if err := again.Validate(c); err != nil {
			t.Fatalf("the encoded message is not valid: %v\n%s", err, b)
		}
		if !again.CreatedAt.Equal(m.CreatedAt) {
			t.Errorf("CreatedAt is %v, want %v: %s", again.CreatedAt, m.CreatedAt, b)
		}
		if !again.ExpiresAt.Equal(m.ExpiresAt) {
			t.Errorf("ExpiresAt is %v, want %v: %s", again.ExpiresAt, m.ExpiresAt, b)
		}
		if len(again.Extra) != len(m.Extra) {
			t.Errorf("the encoded message has %d unknown fields, want %d: %s", len(again.Extra), len(m.Extra), b)
		}
		for name, v := range m.Extra {
			if got, want := canonical(t, again.Extra[name]), canonical(t, v); got != want {
				t.Errorf("field %q is %s, want %s", name, got, want)
			}
		}
		again.CreatedAt, again.ExpiresAt, again.Extra = m.CreatedAt, m.ExpiresAt, m.Extra
		if !reflect.DeepEqual(again, *m) {
			t.Errorf("the message is %+v after encoding and decoding, want %+v", again, *m)
		}
	})
}

func TestSendCodePrintsNoCodeAndNoAddress(t *testing.T) {
	m := messages.SendCode{
		ID: "01JDCT", To: "+8613012345678", Type: messages.SignIn, IP: "203.0.113.7", Payload: messages.Payload{"code": "918273"},
		Extra: map[string]json.RawMessage{"backupCode": json.RawMessage(`"918273"`)},
	}
	var log strings.Builder
	text, jsonLog := slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))
	for _, v := range []any{m, &m, m.Payload, &m.Payload, []messages.SendCode{m}, map[string]any{"m": &m}, map[string]*messages.SendCode{"m": &m}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%5.1s", "%y"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
		text.Info("x", "m", v)
		jsonLog.Info("x", "m", v)
	}
	for _, private := range []string{"918273", "13012345678", "203.0.113.7"} {
		if strings.Contains(log.String(), private) || strings.Contains(strings.ToLower(log.String()), fmt.Sprintf("%x", private)) {
			t.Errorf("a printed message shows %s: %s", private, log.String())
		}
	}
}

// TestEncodeWritesNestedPayloads: Encode masks nothing, at any depth.
func TestEncodeWritesNestedPayloads(t *testing.T) {
	m := messages.SendCode{ID: "id-1", To: "a@example.com", Type: messages.SignIn, Payload: messages.Payload{
		"code": "918273", "user": messages.Payload{"name": "Ann", "of": map[string]any{"org": messages.Payload{"name": "Acme"}}},
		"list": []any{messages.Payload{"n": "1"}}, "more": []messages.Payload{{"n": "2"}},
	}}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Decode(b, messages.Email)
	if err != nil {
		t.Fatal(err)
	}
	want := messages.Payload{
		"code": "918273", "user": map[string]any{"name": "Ann", "of": map[string]any{"org": map[string]any{"name": "Acme"}}},
		"list": []any{map[string]any{"n": "1"}}, "more": []any{map[string]any{"n": "2"}},
	}
	if !reflect.DeepEqual(got.Payload, want) {
		t.Errorf("the decoded payload is %#v, want %#v", map[string]any(got.Payload), map[string]any(want))
	}
}

// TestMarshalJSONIsNotAMessage: nobody can publish the JSON of a log by mistake.
func TestMarshalJSONIsNotAMessage(t *testing.T) {
	m := wireMessage()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"01JDCT0000000000000000000A","to":"+86130****5678","type":"SignIn","payload":"[payload of 2]","createdAt":"2026-11-21T12:00:00Z","expiresAt":"2026-11-21T12:10:00Z"}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if _, err := wire.Decode(b, messages.SMS); err == nil {
		t.Error("Decode takes the JSON of a log as a message")
	}
}
