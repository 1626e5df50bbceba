package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/waiting"
)

// TestStatusOfAnIDThatSeveralMessagesHave: each message has a section with a heading. A single
// message has no heading.
func TestStatusOfAnIDThatSeveralMessagesHave(t *testing.T) {
	t.Parallel()
	stored := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	sms := messages.Outcome{
		ID: "login-1", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "user-1", Status: messages.StatusDead,
		Reason: messages.ReasonRejected, Detail: "no such number", To: "+86130****5678", Connector: "aliyun-sms", Attempt: 1,
		StoredAt: stored, Sequence: 17, At: stored.Add(time.Second),
	}
	replay := sms
	replay.Epoch, replay.Status, replay.Reason, replay.Detail, replay.ProviderID = 1, messages.StatusSent, "", "", "1^0"
	replay.StoredAt, replay.Sequence, replay.At = stored.Add(time.Minute), 25, stored.Add(time.Minute+time.Second)
	mail := messages.Outcome{
		ID: "login-1", App: "default", Channel: messages.Email, Type: messages.SignIn, Status: messages.StatusSent,
		ProviderID: "2", To: "f***@example.com", Connector: "smtp", Attempt: 1, StoredAt: stored.Add(2 * time.Second), At: stored.Add(3 * time.Second),
	}
	local := func(s string) string {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at.Local().Format(localTime)
	}
	fill := strings.NewReplacer("T1 ", local("2026-11-21T12:00:00Z")+" ", "T2 ", local("2026-11-21T12:00:01Z")+" ",
		"T3 ", local("2026-11-21T12:01:00Z")+" ", "T4 ", local("2026-11-21T12:01:01Z")+" ",
		"T5\n", local("2026-11-21T12:00:02Z")+"\n", "T5 ", local("2026-11-21T12:00:02Z")+" ", "T6 ", local("2026-11-21T12:00:03Z")+" ")
	retrying := sms
	retrying.Status, retrying.Reason, retrying.Class, retrying.Code, retrying.Detail = messages.StatusRetrying, "", "throttled", "E-1", "too fast"
	waits := waiting.Message{ID: "login-1", App: "default", Channel: messages.SMS, Type: messages.SignIn, To: "+86130****5678", Key: "user-1", Sequence: 17, StoredAt: stored, Why: waiting.WhyRetry, Detail: "E-1"}
	again := waits
	again.Epoch, again.Sequence, again.StoredAt = 1, replay.Sequence, replay.StoredAt
	alone := waits
	alone.Channel, alone.Key, alone.Sequence, alone.StoredAt = messages.Email, "", 18, mail.StoredAt
	for _, c := range []struct {
		name     string
		outcomes []messages.Outcome
		waits    []waiting.Message
		want     string
	}{
		{"one that waits", []messages.Outcome{retrying}, []waiting.Message{waits}, `T2 login-1 retrying sms SignIn to +86130****5678 by aliyun-sms, attempt 1 (throttled: E-1: too fast)
T1 login-1 waiting sms SignIn to +86130****5678, app default, key user-1 (retry: E-1)
`},
		{"two, and the older one waits", []messages.Outcome{retrying, mail}, []waiting.Message{waits}, `app default, channel sms, type SignIn, key user-1, stored T1 as message 17
  T2 login-1 retrying sms SignIn to +86130****5678 by aliyun-sms, attempt 1 (throttled: E-1: too fast)
  T1 login-1 waiting sms SignIn to +86130****5678, app default, key user-1 (retry: E-1)

app default, channel email, type SignIn, stored T5
  T6 login-1 sent email SignIn to f***@example.com by smtp, attempt 1 (2, 1s after it was stored)
`},
		{"a replay waits, and one without an outcome", []messages.Outcome{sms}, []waiting.Message{again, alone}, `app default, channel sms, type SignIn, key user-1, stored T1 as message 17, replayed T3 as message 25
  T2 login-1 dead sms SignIn to +86130****5678 by aliyun-sms, attempt 1 (rejected: no such number)
  T3 login-1 waiting sms SignIn to +86130****5678, app default, key user-1, replay 1 (retry: E-1)

app default, channel email, type SignIn, stored T5 as message 18
  T5 login-1 waiting email SignIn to +86130****5678, app default (retry: E-1)
`},
		{"one message and its replay", []messages.Outcome{sms, replay}, nil, `T2 login-1 dead sms SignIn to +86130****5678 by aliyun-sms, attempt 1 (rejected: no such number)
T4 login-1 sent sms SignIn to +86130****5678 by aliyun-sms, attempt 1, replay 1 (1^0, 1s after it was stored)
`},
		{"two messages", []messages.Outcome{sms, mail, replay}, nil, `app default, channel sms, type SignIn, key user-1, stored T1 as message 17, replayed T3 as message 25
  T2 login-1 dead sms SignIn to +86130****5678 by aliyun-sms, attempt 1 (rejected: no such number)
  T4 login-1 sent sms SignIn to +86130****5678 by aliyun-sms, attempt 1, replay 1 (1^0, 1s after it was stored)

app default, channel email, type SignIn, stored T5
  T6 login-1 sent email SignIn to f***@example.com by smtp, attempt 1 (2, 1s after it was stored)
`},
	} {
		var out bytes.Buffer
		stories, waits := storiesOf(c.outcomes, c.waits)
		if err := printStories(streams{out: &out}, stories, waits); err != nil {
			t.Fatal(err)
		}
		if want := fill.Replace(c.want); out.String() != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, out.String(), want)
		}
	}
}

// sealingServer makes a sealing key, and starts a server with the streams.
func sealingServer(t *testing.T) (key, nats string) {
	t.Helper()
	key = filepath.Join(t.TempDir(), "sealing.key")
	call(t, "keygen", "--out", key).want(t, 0)
	nats = testrig.Server(t).URL()
	call(t, "provision", "--nats", nats).want(t, 0)
	return key, nats
}

// sealingConfig writes a configuration with the key.
func sealingConfig(t *testing.T, nats, key string) (file string) {
	t.Helper()
	return write(t, "codeferry.yaml", strings.NewReplacer("NATS", nats, "SANDBOX", "http://127.0.0.1:1").Replace(watchingConfig)+"sealing: {keys: [\"${file:"+key+"}\"]}\n")
}

// TestStatusSaysWhatItCannotSearch: of two messages that wait for an address, one is sealed.
func TestStatusSaysWhatItCannotSearch(t *testing.T) {
	t.Parallel()
	key, nats := sealingServer(t)
	public := strings.TrimSpace(call(t, "keygen", "--from", key).want(t, 0).out)
	for _, more := range [][]string{{"--key", "u1"}, {"--key", "u2", "--public-key", public}} {
		call(t, append([]string{"send", "--nats", nats, "--channel", "sms", "--to", "+8613012345678", "--type", "SignIn", "--code", "123456"}, more...)...).want(t, 0)
	}
	file := sealingConfig(t, nats, key)
	const note = "1 waiting message cannot be opened here, and may be "
	for name, c := range map[string]struct {
		args []string
		rows int
		note bool
	}{
		"without the key":     {[]string{"--nats", nats, "--to", "+8613012345678"}, 1, true},
		"with the key":        {[]string{"-c", file, "--to", "+8613012345678"}, 2, false},
		"only a sealed one":   {[]string{"--nats", nats, "--to", "+8613012345679"}, 0, true},
		"another question":    {[]string{"--nats", nats, "--key", "u1"}, 1, false},
		"after it was stored": {[]string{"--nats", nats, "--to", "+8613012345678", "--since", time.Now().Add(time.Hour).Format(time.RFC3339)}, 0, false},
		"of another channel":  {[]string{"--nats", nats, "--to", "foo@example.com"}, 0, false},
	} {
		r := call(t, append([]string{"status"}, c.args...)...)
		check.Equal(t, name+": waiting messages", strings.Count(r.out, " waiting sms "), c.rows)
		check.Equal(t, name+": it says what it can't search", strings.Contains(r.err, note), c.note)
		if t.Failed() {
			t.Fatalf("%s: %s%s", name, r.out, r.err)
		}
	}
}

// TestStatusOfASealedRetry: a sealed message has an outcome with its mask, so it is known that it
// is to nobody else.
func TestStatusOfASealedRetry(t *testing.T) {
	t.Parallel()
	key, nats := sealingServer(t)
	public := strings.TrimSpace(call(t, "keygen", "--from", key).want(t, 0).out)
	js := jetStream(t, nats)
	call(t, "send", "--nats", nats, "--channel", "sms", "--to", "+8613012345678", "--type", "SignIn", "--code", "123456", "--key", "u1", "--public-key", public).want(t, 0)
	stream, err := js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(messages.Outcome{
		ID: "x", App: "default", Channel: messages.SMS, Type: messages.SignIn, Status: messages.StatusRetrying, To: "+86130****5678", Sequence: 1, StoredAt: stored.Time, At: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), wire.OutcomeSubject("default", messages.SMS, messages.StatusRetrying), body); err != nil {
		t.Fatal(err)
	}
	if r := call(t, "status", "--nats", nats, "--to", "+8613012345699").want(t, exitFailed); !strings.Contains(r.err, "no such message was published") {
		t.Errorf("status of another number: %s", r.err)
	}
	if r := call(t, "status", "--nats", nats, "--to", "+8613112345678").want(t, exitFailed); !strings.Contains(r.err, "no such message was published") {
		t.Errorf("status of a number that differs where the mask shows it: %s", r.err)
	}
	if r := call(t, "status", "--nats", nats, "--to", "+8613099995678").want(t, 0); !strings.Contains(r.err, "1 waiting message cannot be opened here") {
		t.Errorf("status of a number with the same mask: %s%s", r.out, r.err)
	}
}

// TestADeadLetterWithoutItsAddress: a worker that lacks the key stores a dead letter without an
// address. Who has the key finds it by the address; others are told that there is one.
func TestADeadLetterWithoutItsAddress(t *testing.T) {
	t.Parallel()
	const to = "zed@example.com"
	key, nats := sealingServer(t)
	public, err := messages.ParsePublicKey(strings.TrimSpace(call(t, "keygen", "--from", key).want(t, 0).out))
	if err != nil {
		t.Fatal(err)
	}
	letter := messages.DeadLetter{
		ID: "sealed-1", App: "default", Channel: messages.Email, Type: messages.SignIn, Subject: "codeferry.send.default.email.SignIn.u1",
		Stream: wire.StreamName, Sequence: 1, Reason: messages.ReasonMisconfigured, StoredAt: time.Now(), DeadAt: time.Now(),
	}
	letter.Message, err = messages.NewSealer(public).Seal(letter.Subject, &messages.SendCode{ID: letter.ID, To: to, Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(letter)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jetStream(t, nats).Publish(t.Context(), wire.DeadSubject(letter.App, letter.Channel, letter.Reason), body); err != nil {
		t.Fatal(err)
	}
	file := sealingConfig(t, nats, key)
	other := filepath.Join(t.TempDir(), "other.key")
	call(t, "keygen", "--out", other).want(t, 0)
	blind := sealingConfig(t, nats, other)
	for name, c := range map[string]struct {
		args        []string
		finds, note bool
	}{
		"status with the key":                 {[]string{"status", "-c", file, "--to", to}, true, false},
		"status with the key, another's":      {[]string{"status", "-c", file, "--to", "zoe@example.com"}, false, false},
		"status with another key":             {[]string{"status", "-c", blind, "--to", to}, false, true},
		"status without a key":                {[]string{"status", "--nats", nats, "--to", to}, false, true},
		"dead list with the key":              {[]string{"dead", "list", "-c", file, "--to", to}, true, false},
		"dead list with another key":          {[]string{"dead", "list", "-c", blind, "--to", to}, false, true},
		"dead list without a key":             {[]string{"dead", "list", "--nats", nats, "--to", to}, false, true},
		"a number":                            {[]string{"dead", "list", "--nats", nats, "--to", "+8613012345678"}, false, false},
		"dead list, all":                      {[]string{"dead", "list", "--nats", nats}, true, false},
		"dead replay with the key":            {[]string{"dead", "replay", "-c", file, "--to", to, "--dry-run"}, true, false},
		"dead replay with the key, another's": {[]string{"dead", "replay", "-c", file, "--to", "zoe@example.com", "--dry-run"}, false, false},
		"dead delete with another key":        {[]string{"dead", "delete", "-c", blind, "--to", to, "--dry-run"}, false, true},
	} {
		r := call(t, c.args...)
		check.Equal(t, name+": it is found", strings.Contains(r.out, "sealed-1"), c.finds)
		check.Equal(t, name+": it says what can't be opened", strings.Contains(r.err, "cannot be opened here"), c.note)
		if t.Failed() {
			t.Fatalf("%s: %s%s", name, r.out, r.err)
		}
	}
}

// TestStatusOfAnothersDeadLetter: an outcome with the same mask belongs to a dead letter whose
// hash says that it is another's. Nothing was settled meanwhile.
func TestStatusOfAnothersDeadLetter(t *testing.T) {
	t.Parallel()
	key, nats := sealingServer(t)
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := wire.ParsePrivateKey(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, nats)
	letter := messages.DeadLetter{
		ID: "another-1", App: "default", Channel: messages.Email, Type: messages.SignIn, Subject: "codeferry.send.default.email.SignIn.u1",
		Stream: wire.StreamName, Sequence: 1, To: messages.Mask("qa@only.example"), Reason: messages.ReasonRejected, StoredAt: time.Now().UTC(), DeadAt: time.Now().UTC(),
	}
	if letter.ToHash, err = private.Lookup("qa@only.example"); err != nil {
		t.Fatal(err)
	}
	for subject, what := range map[string]any{
		wire.DeadSubject(letter.App, letter.Channel, letter.Reason):          letter,
		wire.OutcomeSubject(letter.App, letter.Channel, messages.StatusDead): outcomeOf(&letter),
	} {
		body, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), subject, body); err != nil {
			t.Fatal(err)
		}
	}
	// The stream has stored the message.
	if _, err := js.Publish(t.Context(), letter.Subject, []byte(`{"id":"another-1","to":"qa@only.example","type":"SignIn","payload":{"code":"123456"}}`)); err != nil {
		t.Fatal(err)
	}
	file := sealingConfig(t, nats, key)
	if r := call(t, "status", "-c", file, "--to", "qb@only.example").want(t, exitFailed); !strings.Contains(r.err, "no such message was published") {
		t.Errorf("status of an address that nobody wrote to: %s", r.err)
	}
	if r := call(t, "status", "-c", file, "--to", "qa@only.example").want(t, 0); !strings.Contains(r.out, "another-1") {
		t.Errorf("status of the dead letter's own address: %s%s", r.out, r.err)
	}
}

// TestStatusOfANumber: two messages have an id of 26 digits, which looks like one with a time
// but has none.
func TestStatusOfANumber(t *testing.T) {
	t.Parallel()
	const id = "02061125063310000000000001" // as a ULID its time would be in 2039
	d := spawnDev(t)
	js := jetStream(t, d.nats)
	for subject, to := range map[string]string{"sms.SignIn.u1": "+8613012345678", "email.SignIn.u1": "foo@example.com"} {
		body, err := json.Marshal(map[string]any{"id": id, "to": to, "type": "SignIn", "payload": map[string]string{"code": "123456"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "codeferry.send.default."+subject, body); err != nil {
			t.Fatal(err)
		}
	}
	d.find(id + " sent sms")
	d.find(id + " sent email")
	var r result
	check.Eventually(t, "both outcomes are stored", func() bool {
		r = call(t, "status", "--nats", d.nats, id)
		return strings.Count(r.out, id+" sent ") == 2
	})
	if r.status != 0 || strings.Count(r.out, "app default, channel ") != 2 {
		t.Errorf("exit status %d, want 0, and a heading for each of the 2 messages: %s", r.status, r.out)
	}
	r = call(t, "status", "--json", "--nats", d.nats, id).want(t, 0)
	if got := ids(t, r.out); len(got) != 2 || got[0] != id || got[1] != id {
		t.Errorf("--json prints %d objects, want 2: %s", len(got), r.out)
	}
	if r := call(t, "status", "--nats", d.nats, id+"1"); r.status != exitFailed {
		t.Errorf("another id: exit status %d, want %d: %s", r.status, exitFailed, r.out)
	}
}
