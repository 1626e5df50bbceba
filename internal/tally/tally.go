// Package tally counts what the metrics and the traces of a worker say about the same things,
// so that tests can compare them.
package tally

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/messages"
)

// Tally has the number of each thing that a worker both counts in its metrics and exports as a
// span. What did not happen is not in it.
type Tally map[string]int

// Attempt is the key of the attempts at a connector with a class: ok, or the error's.
func Attempt(connector, class string) string { return key("attempt", connector, class) }

// Outcome is the key of the outcomes of a kind. A reason that there is none of is empty.
func Outcome(channel, outcome, reason, connector string) string {
	return key("outcome", channel, outcome, reason, connector)
}

// The keys of what is counted a second time: each of these histograms observes one time for each
// attempt, or for each outcome sent.
func answer(connector string) string { return key("provider time", connector) }
func delivery(channel string) string { return key("delivery time", channel) }

// wait is the key of the messages that a slot took for the first time.
const wait = "wait"

func key(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// OfMetrics counts in a worker's metrics.
func OfMetrics(families []*dto.MetricFamily) Tally {
	t := make(Tally)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			count, times := int(m.GetCounter().GetValue()), int(m.GetHistogram().GetSampleCount()) //nolint:gosec // small numbers
			switch f.GetName() {
			case "codeferry_attempts_total":
				t.add(Attempt(labels["connector"], labels["class"]), count)
			case "codeferry_messages_total":
				t.add(Outcome(labels["channel"], labels["outcome"], labels["reason"], labels["connector"]), count)
			case "codeferry_provider_seconds":
				t.add(answer(labels["connector"]), times)
			case "codeferry_delivery_seconds":
				t.add(delivery(labels["channel"]), times)
			case "codeferry_queue_seconds":
				t.add(wait, times)
			}
		}
	}
	return t
}

// AddSpan counts a span.
func (t Tally) AddSpan(s otlptest.Span) {
	kind, _, _ := strings.Cut(s.Name, " ")
	get := func(name string) string { return s.Attributes["codeferry."+name] }
	switch kind {
	case "wait":
		t.add(wait, 1)
	case "send":
		t.add(Attempt(get("connector"), get("class")), 1)
		t.add(answer(get("connector")), 1)
	case "process":
		outcome := get("outcome")
		if outcome == "" {
			return
		}
		t.add(Outcome(get("channel"), outcome, get("reason"), get("connector")), 1)
		if outcome == string(messages.StatusSent) {
			t.add(delivery(get("channel")), 1)
		}
	}
}

// Add adds another tally.
func (t Tally) Add(other Tally) {
	for k, n := range other {
		t.add(k, n)
	}
}

func (t Tally) add(key string, n int) {
	if n != 0 {
		t[key] += n
	}
}

// Sum is the number of all things whose keys begin with some words.
func (t Tally) Sum(words ...string) (n int) {
	begin := key(words...) + " "
	for k, count := range t {
		if strings.HasPrefix(k+" ", begin) {
			n += count
		}
	}
	return n
}

// Differences names each thing of which the metrics and the traces have different numbers.
func Differences(metrics, traces Tally) (all []string) {
	keys := maps.Clone(metrics)
	maps.Copy(keys, traces)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if metrics[k] != traces[k] {
			all = append(all, fmt.Sprintf("%s: %d in the metrics, %d in the traces", k, metrics[k], traces[k]))
		}
	}
	return all
}
