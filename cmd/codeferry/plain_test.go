package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/waiting"
)

// TestNoControlCharacters: what others have stored moves no cursor and begins no line, whatever
// field it stands in.
func TestNoControlCharacters(t *testing.T) {
	t.Parallel()
	const (
		evil    = "e\x1b[2J\r\n\tf\u009b1m\u202e"
		letters = `"id":EVIL,"app":EVIL,"channel":EVIL,"type":EVIL,"to":EVIL,"connector":EVIL,"class":EVIL,"code":EVIL,"reason":EVIL,"detail":EVIL`
	)
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "EVIL", string(quoted))), v); err != nil {
			t.Fatal(err)
		}
	}
	var o, sent messages.Outcome
	read(`{`+letters+`,"key":EVIL,"status":EVIL,"providerId":EVIL,"requestId":EVIL}`, &o)
	sent = o
	sent.Status, sent.Reason, sent.Code = messages.StatusSent, "", ""
	var d messages.DeadLetter
	read(`{`+letters+`,"subject":EVIL,"advice":EVIL,"traceparent":EVIL,"attempts":[{"connector":EVIL,"class":EVIL,"code":EVIL,"detail":EVIL,"requestId":EVIL}],"message":{"sealed":{"key":EVIL,"box":""}}}`, &d)
	unkept := d
	unkept.Message, unkept.Dropped = nil, evil
	subject := d
	subject.Subject = "codeferry.send.default.sms.SignIn.u\x1b[2J\u009b"
	var m waiting.Message
	read(`{`+letters+`,"key":EVIL,"why":EVIL,"connectors":[EVIL]}`, &m)
	for name, show := range map[string]func(s streams) error{
		"status": func(s streams) error {
			return (&statusCmd{}).print(s, []messages.Outcome{o, sent}, []waiting.Message{m}, noon)
		},
		"send":     func(s streams) error { return printOutcome(s, o, false) },
		"stories":  func(s streams) error { return printStories(s, archive.Stories([]messages.Outcome{o, {ID: "x"}}), nil) },
		"outcomes": func(s streams) error { return newOutcomePrinter(s, false, 0).take(sent) },
		"waiting": func(s streams) error {
			return (&waitingCmd{Channel: []string{"fax"}}).print(s, nil, []waiting.Message{m}, false, noon)
		},
		"summary of what waits": func(s streams) error {
			return (&waitingCmd{Channel: []string{"fax"}}).printSummary(s, nil, []*waitingGroup{{Channel: evil, Why: evil, Detail: evil, Oldest: evil}})
		},
		"dead list": func(s streams) error {
			return (&deadListCmd{}).print(s, []archive.Letter{{DeadLetter: d}, {DeadLetter: subject}}, false)
		},
		"dead list --summary": func(s streams) error {
			return printDeadGroups(s, []*deadGroup{{Reason: evil, Connector: evil, Code: evil, Newest: evil, Detail: evil}})
		},
		"dead show":           func(s streams) error { return printDeadLetter(s, d) },
		"dead show, not kept": func(s streams) error { return printDeadLetter(s, unkept) },
		"an error of a command": func(s streams) error {
			fail(s, &exitError{exitFailed, shownError("first\nsecond " + strings.ReplaceAll(evil, "\n", ""))})
			return nil
		},
	} {
		var out bytes.Buffer
		if err := show(streams{out: &out, err: &out}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.ContainsAny(out.String(), "\x1b\r\t\u009b\u202e") {
			t.Errorf("%s: %q", name, out.String())
		}
		if !strings.Contains(out.String(), "\ufffd[2J") {
			t.Errorf("%s: shows nothing of it: %q", name, out.String())
		}
		if strings.Contains(out.String(), "\n f") || strings.Contains(out.String(), "\nf") {
			t.Errorf("%s: it begins a line: %q", name, out.String())
		}
	}
}

// TestNoControlCharactersInJSON: the same holds for --json, and whoever reads it gets what was
// stored.
func TestNoControlCharactersInJSON(t *testing.T) {
	t.Parallel()
	const evil = "é中😀e\x1b\x7f\u0080\u009b\u009f\u202e\u2028\U000e0041<&>"
	for name, show := range map[string]func(s streams) error{
		"status": func(s streams) error { return printOutcome(s, messages.Outcome{ID: evil}, true) },
		"outcomes": func(s streams) error {
			return newOutcomePrinter(s, true, 0).take(messages.Outcome{ID: evil})
		},
		"waiting": func(s streams) error {
			return (&waitingCmd{JSON: true}).print(s, nil, []waiting.Message{{ID: evil}}, false, noon)
		},
		"dead list": func(s streams) error {
			return (&deadListCmd{JSON: true}).print(s, []archive.Letter{{DeadLetter: messages.DeadLetter{ID: evil}}}, false)
		},
		"dead replay": func(s streams) error {
			list := newReplayList(s, false, true)
			list.add(archive.Letter{DeadLetter: messages.DeadLetter{ID: evil}}, replay.Replayed, "")
			return list.err
		},
	} {
		var out bytes.Buffer
		if err := show(streams{out: &out}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range strings.TrimSuffix(out.String(), "\n") {
			if !unicode.IsGraphic(r) {
				t.Errorf("%s: it prints %U: %q", name, r, out.String())
			}
		}
		var read struct{ ID string }
		if err := json.Unmarshal(out.Bytes(), &read); err != nil || read.ID != evil || !strings.Contains(out.String(), "é中😀e") {
			t.Errorf("%s: %v: reads %q from %q", name, err, read.ID, out.String())
		}
	}
}

type shownError string

func (e shownError) Error() string { return string(e) }
