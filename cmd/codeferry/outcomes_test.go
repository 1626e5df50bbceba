package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// someOutcomes are one of each kind.
func someOutcomes() []messages.Outcome {
	again := noon.Add(3500 * time.Millisecond)
	base := messages.Outcome{
		ID: "login-1", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "user-1", To: "+86130****5678", Connector: "aliyun-sms", Attempt: 1,
		StoredAt: noon.Add(-time.Second), At: noon,
	}
	edit := func(f func(*messages.Outcome)) messages.Outcome {
		o := base
		f(&o)
		return o
	}
	return []messages.Outcome{
		edit(func(o *messages.Outcome) { o.Status, o.ProviderID = messages.StatusSent, "1^0" }),
		edit(func(o *messages.Outcome) {
			o.Status, o.RetryAt, o.Class, o.Code, o.Detail = messages.StatusRetrying, &again, "throttled", "E-1", "too many"
		}),
		edit(func(o *messages.Outcome) {
			o.Status, o.Reason, o.Detail, o.Attempt, o.Connector = messages.StatusDead, messages.ReasonExpired, "it\x1b[31m waited\ntoo long", 0, ""
		}),
		edit(func(o *messages.Outcome) {
			o.Status, o.Epoch, o.Detail, o.Key, o.Type = messages.StatusUnknown, 2, "no answer", "", ""
		}),
		edit(func(o *messages.Outcome) { o.Status, o.Detail = "later", "of a newer codeferry" }),
	}
}

func TestOutcomesAsATable(t *testing.T) {
	t.Parallel()
	at := noon.Local().Format(localTime)
	want := strings.ReplaceAll(`AT                    STATUS    CHANNEL  TYPE      TO              APP      ID                          KEY     CONNECTOR   ATTEMPT  DETAIL
NOON                  sent      sms      SignIn    +86130****5678  default  login-1                     user-1  aliyun-sms  1        1^0, 1s after it was stored
NOON                  retrying  sms      SignIn    +86130****5678  default  login-1                     user-1  aliyun-sms  1        again in 3.5s or later, throttled: E-1: too many
NOON                  dead      sms      SignIn    +86130****5678  default  login-1                     user-1  -           -        expired: it�[31m waited too long
NOON                  unknown   sms      -         +86130****5678  default  login-1                     -       aliyun-sms  1        replay 2, no answer
NOON                  later     sms      SignIn    +86130****5678  default  login-1                     user-1  aliyun-sms  1        of a newer codeferry
`, fmt.Sprintf("%-*s", len(at), "NOON"), at)
	for _, color := range []bool{false, true} {
		var out, errs bytes.Buffer
		p := newOutcomePrinter(streams{out: &out, err: &errs, color: color}, false, 0)
		for _, o := range someOutcomes() {
			if err := p.take(o); err != nil {
				t.Fatal(err)
			}
		}
		got := out.String()
		if color {
			for status, code := range map[string]string{"sent": "32", "retrying": "33", "dead": "31", "unknown": "33", "later": "33"} {
				painted := "\x1b[" + code + "m" + status + "\x1b[0m"
				if !strings.Contains(got, painted) {
					t.Errorf("%s is not painted: %q", status, got)
				}
				got = strings.ReplaceAll(got, painted, status)
			}
		}
		if strings.Contains(got, "\x1b") {
			t.Errorf("something else than the status is painted: %q", got)
		}
		if fields(got) != fields(want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		for _, line := range lines[1:] {
			if strings.Index(line, "default") != strings.Index(lines[0], "APP") {
				t.Errorf("the columns are not aligned:\n%s", got)
			}
		}
		if got, want := p.counts(), "5 outcomes: 1 sent, 1 retrying, 1 unknown, 1 dead, 1 of another status"; got != want {
			t.Errorf("counts: %s, want %s", got, want)
		}
		if errs.Len() > 0 {
			t.Errorf("stderr: %s", errs.String())
		}
	}
}

// fields are a table's lines without what aligns them.
func fields(table string) string {
	var b strings.Builder
	for line := range strings.Lines(table) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

func TestOutcomesAsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newOutcomePrinter(streams{out: &out, color: true}, true, 0)
	all := someOutcomes()
	for _, o := range all {
		if err := p.take(o); err != nil {
			t.Fatal(err)
		}
	}
	var got []messages.Status
	for line := range strings.Lines(out.String()) {
		var o messages.Outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, o.Status)
	}
	if want := []messages.Status{"sent", "retrying", "dead", "unknown", "later"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestOutcomesWithALimit: of what is there already the newest are printed; what comes after
// it is printed as it comes.
func TestOutcomesWithALimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, n int
		want     string
		cut      bool
	}{
		{0, 3, "0 1 2", false},
		{1, 3, "2", true},
		{2, 3, "1 2", true},
		{2, 5, "3 4", true},
		{3, 3, "0 1 2", false},
		{4, 3, "0 1 2", false},
		{2, 0, "", false},
	} {
		var out, errs bytes.Buffer
		p := newOutcomePrinter(streams{out: &out, err: &errs}, true, c.limit)
		for i := range c.n {
			if err := p.take(messages.Outcome{ID: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if c.limit > 0 && out.Len() > 0 {
			t.Errorf("limit %d of %d: printed before all was read: %s", c.limit, c.n, out.String())
		}
		if len(p.newest) > c.limit {
			t.Errorf("limit %d of %d: %d are kept", c.limit, c.n, len(p.newest))
		}
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(ids(t, out.String()), " "); got != c.want {
			t.Errorf("limit %d of %d: printed %s, want %s", c.limit, c.n, got, c.want)
		}
		if cut := strings.Contains(errs.String(), "older outcomes"); cut != c.cut {
			t.Errorf("limit %d of %d: that it was cut is said: %t", c.limit, c.n, cut)
		}
		out.Reset()
		if err := p.take(messages.Outcome{ID: "next"}); err != nil || !strings.Contains(out.String(), "next") {
			t.Errorf("limit %d of %d: what comes after it: %q, %v", c.limit, c.n, out.String(), err)
		}
	}
}

func TestOutcomesFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"--channel fax", `--channel must be one of "email","sms" but got "fax"`},
		{"--status sent,lost", `--status must be one of "sent","retrying","unknown","dead","superseded","delivered","undelivered" but got "lost"`},
		{"--since 5", "--since: 5 has no unit: 5s, 5m, 1h, 1d"},
		{"--since yesterday", `--since: "yesterday" is neither a time`},
		{"--app a.b", `--app: "a.b" is no app name`},
		{"--to nobody", "--to is not a phone number"},
		{"--to a@b@c", "--to is not an email address"},
		{"--key a.b", "--key holds '.'"},
		{"--limit -1", "--limit"},
	} {
		var out, errs bytes.Buffer
		if status := execute(t.Context(), append([]string{"outcomes"}, strings.Fields(c.args)...), streams{out: &out, err: &errs}); status != exitUsage || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: exit status %d: %s", c.args, status, errs.String())
		}
	}
}

// TestOutcomeLines: a line of status says when the message is sent again, and that it may
// arrive twice.
func TestOutcomeLines(t *testing.T) {
	t.Parallel()
	at := noon.Add(time.Second)
	o := messages.Outcome{ID: "login-1", Channel: messages.Email, Type: messages.SignIn, To: "f***@example.com", Connector: "smtp", Attempt: 2, StoredAt: noon, At: at}
	unknown, soon, sent := o, o, o
	unknown.Status, unknown.RetryAt, unknown.Detail = messages.StatusUnknown, &at, "lost"
	later := at.Add(1500 * time.Millisecond)
	soon.Status, soon.RetryAt, soon.Detail = messages.StatusUnknown, &later, "lost"
	sent.Status, sent.ProviderID, sent.Detail = messages.StatusSent, "P-1", "it may arrive twice"
	for _, c := range []struct {
		o    messages.Outcome
		want string
	}{
		{unknown, "login-1 unknown email SignIn to f***@example.com by smtp, attempt 2, again at once (lost)\n"},
		{soon, "login-1 unknown email SignIn to f***@example.com by smtp, attempt 2, again in 1.5s or later (lost)\n"},
		{sent, "login-1 sent email SignIn to f***@example.com by smtp, attempt 2 (P-1, it may arrive twice, 1s after it was stored)\n"},
	} {
		var out bytes.Buffer
		if err := printOutcome(streams{out: &out}, c.o, false); err != nil || out.String() != c.want {
			t.Errorf("%v\ngot  %swant %s", err, out.String(), c.want)
		}
	}
}
