package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
)

// deadGroup counts the dead letters with the same reason, connector and code.
type deadGroup struct {
	Reason    messages.Reason `json:"reason"`
	Connector string          `json:"connector,omitempty"`
	Code      string          `json:"code,omitempty"`
	Count     int             `json:"count"`
	// Newest is the id of the newest dead letter. DeadAt and Detail are of that one.
	Newest string    `json:"newest"`
	DeadAt time.Time `json:"deadAt"`
	// Detail is that of every one; otherDetails in the group of the rest.
	Detail string `json:"detail,omitempty"`
}

// times are the times in the detail of an expired code.
var times = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d[\dhms.µn]*s\b`)

// commonDetail is the detail by which dead letters are counted. The detail of an expired code has
// times, which differ from one to the next although the cause is the same: it leaves them out.
func commonDetail(d *messages.DeadLetter) string {
	if d.Reason != messages.ReasonExpired {
		return d.Detail
	}
	return times.ReplaceAllString(d.Detail, "…")
}

// summarize prints the groups, the largest first. It keeps no dead letter.
func summarize(ctx context.Context, js jetstream.JetStream, s streams, f archive.Filter, asJSON bool) error {
	groups := make(map[deadGroup]*deadGroup)
	if err := archive.Heads(ctx, js, f, func(l archive.Letter) error {
		key := deadGroup{Reason: l.Reason, Connector: l.Connector, Code: l.Code, Detail: commonDetail(&l.DeadLetter)}
		g := group(groups, key, deadGroup{Detail: otherDetails})
		g.Count++
		if !l.DeadAt.Before(g.DeadAt) {
			g.Newest, g.DeadAt = l.ID, l.DeadAt
		}
		return nil
	}); err != nil {
		return err
	}
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b *deadGroup) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Detail, b.Detail))
	})
	if asJSON {
		for _, g := range sorted {
			if err := newJSON(s.out).Encode(g); err != nil {
				return err
			}
		}
		return nil
	}
	return printDeadGroups(s, sorted)
}

func printDeadGroups(s streams, sorted []*deadGroup) error {
	if len(sorted) == 0 {
		_, err := fmt.Fprintln(s.out, "no dead letters")
		return err
	}
	t := newTable(s)
	_, _ = fmt.Fprintln(t, "COUNT\tREASON\tCONNECTOR\tCODE\tNEWEST\tDIED\tDETAIL")
	total := 0
	for _, stored := range sorted {
		g := shown(*stored)
		total += g.Count
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Count, g.Reason, orDash(g.Connector), orDash(g.Code),
			g.Newest, g.DeadAt.Local().Format(localTime), g.Detail)
	}
	_, _ = fmt.Fprintf(t, "%d\tin all\n", total)
	return t.Flush()
}
