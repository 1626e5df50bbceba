package endtoend_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/codeferry/codeferry/messages"
)

// TestFailover: while the first connector of a route is down, the second one
// delivers at once; and the first one again when it is back.
func TestFailover(t *testing.T) {
	s := system{routes: make(map[string][]string), sides: make(map[string]*side), worker: "healthPause: 100ms"}
	pairs := [][2]string{
		{"smtp", "sendgrid"},
		{"sendgrid", "aws-ses"},
		{"aws-ses", "aliyun-dm"},
		{"aliyun-dm", "smtp"},
		{"aliyun-sms-mas", "aliyun-sms"},
	}
	for _, pair := range pairs {
		app := pair[0] + "-" + pair[1]
		first, second := app+"-first", app+"-second"
		s.sides[first], s.sides[second] = newSide(t, pair[0]), newSide(t, pair[1]).up(t)
		s.routes[app] = []string{first, second}
	}
	r := run(t, s)
	for _, pair := range pairs {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			app := pair[0] + "-" + pair[1]
			f := failover{r: r, app: app, first: s.sides[app+"-first"], second: s.sides[app+"-second"]}
			f.test(t)
		})
	}
}

type failover struct {
	r             *rig
	app           string
	first, second *side
	sent          []string
}

// send publishes a message.
func (f *failover) send(t *testing.T) (id string) {
	t.Helper()
	id = fmt.Sprintf("%s-%d", f.app, len(f.sent))
	f.sent = append(f.sent, id)
	f.r.send(t, f.app, f.first.channel(), signIn(id, recipient(f.first.channel())))
	return id
}

// delivered waits for a message, whose first outcome must be its last one: no
// retry stands between the connectors.
func (f *failover) delivered(t *testing.T, id string) messages.Outcome {
	t.Helper()
	o := f.r.first(t, id)
	if o.Status != messages.StatusSent {
		t.Fatalf("%+v\n%s", o, f.r.log.String())
	}
	return o
}

func (f *failover) test(t *testing.T) {
	first, second := f.app+"-first", f.app+"-second"

	// One message alone: both are asked, the second one delivers.
	o := f.delivered(t, f.send(t))
	if o.Connector != second || o.Attempt != 2 {
		t.Fatalf("%+v", o)
	}
	t.Logf("sent %v after it was stored", o.At.Sub(o.StoredAt))

	// Many: the first one is closed off.
	for !f.r.closedOff(t, first) {
		var batch []string
		for range 10 {
			batch = append(batch, f.send(t))
		}
		for _, id := range batch {
			if o := f.delivered(t, id); o.Connector != second {
				t.Fatalf("%+v", o)
			}
		}
	}

	// It is back: after its pause it serves, alone and for good.
	f.first.up(t)
	for o.Connector != first {
		o = f.delivered(t, f.send(t))
	}
	for range 5 {
		if o := f.delivered(t, f.send(t)); o.Connector != first || o.Attempt != 1 {
			t.Errorf("%+v", o)
		}
	}
	if f.r.closedOff(t, first) {
		t.Error("the first one is still closed off")
	}

	// Everything arrived, once. A provider that knows no ids has the numbers.
	var ids []string
	arrived := slices.Concat(f.first.arrivals(), f.second.arrivals())
	for _, a := range arrived {
		if a.ID != "" {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(slices.Clone(ids))); n != len(ids) || len(arrived) != len(f.sent) {
		t.Errorf("%d sent, %d arrived: %q", len(f.sent), len(arrived), ids)
	}
}
