package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/waiting"
)

func TestWaitingRows(t *testing.T) {
	t.Parallel()
	attempts, soon, over := 2, noon.Add(time.Minute), noon
	m := waiting.Message{
		ID: "x", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u1", To: "+86130****5678", Sequence: 17, StoredAt: noon.Add(-90 * time.Second),
		Attempts: &attempts, ExpiresAt: &soon, RetryAt: &soon, Why: waiting.WhyRetry, Detail: "a did\x1b not\naccept it", Epoch: 1,
	}
	bare := waiting.Message{ID: "CODEFERRY-18", App: "default", Channel: messages.SMS, Sealed: true, StoredAt: noon, Why: waiting.WhyUnknown, Detail: "nobody knows"}
	late := m
	late.ExpiresAt = &over
	due := m
	due.RetryAt = &over
	at := func(at time.Time) string { return at.Local().Format(localTime) }
	if got := strings.Split(waitingRow(due, noon), "\t"); got[11] != "-" {
		t.Errorf("it is due, and shows again at %s", got[11])
	}
	var out bytes.Buffer
	if err := new(statusCmd).print(streams{out: &out}, nil, []waiting.Message{due}, noon); err != nil || strings.Contains(out.String(), "again at") {
		t.Errorf("it is due (%v): %s", err, out.String())
	}
	for _, c := range []struct {
		m    waiting.Message
		row  string
		line string
	}{
		{
			m, at(m.StoredAt) + "|1m30s|sms|SignIn|+86130****5678|default|x|u1|" + at(soon) + "|2|retry|" + at(soon) + "|a did\ufffd not accept it",
			at(m.StoredAt) + " x waiting sms SignIn to +86130****5678, app default, key u1, replay 1, 2 attempts, its code expires " + at(soon) + ", again at " + at(soon) + " (retry: a did\ufffd not accept it)",
		},
		{
			bare, at(noon) + "|0s|sms|-|sealed|default|CODEFERRY-18|-|?|?|unknown|-|nobody knows",
			at(noon) + " CODEFERRY-18 waiting sms -, sealed, app default (unknown: nobody knows)",
		},
		{
			late, at(m.StoredAt) + "|1m30s|sms|SignIn|+86130****5678|default|x|u1|" + at(over) + ", over|2|retry|" + at(soon) + "|a did\ufffd not accept it",
			at(m.StoredAt) + " x waiting sms SignIn to +86130****5678, app default, key u1, replay 1, 2 attempts, its code expires " + at(over) + ", again at " + at(soon) + " (retry: a did\ufffd not accept it)",
		},
	} {
		if got := strings.ReplaceAll(waitingRow(c.m, noon), "\t", "|"); got != c.row {
			t.Errorf("got  %s\nwant %s", got, c.row)
		}
		if got := waitingLine(streams{}, c.m); got != c.line {
			t.Errorf("got  %s\nwant %s", got, c.line)
		}
	}
	if got := waitingLine(streams{color: true}, m); !strings.Contains(got, "\x1b[33mwaiting\x1b[0m") {
		t.Errorf("not painted: %q", got)
	}
}

func TestChannelLine(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]*waiting.Consumer{
		"the consumer does not exist; a worker makes it, or codeferry provision --nats a":                           nil,
		"1 message not taken by a worker yet, 2 taken and not settled":                                              {Waiting: 1, Taken: 2, Asked: true},
		"0 messages not taken by a worker yet, 0 taken and not settled; no worker asks for messages at this moment": {},
		"5 messages not taken by a worker yet, 0 taken and not settled; the consumer is paused":                     {Waiting: 5, Paused: true},
	} {
		if got := channelLine(c, "codeferry provision --nats a"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWaitingFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"--channel fax", `--channel must be one of "email","sms" but got "fax"`},
		{"--app a.b", `--app: "a.b" is no app name`},
		{"--limit -1", "--limit"},
		{"-c nowhere.yaml", "nowhere.yaml"},
	} {
		var out, errs bytes.Buffer
		status := execute(t.Context(), append([]string{"waiting"}, strings.Fields(c.args)...), streams{out: &out, err: &errs})
		if status == 0 || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: exit status %d: %s", c.args, status, errs.String())
		}
	}
}

// TestWaitingChannels: a channel that is named twice is one channel.
func TestWaitingChannels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given []string
		want  messages.Channel
	}{
		{nil, ""},
		{[]string{"sms"}, messages.SMS},
		{[]string{"sms", "sms"}, messages.SMS},
		{[]string{"email", "sms"}, ""},
	} {
		check.Equal(t, strings.Join(c.given, ","), (&waitingCmd{Channel: c.given}).want().Channel, c.want)
	}
}
