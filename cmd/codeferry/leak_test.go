package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/messages"
)

// marks are values that no output may show, by their names.
type marks map[string]string

// forms are the encodings of a value that a provider can use, by name.
var forms = map[string]func(string) string{
	"as it is":           func(v string) string { return v },
	"upper case":         strings.ToUpper,
	"query-escaped":      url.QueryEscape,
	"with %20":           func(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") },
	"path-escaped":       url.PathEscape,
	"with + for a space": func(v string) string { return strings.ReplaceAll(v, " ", "+") },
	"all percent":        func(v string) string { return eachByte("%%%02x", v) },
	"all percent, twice": func(v string) string { return url.QueryEscape(eachByte("%%%02x", v)) },
	"HTML":               func(v string) string { return eachRune("&#%d;", v) },
	"JSON":               func(v string) string { return eachRune(`\u%04x`, v) },
	"quoted-printable":   func(v string) string { return eachByte("=%02X", v) },
	"a soft line break":  func(v string) string { return v[:1] + "=\r\n" + v[1:] },
	"hex":                func(v string) string { return hex.EncodeToString([]byte(v)) },
	"digits in groups": func(v string) string {
		if strings.Trim(v, "0123456789") != "" {
			return v
		}
		return v[:len(v)/2] + " " + v[len(v)/2:]
	},
	"base64":             func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) },
	"base64, 1 byte in":  func(v string) string { return base64.RawStdEncoding.EncodeToString([]byte("x" + v)) },
	"base64, 2 bytes in": func(v string) string { return base64.RawStdEncoding.EncodeToString([]byte("xy" + v)) },
	"base64 of URLs":     func(v string) string { return base64.URLEncoding.EncodeToString([]byte(v)) },
}

// eachByte writes every byte of a value with a format.
func eachByte(format, v string) string {
	var b strings.Builder
	for i := range len(v) {
		fmt.Fprintf(&b, format, v[i])
	}
	return b.String()
}

// eachRune writes every character of a value with a format.
func eachRune(format, v string) string {
	var b strings.Builder
	for _, r := range v {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

// encodings returns a value in each form, in JSON, in upper-case hex, and in base64 at each
// offset.
func encodings(value string) []string {
	all := []string{strings.ToUpper(hex.EncodeToString([]byte(value)))}
	for name, write := range forms {
		if w := write(value); !strings.HasPrefix(name, "base64,") && (name != "upper case" || w != value) {
			all = append(all, w, url.QueryEscape(w), strings.Join(strings.Fields(w), " "))
		}
	}
	for _, w := range all {
		if j, err := json.Marshal(w); err == nil {
			all = append(all, string(j[1:len(j)-1]))
		}
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			// The bytes before the value shift it. The characters at both ends depend on their
			// neighbours.
			text := enc.EncodeToString(append(make([]byte, before), value...))
			first := []int{0, 2, 3}[before]
			last := (before + len(value)) * 8 / 6
			all = append(all, text[first:last])
		}
	}
	return all
}

// leaks returns the places where a text shows a mark.
func (m marks) leaks(where string, text []byte) []string {
	var found []string
	for what, value := range m {
		for _, form := range encodings(value) {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				found = append(found, fmt.Sprintf("%s: the %s, as %q: …%q…", where, what, form, text[max(0, i-60):min(len(text), i+60)]))
				break
			}
		}
	}
	return found
}

func TestLeaksFindsMarks(t *testing.T) {
	t.Parallel()
	m := marks{"code": "Qx7zK9", "address": "Marked+Person@leak.example.com"}
	for _, value := range m {
		for _, before := range []string{"", "a", "ab", "abc", `{"k":"`} {
			planted := before + value + " and more"
			for name, text := range map[string]string{
				"plain": planted, "url": url.QueryEscape(planted), "twice": url.QueryEscape(url.QueryEscape(planted)),
				"base64": base64.StdEncoding.EncodeToString([]byte(planted)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(planted)),
				"hex": hex.EncodeToString([]byte(planted)), "HEX": fmt.Sprintf("%X", planted), "go": fmt.Sprintf("%q", planted),
			} {
				if len(m.leaks("", []byte(text))) != 1 {
					t.Errorf("leaks does not find %s in %s (%s)", value, text, name)
				}
			}
		}
	}
	if got := m.leaks("", []byte("Qx7z K9, M***@leak.example.com")); len(got) != 0 {
		t.Errorf("leaks finds %v in a text without marks", got)
	}
}

// leakConfig has a secret in every connector. Two secrets are wrong.
const leakConfig = `
nats: {listen: "NATS"}
dataDir: DATA
sealing: {keys: ["${file:KEY}"], requireSealed: true}
apps:
  default: {email: [mail], sms: [sms]}
  wrong: {email: [server], sms: [wrong]}
connectors:
  mail:
    type: aliyun-dm
    endpoint: SANDBOX
    accessKeyId: markedid
    accessKeySecret: ACCESSKEY
    accountName: no-reply@mail.example.com
    onDoubt: dead
    timeout: 1s
    templates: &mails
      - {usageType: Register, subject: "{{code}} for {{user.name}}", content: "<p>{{code}}</p>"}
      - {usageType: SignIn, subject: "{{code}} for {{user.name}}", content: "<p>{{code}} {{user.name}}</p>"}
      - {usageType: ForgotPassword, subject: s, content: "<p>{{code}}</p>"}
      - {usageType: Generic, subject: s, content: "<p>{{link}}</p>"}
  sms: &sms
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: markedid
    accessKeySecret: ACCESSKEY
    signName: Example
    askGrace: 100ms
    timeout: 1s
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_2}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
  wrong:
    <<: *sms
    accessKeySecret: WRONGKEY
  server:
    type: smtp
    host: 127.0.0.1
    port: 1
    auth: {user: marked-user, pass: PASSWORD}
    fromEmail: no-reply@mail.example.com
    templates: *mails
worker:
  claims: on
  accountPause: 200ms
  healthPause: 200ms
  retry: {initialInterval: 50ms, maxInterval: 200ms, maxAttempts: 3}
`

// TestNothingLeaks sends marked codes to marked addresses with marked keys on every path. It
// looks for the marks in all output: the debug log, every command's output, the metrics, the
// spans, and the files of the store.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	m := marks{
		"code": "Qx7zK9", "email address": "marked.person+1@leak.example.com", "number": "13955512345",
		"name": "Mårked Persön", "ip": "203.0.113.77", "link": "https://leak.example.com/t/marked-token?>>>???",
		"access key": "LeakMarkedAccessKeySecret", "wrong key": "LeakMarkedWrongKeySecret", "password": "LeakMarkedPassword/+=",
	}
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0", "--no-flow-control", "--access-key", "markedid:"+m["access key"]).find(`sandbox on (http://\S+),`)[1]
	data, key := t.TempDir(), filepath.Join(t.TempDir(), "sealing.key")
	public := strings.TrimSpace(call(t, "keygen", "--out", key).want(t, 0).out)
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	m["sealing key"] = strings.TrimPrefix(strings.TrimSpace(string(secret)), "codeferry-private-")
	listen, natsAddr := freeAddr(t), freeAddr(t)
	cfg := write(t, "codeferry.yaml", strings.NewReplacer("NATS", natsAddr, "DATA", data, "KEY", key, "SANDBOX", sandboxURL,
		"ACCESS"+"KEY", m["access key"], "WRONGKEY", m["wrong key"], "PASSWORD", m["password"]).Replace(leakConfig))
	m["header of the collector"] = "LeakMarkedHeaderSecret"
	collector := otlptest.HTTP(t)
	program := command(context.WithoutCancel(t.Context()), t, "run", "-c", cfg, "--listen", listen, "--log-level", "debug")
	program.Env = append(program.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=authorization="+m["header of the collector"])
	run := watchProcess(t, program)
	run.find("codeferry runs")

	nc, err := messages.Connect("nats://" + natsAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	parsed, err := messages.ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	p, err := messages.NewPublisher(nc, messages.PublisherOptions{Sealer: messages.NewSealer(parsed)})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(chan messages.Outcome, 1000)
	var raw bytes.Buffer
	if _, err := nc.Subscribe("codeferry.>", func(msg *nats.Msg) {
		raw.Write(msg.Data)
		var o messages.Outcome
		if json.Unmarshal(msg.Data, &o) == nil && o.Status.Final() {
			outcomes <- o
		}
	}); err != nil {
		t.Fatal(err)
	}
	sent := 0
	publish := func(app string, c messages.Channel, typ messages.Type, edit ...func(*messages.SendCode)) string {
		t.Helper()
		sent++
		to := m["email address"]
		if c == messages.SMS {
			to = "+86" + m["number"]
		}
		code := &messages.SendCode{To: to, Type: typ, IP: m["ip"], Payload: messages.Payload{
			"code": m["code"], "link": m["link"], "user": map[string]any{"name": m["name"]},
		}}
		for _, f := range edit {
			f(code)
		}
		ack, err := p.Publish(t.Context(), messages.Subject{App: app, Channel: c, Key: fmt.Sprintf("user-%d", sent)}, code)
		if err != nil {
			t.Fatal(err)
		}
		return ack.ID
	}
	final := func(id string) messages.Outcome {
		t.Helper()
		for o := range outcomes {
			if o.ID == id {
				return o
			}
		}
		return messages.Outcome{}
	}

	// Each answer repeats the request in one of the forms, as some answers of Aliyun do.
	echo := func(write func(string) string) string {
		var all []string
		for _, what := range []string{"code", "number", "email address", "name", "ip", "link"} {
			all = append(all, write(m[what]))
		}
		message, err := json.Marshal(strings.Join(all, " | "))
		if err != nil {
			t.Fatal(err)
		}
		return string(message)
	}
	plain := `,"message":` + echo(forms["as it is"])
	faults := []string{
		``, `"code":"isv.MOBILE_NUMBER_ILLEGAL"` + plain, `"code":"InvalidToAddress"` + plain, `"code":"isv.BUSINESS_LIMIT_CONTROL"` + plain, `"code":"Throttling"` + plain,
		`"code":"isv.AMOUNT_NOT_ENOUGH"` + plain, `"code":"SignatureDoesNotMatch"` + plain, `"code":"isv.SMS_SIGNATURE_ILLEGAL"` + plain, `"code":"InternalError"` + plain,
		`"httpStatus":502`, `"drop":"before"`, `"drop":"after"`, `"body":"{}"`,
	}
	for _, write := range forms {
		faults = append(faults, `"code":"isv.NEVER_HEARD_OF","message":`+echo(write))
	}
	var ids []string
	for _, fault := range faults {
		body := "[]"
		if fault != "" {
			body = `[{"action":"SendSms","count":1,` + fault + `},{"action":"SingleSendMail","count":1,` + fault + `}]`
		}
		if status, text := fetch(t, http.MethodPut, sandboxURL+"/faults", body); status != http.StatusNoContent {
			t.Fatal(status, text)
		}
		both := make(map[string]bool)
		for _, c := range messages.Channels() {
			id := publish("default", c, messages.SignIn)
			both[id] = true
			ids = append(ids, id)
		}
		for len(both) > 0 {
			select {
			case o := <-outcomes:
				delete(both, o.ID)
			case <-time.After(patience):
				t.Fatalf("no final outcome of %v with the fault %s: %s", slices.Sorted(maps.Keys(both)), fault, run.output())
			}
		}
	}
	// A refused signature, whose answer repeats the signed text, and a server that is down.
	waiting := []string{publish("wrong", messages.SMS, messages.SignIn), publish("wrong", messages.Email, messages.Register)}
	run.find(`SignatureDoesNotMatch`)
	run.find(`"id":"` + waiting[1] + `".*retrying`)
	ids = append(ids, waiting...)
	// A wrong message, and one that is not sealed.
	ids = append(ids, publish("nobody", messages.SMS, messages.SignIn))
	final(ids[len(ids)-1])
	if _, err := nc.Request("codeferry.send.default.sms.SignIn.plain", fmt.Appendf(nil, `{"id":"plain-1","to":"+86%s","type":"SignIn","payload":{"code":%q}}`, "139-5551-2345", "another"), patience); err != nil {
		t.Fatal(err)
	}
	final("plain-1")

	var found []string
	look := func(where string, text string) { found = append(found, m.leaks(where, []byte(text))...) }
	server := []string{"--nats", "nats://" + natsAddr}
	for _, args := range [][]string{
		append([]string{"dead", "list"}, server...), append([]string{"dead", "list", "--json", "--limit", "0"}, server...),
		append([]string{"dead", "list", "--summary"}, server...), append([]string{"dead", "replay", "--all", "--doubt", "--dry-run"}, server...),
		append([]string{"dead", "replay", "--all", "--doubt", "--yes", "--json"}, server...), append([]string{"dead", "list", "--json"}, server...),
		{"dead", "list", "-c", cfg, "--json", "--to", m["number"]},
		{"dead", "list", "-c", cfg, "--to", m["email address"]},
		{"check", "-c", cfg, "--to", "+86" + m["number"]},
		{"check", "-c", cfg, "--connector", "server", "--send-to", m["email address"]},
		{"preview", "-c", cfg, "--connector", "mail"},
		{"keygen", "--from", key},
		{"send", "-c", cfg, "--channel", "sms", "--to", "+86" + m["number"], "--type", "SignIn", "--code", m["code"], "--wait", "20s"},
		{"send", "-c", cfg, "--channel", "sms", "--to", m["email address"], "--type", "SignIn", "--code", m["code"]},
		{"send", "-c", cfg, "--channel", "email", "--to", m["email address"] + "@", "--type", "SignIn", "--code", m["code"], "--json"},
	} {
		r := call(t, args...)
		look("codeferry "+strings.Join(args[:2], " "), r.out+r.err)
	}
	for _, id := range ids {
		for _, args := range [][]string{{"status", id}, {"status", "--json", id}, {"dead", "show", id}} {
			r := call(t, append(args, server...)...)
			look("codeferry "+args[0], r.out+r.err)
		}
	}
	_, metrics := fetch(t, http.MethodGet, "http://"+listen+"/metrics", "")
	look("/metrics", metrics)
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	look("the log", run.output())
	spans := collector.Spans()
	if n := len(spans); n < 3*len(ids) {
		t.Errorf("%d spans were exported, want 3 for each of %d codes or more", n, len(ids))
	}
	look("the spans", string(collector.Raw())+fmt.Sprint(spans))
	nc.Close()
	found = append(found, m.leaks("NATS", raw.Bytes())...)
	files := 0
	if err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files++
		found = append(found, m.leaks(path, text)...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if files < 5 {
		t.Errorf("the store has %d files, want 5 or more", files)
	}
	if log := run.output(); !strings.Contains(log, `"level":"debug"`) && !strings.Contains(log, "sent") {
		t.Errorf("the log has neither a debug line nor a sent code: %s", log)
	}
	if raw.Len() < 10_000 {
		t.Errorf("the messages of NATS have %d bytes, want 10000 or more", raw.Len())
	}
	for _, leak := range found {
		t.Error(leak)
	}
}
