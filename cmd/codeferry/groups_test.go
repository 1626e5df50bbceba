package main

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/waiting"
)

// TestGroupsAreBounded: whatever the details are, a summary keeps a bounded number of groups,
// and counts everything.
func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	groups := make(map[waitingGroup]*waitingGroup)
	const n = 3 * maxGroups
	for i := range n {
		channel := messages.Channels()[i%2]
		group(groups, waitingGroup{Channel: channel, Detail: strconv.Itoa(i)}, waitingGroup{Channel: channel, Detail: otherDetails}).Count++
	}
	total, rest := 0, 0
	for key, g := range groups {
		total += g.Count
		if key.Detail == otherDetails {
			rest += g.Count
		}
		if g.Channel != key.Channel || g.Detail != key.Detail {
			t.Errorf("the group of %+v is %+v", key, g)
		}
	}
	check.Equal(t, "the groups", len(groups), maxGroups+2)
	check.Equal(t, "the total", total, n)
	check.Equal(t, "the rest", rest, n-maxGroups)
}

// TestPagesOfWhatWaits: the names of the columns come once.
func TestPagesOfWhatWaits(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := (&waitingCmd{}).printer(streams{out: &out})
	for _, page := range [][]waiting.Message{nil, {{ID: "a"}, {ID: "b"}}, {{ID: "c"}}} {
		if err := p.print(page, noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.end(false); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "SINCE") != 1 || strings.Count(out.String(), "\n") != 4 || strings.Contains(out.String(), "newer") {
		t.Errorf("it prints %q", out.String())
	}
}

// TestCommonDetail: what expired for one cause is one group, whenever that was.
func TestCommonDetail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason       messages.Reason
		detail, want string
	}{
		{messages.ReasonExpired, "the code expired at 2026-12-01T07:11:18Z, 3ms before its turn", "the code expired at …, … before its turn"},
		{messages.ReasonExpired, "the code expired at 2026-12-01T07:11:18Z, 1h2m3.5s before its turn; the last attempt: E-1: no", "the code expired at …, … before its turn; the last attempt: E-1: no"},
		{messages.ReasonRejected, "it took 3ms", "it took 3ms"},
	} {
		check.Equal(t, c.detail, commonDetail(&messages.DeadLetter{Reason: c.reason, Detail: c.detail}), c.want)
	}
}
