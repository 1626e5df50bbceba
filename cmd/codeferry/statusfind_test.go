package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestVerdict: that no such message was published is said only if something is known of every
// message that could be it.
func TestVerdict(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	shown := func(seconds int) string { return at(seconds).Local().Format(localTime) }
	noneEver := "no such message was published since the stream CODEFERRY was made at " + shown(0) + ": x"
	for name, c := range map[string]struct {
		first, last uint64
		// known are the sequences of which something is known; each was stored as many seconds
		// after noon as its number says.
		known []int
		// kept is since when all outcomes are kept, asked since when the message is asked for;
		// 0 for ever.
		kept, asked int
		query       statusQuery
		closed      closed
		want        string
	}{
		"nothing was ever published":                {first: 1, want: noneEver},
		"all are known":                             {first: 1, last: 3, known: []int{1, 2, 3}, want: noneEver},
		"all of a stream that begins higher":        {first: 2, last: 3, known: []int{2, 3}, want: noneEver},
		"all are known, asked for later":            {first: 1, last: 3, known: []int{1, 2, 3}, asked: 2, want: "no such message was published since " + shown(2) + ": x"},
		"all are known, asked for earlier":          {first: 1, last: 3, known: []int{1, 2, 3}, asked: -5, want: noneEver},
		"known since it is asked for":               {first: 1, last: 4, known: []int{2, 3, 4}, asked: 2, want: "no such message was published since " + shown(2) + ": x"},
		"not known since it is asked for":           {first: 1, last: 4, known: []int{3, 4}, asked: 2, want: "It was not published since " + shown(3) + "; whether it was before can't be known: of the messages that CODEFERRY stored between " + shown(2) + " and " + shown(3) + ", up to 2 left no outcome (a newer code superseded them, or a worker is sending them now, or their outcomes were lost)"},
		"an older one is not known":                 {first: 1, last: 4, known: []int{1, 3, 4}, want: "It was not published since " + shown(3) + "; whether it was before can't be known: of the messages that CODEFERRY stored before " + shown(3) + ", 1 left no outcome"},
		"the newest is not known":                   {first: 1, last: 4, known: []int{1, 2, 3}, want: "nothing is known of x: it does not wait, and there is no outcome and no dead letter of it. Whether it was published can't be known: of the messages that CODEFERRY stored, 1 left no outcome"},
		"the newest is not known, asked for later":  {first: 1, last: 4, known: []int{1, 2, 3}, asked: 2, want: "Whether it was published can't be known: of the messages that CODEFERRY stored since " + shown(2) + ", 1 left no outcome"},
		"the outcomes are gone, and some left none": {first: 1, last: 6, known: []int{1, 3, 5, 6}, kept: 3, want: "It was not published since " + shown(5) + "; whether it was before can't be known: outcomes before " + shown(3) + " are no longer kept; of the messages that CODEFERRY stored between " + shown(3) + " and " + shown(5) + ", up to 2 left no outcome"},
		"the outcomes are gone":                     {first: 1, last: 4, known: []int{3, 4}, kept: 3, want: "It was not published since " + shown(3) + "; whether it was before can't be known: outcomes before " + shown(3) + " are no longer kept"},
		"an address that can't be read":             {first: 1, last: 2, known: []int{1}, query: statusQuery{to: "foo@example.com"}, want: "or their addresses can't be read here)"},
		"a waiting one can't be opened":             {first: 1, last: 2, known: []int{1}, query: statusQuery{to: "foo@example.com"}, closed: closed{waiting: 1}, want: "nothing is known of x: 1 waiting message cannot be opened here, and may be it: name a configuration that has the sealing key by -c; there is no outcome and no dead letter of it."},
		"a dead letter can't be opened":             {first: 1, last: 3, known: []int{1}, query: statusQuery{to: "foo@example.com"}, closed: closed{waiting: 0, letters: 2}, want: "nothing is known of x: 2 dead letters cannot be opened here, and may be it: name a configuration that has the sealing key by -c; it does not wait, and there is no outcome and no other dead letter of it. Whether it was published can't be known"},
		"a key that is not kept":                    {first: 1, last: 2, known: []int{1}, query: statusQuery{key: "u1"}, want: "or their keys are not kept since they showed the recipient)"},
	} {
		a := newAccount(noon, c.first, c.last)
		if c.kept > 0 {
			a.kept = at(c.kept)
		}
		for _, n := range c.known {
			a.note(uint64(n), at(n))
		}
		// None of these counts.
		a.note(0, at(1))
		a.note(c.last+1, at(9))
		a.note(c.last, noon.Add(-time.Second)) // of the stream before
		if c.asked != 0 {
			c.query.since = at(c.asked)
		}
		if got := a.verdict("x", c.query, c.closed); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
}

// TestAnAccountIsBounded: it goes back so far and no further, and does not say more than it
// knows.
func TestAnAccountIsBounded(t *testing.T) {
	t.Parallel()
	a := newAccount(noon, 1, 3*maxAccount)
	if len(a.times) != maxAccount {
		t.Errorf("%d places", len(a.times))
	}
	for i := range uint64(3 * maxAccount) {
		a.note(i+1, noon.Add(time.Duration(i+1)))
	}
	since, whole := a.known()
	if want := noon.Add(2*maxAccount + 1); whole || !since.Equal(want) {
		t.Errorf("known since %v (%t), want %v", since, whole, want)
	}
}

func TestStatusFlags(t *testing.T) {
	t.Parallel()
	const one = "give exactly one of: an id, --to, --key"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, one},
		{[]string{"x", "--to", "foo@example.com"}, one},
		{[]string{"x", "--key", "u1"}, one},
		{[]string{"--key", "u1", "--to", "foo@example.com"}, one},
		{[]string{"--key", "*"}, "--key holds '*'"},
		{[]string{"--key", "foo@example.com"}, "--key looks like an address"},
		{[]string{"--to", "nobody"}, "--to is not a phone number"},
		{[]string{"x", "--since", "1"}, "--since: 1 has no unit: 1s, 1m, 1h, 1d"},
	} {
		var out, errs bytes.Buffer
		status := execute(t.Context(), append([]string{"status"}, c.args...), streams{out: &out, err: &errs})
		if status != exitUsage || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%v: exit status %d: %s", c.args, status, errs.String())
		}
		if strings.Contains(errs.String(), "foo@example.com") {
			t.Errorf("%v: it shows the address: %s", c.args, errs.String())
		}
	}
}

func TestStatusQueryNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query statusQuery
		want  string
	}{
		{statusQuery{id: "x"}, "x"},
		{statusQuery{id: "foo@example.com"}, "f***@example.com"},
		{statusQuery{id: strings.Repeat("x", 20_000)}, strings.Repeat("x", 200) + "…"},
		{statusQuery{to: "+8613012345678"}, "a message to +86130****5678"},
		{statusQuery{key: "u1"}, "a message with the key u1"},
	} {
		if got := c.query.name(); got != c.want {
			t.Errorf("%.40s: %s, want %s", fmt.Sprint(c.query), got, c.want)
		}
	}
}
