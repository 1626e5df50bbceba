package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
)

// deadGroup are the dead letters that died of the same.
type deadGroup struct {
	Reason    messages.Reason `json:"reason"`
	Connector string          `json:"connector,omitempty"`
	Code      string          `json:"code,omitempty"`
	Count     int             `json:"count"`
	// Newest is an example, DeadAt when it died.
	Newest string    `json:"newest"`
	DeadAt time.Time `json:"deadAt"`
	Detail string    `json:"detail,omitempty"`
}

// summarize prints the groups, the largest first. It keeps no letter.
func summarize(ctx context.Context, js jetstream.JetStream, s streams, f archive.Filter, asJSON bool) error {
	type key struct {
		reason          messages.Reason
		connector, code string
	}
	groups := make(map[key]*deadGroup)
	if err := archive.Heads(ctx, js, f, func(l archive.Letter) error {
		k := key{l.Reason, l.Connector, l.Code}
		g := groups[k]
		if g == nil {
			g = &deadGroup{Reason: l.Reason, Connector: l.Connector, Code: l.Code}
			groups[k] = g
		}
		g.Count++
		if !l.DeadAt.Before(g.DeadAt) {
			g.Newest, g.DeadAt, g.Detail = l.ID, l.DeadAt, l.Detail
		}
		return nil
	}); err != nil {
		return err
	}
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b *deadGroup) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Code, b.Code))
	})
	if asJSON {
		for _, g := range sorted {
			if err := json.NewEncoder(s.out).Encode(g); err != nil {
				return err
			}
		}
		return nil
	}
	if len(sorted) == 0 {
		_, err := fmt.Fprintln(s.out, "no dead letters")
		return err
	}
	t := newTable(s)
	_, _ = fmt.Fprintln(t, "COUNT\tREASON\tCONNECTOR\tCODE\tNEWEST\tDIED\tDETAIL")
	total := 0
	for _, g := range sorted {
		total += g.Count
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Count, g.Reason, orDash(g.Connector), orDash(g.Code),
			g.Newest, g.DeadAt.Local().Format(localTime), g.Detail)
	}
	_, _ = fmt.Fprintf(t, "%d\tin all\n", total)
	return t.Flush()
}
