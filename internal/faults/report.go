package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// Report is what came of a plan: the provider's own list of what it accepted,
// held against what the stream had acknowledged.
type Report struct {
	Plan Plan
	// Acked is how many messages the stream had acknowledged; Delivered, Dead and
	// Replaced is what became of them.
	Acked, Delivered, Dead, Replaced int
	// Lost are those of which nothing is left.
	Lost []string
	// Late are those that were accepted, or tried, after they had expired.
	Late []string
	// TwiceSMS and TwiceMail were accepted more than once.
	TwiceSMS, TwiceMail []string
	// Unreported are mails that were accepted twice and never said to be in doubt.
	Unreported []string
	// Overtaken were tried after a newer code for the same subject was accepted.
	Overtaken []string
	// Refused are publishes that were not acknowledged, which is no promise broken.
	Refused []error
	// Injected counts the provider's faults.
	Injected map[string]int
}

// Err says which promise was broken, or nothing.
func (r *Report) Err() error {
	var broken []error
	check := func(what string, ids []string) {
		if len(ids) > 0 {
			broken = append(broken, fmt.Errorf("%d %s: %s", len(ids), what, strings.Join(ids[:min(5, len(ids))], ", ")))
		}
	}
	check("lost", r.Lost)
	check("sent after they had expired", r.Late)
	check("SMS sent twice", r.TwiceSMS)
	check("mails sent twice that nothing tells of", r.Unreported)
	if r.Plan.NATSKills == 0 {
		// A server that is killed may have forgotten that a code was replaced just
		// before, and hand the older one out again as if it were fresh.
		check("sent after a newer code was", r.Overtaken)
	}
	most := (r.Plan.WorkerKills + r.Plan.NATSKills) * r.Plan.Slots
	for _, m := range mischief {
		if m.accept {
			most += r.Injected[m.name] // the provider took it and did not say so
		}
	}
	if len(r.TwiceMail) > most {
		broken = append(broken, fmt.Errorf("%d mails sent twice, more than kills × slots and answers that were lost (%d)", len(r.TwiceMail), most))
	}
	return errors.Join(broken...)
}

// String is the report in some lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Plan)
	fmt.Fprintf(&b, "acknowledged %d: delivered %d, dead %d, replaced by a newer code %d, lost %d\n", r.Acked, r.Delivered, r.Dead, r.Replaced, len(r.Lost))
	fmt.Fprintf(&b, "late %d, SMS twice %d, mail twice %d (unreported %d), overtaken %d\n", len(r.Late), len(r.TwiceSMS), len(r.TwiceMail), len(r.Unreported), len(r.Overtaken))
	if n := len(r.Refused); n > 0 {
		fmt.Fprintf(&b, "not acknowledged %d, such as %v\n", n, r.Refused[0])
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(r.Injected)) {
		total += r.Injected[name]
		fmt.Fprintf(&b, "  %-20s %d\n", name, r.Injected[name])
	}
	fmt.Fprintf(&b, "  %-20s %d", "provider faults", total)
	return b.String()
}

func (r *run) report(ctx context.Context) (*Report, error) {
	dead, doubted, err := r.stories(ctx)
	if err != nil {
		return nil, err
	}
	accepted := make(map[string][]time.Time)
	for _, m := range r.provider.box.Inbox("") {
		key := m.OutID
		if key == "" {
			key = m.To
		}
		accepted[key] = append(accepted[key], m.At)
	}
	rep := &Report{Plan: r.plan, Acked: len(r.acked), Injected: r.provider.injected, Refused: r.refused}
	bySubject := make(map[string][]sent)
	byOracle := make(map[string]sent)
	for _, s := range r.acked {
		bySubject[s.subject] = append(bySubject[s.subject], s)
		byOracle[s.oracle] = s
	}
	for _, s := range r.acked {
		n := len(accepted[s.oracle])
		newer := slices.ContainsFunc(bySubject[s.subject], func(o sent) bool { return o.sequence > s.sequence })
		switch {
		case n > 0:
			rep.Delivered++
		case dead[s.id]:
			rep.Dead++
		case newer:
			rep.Replaced++
		default:
			rep.Lost = append(rep.Lost, s.id)
		}
		if n > 1 && s.channel == messages.SMS {
			rep.TwiceSMS = append(rep.TwiceSMS, s.id)
		}
		if n > 1 && s.channel == messages.Email {
			rep.TwiceMail = append(rep.TwiceMail, s.id)
			if !doubted[s.id] {
				rep.Unreported = append(rep.Unreported, s.id)
			}
		}
	}
	for _, a := range r.provider.attempts {
		s, ok := byOracle[a.id]
		if !ok {
			continue
		}
		if !s.expires.IsZero() && !a.at.Before(s.expires.Add(clockSlack)) {
			rep.Late = append(rep.Late, s.id)
		}
		for _, o := range bySubject[s.subject] {
			if o.sequence > s.sequence && slices.ContainsFunc(accepted[o.oracle], func(t time.Time) bool { return t.Add(clockSlack).Before(a.at) }) {
				rep.Overtaken = append(rep.Overtaken, s.id)
				break
			}
		}
	}
	return rep, nil
}

// clockSlack is how long a request may be on its way between the last look at
// the clock and the provider's, on a machine that is busy killing.
const clockSlack = 250 * time.Millisecond

// stories reads which messages are dead, and which were once in doubt.
func (r *run) stories(ctx context.Context) (dead, doubted map[string]bool, err error) {
	dead, doubted = make(map[string]bool), make(map[string]bool)
	err = r.each(ctx, messages.DeadName, func(data []byte) error {
		var d messages.DeadLetter
		err := json.Unmarshal(data, &d)
		dead[d.ID] = true
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	err = r.each(ctx, messages.OutcomesName, func(data []byte) error {
		var o messages.Outcome
		err := json.Unmarshal(data, &o)
		if o.Status == messages.StatusUnknown {
			doubted[o.ID] = true
		}
		return err
	})
	return dead, doubted, err
}

// each reads every message of a stream.
func (r *run) each(ctx context.Context, stream string, f func([]byte) error) error {
	return within(ctx, time.Minute, "read "+stream, func(ctx context.Context) error {
		c, err := r.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		info, err := c.Info(ctx)
		if err != nil || info.NumPending == 0 {
			return err
		}
		all, err := c.Messages()
		if err != nil {
			return err
		}
		defer all.Stop()
		for {
			msg, err := all.Next(jetstream.NextContext(ctx))
			if err != nil {
				return err
			}
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			if err := f(msg.Data()); err != nil {
				return err
			}
			if meta.NumPending == 0 {
				return nil
			}
		}
	})
}
