package archive_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// at is the time at which a test's nth message was stored.
func at(n int) time.Time {
	return time.Date(2026, 11, 21, 12, 0, n, 100_000_007, time.UTC)
}

// TestOutcomesOfAnyID: an id may look as if it held a time, in the past, among the outcomes,
// or far in the future. No outcome is missed because of that.
func TestOutcomesOfAnyID(t *testing.T) {
	js := streams(t)
	ids := []string{
		"20261125063310000000000001", "02061125063310000000000001", // numbers with 26 digits
		messages.NewID(time.Now().Add(-time.Hour)),
		messages.NewID(time.Now().Add(time.Hour)),
		messages.NewID(time.Now()),
		messages.NewID(time.UnixMilli(0)),
		"7ZZZZZZZZZZZZZZZZZZZZZZZZZ", // as late as an id can be
		"login-1", "login-11", "a<b>&\"c\\", "~",
	}
	for _, id := range ids {
		for i := range 2 {
			body, err := json.Marshal(messages.Outcome{ID: id, App: "default", Channel: messages.SMS, Status: messages.StatusSent, StoredAt: at(i), Sequence: uint64(i + 1)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(t.Context(), wire.OutcomeSubject("default", messages.SMS, messages.StatusSent), body); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range append(ids, "nobody") {
		var got []uint64
		if err := archive.Outcomes(t.Context(), js, archive.OutcomeFilter{ID: id}, func(o messages.Outcome) error {
			if o.ID != id {
				t.Errorf("%s is found for %s", o.ID, id)
			}
			got = append(got, o.Sequence)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := "[1 2]"
		if id == "nobody" {
			want = "[]"
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: the outcomes of messages %v are found, want %s", id, got, want)
		}
	}
}

func TestStories(t *testing.T) {
	first := messages.Outcome{ID: "x", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u1", StoredAt: at(1), Sequence: 1}
	// outcome is one of the first message; edit makes it another's.
	outcome := func(s messages.Status, edit ...func(*messages.Outcome)) messages.Outcome {
		o := first
		o.Status = s
		for _, f := range edit {
			f(&o)
		}
		return o
	}
	place := func(n int) func(*messages.Outcome) {
		return func(o *messages.Outcome) { o.StoredAt, o.Sequence = at(n), uint64(n) }
	}
	epoch := func(n int) func(*messages.Outcome) { return func(o *messages.Outcome) { o.Epoch = n } }
	old := func(o *messages.Outcome) { o.Sequence = 0 }
	mail := func(o *messages.Outcome) { o.Channel = messages.Email }
	shop := func(o *messages.Outcome) { o.App = "shop" }
	register := func(o *messages.Outcome) { o.Type = messages.Register }
	key := func(k string) func(*messages.Outcome) { return func(o *messages.Outcome) { o.Key = k } }
	again := func(o *messages.Outcome) { o.StoredAt = at(9) } // the same place in a stream that was made again
	for _, c := range []struct {
		name     string
		outcomes []messages.Outcome
		want     string // each story in brackets: the places of its lives, then its outcomes
	}{
		{"none", nil, ""},
		{"one message", []messages.Outcome{outcome("retrying"), outcome("sent"), outcome("delivered")}, "[1: retrying sent delivered]"},
		{"half of it by an older worker", []messages.Outcome{outcome("retrying", old), outcome("sent"), outcome("delivered", old)}, "[1: retrying sent delivered]"},
		{"all of it by an older worker", []messages.Outcome{outcome("retrying", old), outcome("sent", old)}, "[0: retrying sent]"},
		{"an SMS and a mail", []messages.Outcome{outcome("retrying"), outcome("sent", mail, place(2)), outcome("sent")}, "[1: retrying sent] [2: sent]"},
		{"two apps", []messages.Outcome{outcome("sent", shop, place(2)), outcome("sent")}, "[1: sent] [2: sent]"},
		{"two purposes", []messages.Outcome{outcome("sent"), outcome("sent", register, place(2))}, "[1: sent] [2: sent]"},
		{"two users", []messages.Outcome{outcome("sent"), outcome("sent", key("u2"), place(2))}, "[1: sent] [2: sent]"},
		{"two users whose keys are not shown", []messages.Outcome{outcome("sent", key("")), outcome("sent", key(""), place(2))}, "[1: sent] [2: sent]"},
		{"two codes for one user", []messages.Outcome{outcome("retrying"), outcome("sent", place(2)), outcome("sent")}, "[1: retrying sent] [2: sent]"},
		{"two codes told by older workers", []messages.Outcome{outcome("sent", old), outcome("sent", place(2), old)}, "[0: sent] [0: sent]"},
		{"a stream that was made again", []messages.Outcome{outcome("sent"), outcome("sent", again)}, "[1: sent] [1: sent]"},
		{"two at one time", []messages.Outcome{outcome("sent"), outcome("dead", func(o *messages.Outcome) { o.Sequence = 2 })}, "[1: sent] [2: dead]"},
		{"a replay", []messages.Outcome{outcome("dead"), outcome("sent", place(2), epoch(1)), outcome("delivered")}, "[1 2: dead sent delivered]"},
		{"a replay of Test, which is read as Generic", []messages.Outcome{
			outcome("dead", func(o *messages.Outcome) { o.Type = messages.Test }), outcome("sent", place(2), epoch(1), func(o *messages.Outcome) { o.Type = messages.Generic }),
		}, "[1 2: dead sent]"},
		{"three lives", []messages.Outcome{outcome("dead"), outcome("dead", place(2), epoch(1)), outcome("sent", place(3), epoch(2))}, "[1 2 3: dead dead sent]"},
		{"a replay whose first life is forgotten", []messages.Outcome{outcome("sent", epoch(1))}, "[1: sent]"},
		{"a replay, then a second code", []messages.Outcome{outcome("dead"), outcome("sent", place(2), epoch(1)), outcome("sent", place(3))}, "[1 2: dead sent] [3: sent]"},
		{"a second code, then its replay", []messages.Outcome{outcome("sent"), outcome("dead", place(2)), outcome("sent", place(3), epoch(1))}, "[1: sent] [2 3: dead sent]"},
		{"a mail's replay after an SMS", []messages.Outcome{outcome("sent"), outcome("sent", mail, place(2), epoch(1))}, "[1: sent] [2: sent]"},
		{"out of order", []messages.Outcome{outcome("sent", place(2), epoch(1)), outcome("dead")}, "[1 2: sent dead]"},
	} {
		var got []string
		for _, s := range archive.Stories(c.outcomes) {
			var lives, steps []string
			for _, l := range s.Lives {
				lives = append(lives, fmt.Sprint(l.Sequence))
			}
			for _, o := range s.Outcomes {
				steps = append(steps, string(o.Status))
			}
			got = append(got, fmt.Sprintf("[%s: %s]", strings.Join(lives, " "), strings.Join(steps, " ")))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, strings.Join(got, " "), c.want)
		}
	}
}
