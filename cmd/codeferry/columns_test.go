package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := newColumns(&out, []string{"A", "LONGER", "C"}, []string{"wide", "", ""})
	for _, row := range [][]string{{"1", "2", "3"}, {"é", "longest", "6"}, {"7", "8", "账户 "}} {
		if err := c.row(row, func(i int, cell string) string {
			if i == 1 {
				return "<" + cell + ">"
			}
			return cell
		}); err != nil {
			t.Fatal(err)
		}
	}
	const want = `A     LONGER  C
1     <2>       3
é     <longest>  6
7     <8>        账户
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestColumnsOfReplays: a mail's masked address and a key do not shift the columns.
func TestColumnsOfReplays(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	list := newReplayList(streams{out: &out}, true, false)
	for _, l := range []messages.DeadLetter{
		{ID: sampleID, App: "default", Channel: messages.SMS, Subject: "codeferry.send.default.sms.SignIn.u1", To: "+86130****5678", Reason: messages.ReasonRejected},
		{ID: sampleID, App: "default", Channel: messages.Email, Subject: "codeferry.send.default.email.SignIn.k3v9x2m4q8z1", To: "f***@mail.example.com", Reason: messages.ReasonRejected},
	} {
		list.add(archive.Letter{DeadLetter: l}, replay.Replayed, "")
	}
	rows := strings.Split(out.String(), "\n")
	at := strings.Index(rows[0], "RESULT")
	for _, row := range rows[1:3] {
		if !strings.HasPrefix(row[at:], "would be replayed") {
			t.Errorf("the result is not below its name:\n%s", out.String())
		}
	}
}

// TestTyped: what was typed is shown cut, in one line, and never as a whole address.
func TestTyped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"01JDCT5Z6Q0000000000000000": "01JDCT5Z6Q0000000000000000",
		"CODEFERRY-17":               "CODEFERRY-17",
		"foo@example.com":            "f***@example.com",
		"+8613012345678":             "+86130****5678",
		"a\x1b[2Jb\nc":               "a\ufffd[2Jb c",
		"\xff":                       "\ufffd",
		strings.Repeat("a", 200):     strings.Repeat("a", 200),
		strings.Repeat("a", 201):     strings.Repeat("a", 200) + "…",
		strings.Repeat("账", 20_000):  strings.Repeat("账", 200) + "…",
		strings.Repeat("a", 20_000) + "@example.com": messages.Mask(strings.Repeat("a", 20_000) + "@example.com"),
	} {
		if got := typed(text); got != want {
			t.Errorf("typed(%.40q) = %.300q, want %.300q", text, got, want)
		}
	}
}
