package faults

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/relay"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func long() bool { return flag.Lookup("faults.long").Value.String() == "true" }

// showLog logs the end of a run's log if the test fails. Call it before the cleanup that ends
// the run, so that it shows everything that the processes write.
func showLog(t *testing.T, log *syncbuf.Buffer) {
	t.Cleanup(func() {
		if t.Failed() {
			text := log.String()
			t.Log(text[max(0, len(text)-8000):])
		}
	})
}

// scenario starts workers over one nats-server.
func scenario(t *testing.T, workers int, tune ...string) *run {
	t.Helper()
	return scenarioOf(t, Plan{Broker: R1, Workers: workers}, tune...)
}

// scenarioOf starts the workers and servers of a plan.
func scenarioOf(t *testing.T, p Plan, tune ...string) *run {
	t.Helper()
	r := prepared(t, p)
	r.tune = strings.NewReplacer(tune...)
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// prepared makes a run of a plan, which ends with the test.
func prepared(t *testing.T, p Plan) *run {
	t.Helper()
	var log syncbuf.Buffer
	p.Seed, p.Slots, p.Messages = 1, 16, max(p.Messages, 1000)
	r := newRun(p, t.TempDir(), &log)
	showLog(t, &log)
	t.Cleanup(r.end)
	return r
}

// watched starts the workers and servers of a plan, and watches what the workers say.
func watched(t *testing.T, p Plan) (*run, *lives) {
	t.Helper()
	r := prepared(t, p)
	w := watchLives(t, r)
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// outcomes collects every outcome from now on. An outcome arrives some time after it was
// published, so wait for the number with arrived.
func (r *run) outcomes(t *testing.T) func() []messages.Outcome {
	t.Helper()
	var mu sync.Mutex
	var all []messages.Outcome
	if _, err := r.nc.Subscribe(wire.OutcomeSubject("*", "*", "*"), func(m *nats.Msg) {
		var o messages.Outcome
		if err := json.Unmarshal(m.Data, &o); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, o)
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() []messages.Outcome {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// arrived waits until n outcomes are collected.
func arrived(t *testing.T, outcomes func() []messages.Outcome, n int) {
	t.Helper()
	if err := within(t.Context(), 10*time.Second, "collect the outcomes", func(context.Context) error {
		if got := len(outcomes()); got < n {
			return fmt.Errorf("%d of %d arrived", got, n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// flow publishes n codes of a channel at a rate, and waits until the stream has stored them.
func (r *run) flow(ctx context.Context, t *testing.T, c messages.Channel, n, rate int) {
	t.Helper()
	p, err := messages.NewPublisher(r.nc, messages.PublisherOptions{Timeout: time.Minute})
	if err != nil {
		t.Error(err)
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var storing sync.WaitGroup
	defer storing.Wait()
	for i := range n {
		<-tick.C
		to := fmt.Sprintf("13%09d", i)
		if c == messages.Email {
			to = fmt.Sprintf("u%d@example.com", i)
		}
		s := messages.Subject{Channel: c, Key: fmt.Sprintf("k%d", i)}
		m := &messages.SendCode{ID: fmt.Sprintf("%s-%d", c, i), To: to, Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}}
		pending, err := p.PublishAsync(s, m)
		storing.Go(func() {
			if err == nil {
				_, err = pending.Wait(ctx)
			} else if errors.Is(err, messages.ErrNotConnected) {
				_, err = p.Publish(ctx, s, m)
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
}

func (r *run) drained(t *testing.T, d time.Duration) {
	t.Helper()
	if err := r.settle(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// TestRollingRestart stops three workers, one after the other, while codes come in: no code is
// in doubt or sent twice. In a long run, the flow never stops for long.
func TestRollingRestart(t *testing.T) {
	if !long() {
		t.Parallel()
	}
	r := scenario(t, 3)
	outcomes := r.outcomes(t)
	seconds := 8
	if long() {
		seconds = 60
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.flow(t.Context(), t, messages.SMS, 100*seconds, 100) })
	for i := range 3 {
		part := (i + 1) * 100 * seconds / 5
		if err := within(t.Context(), time.Minute, "send the next part", func(context.Context) error {
			if n := len(outcomes()); n < part {
				return fmt.Errorf("%d of %d sent", n, part)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		r.workers[i].stop(time.Minute)
		if err := r.workers[i].start(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	r.drained(t, time.Minute)
	arrived(t, outcomes, 100*seconds)
	var sent []time.Time
	for _, o := range outcomes() {
		if o.Status != messages.StatusSent {
			t.Errorf("an outcome is %+v, want sent", o)
		}
		sent = append(sent, o.At)
	}
	if got := r.provider.box.Requests()["SendSms"]; got != 100*seconds || len(sent) != 100*seconds {
		t.Errorf("%d requests and %d outcomes for %d codes", got, len(sent), 100*seconds)
	}
	if got := r.provider.box.Requests()["QuerySendDetails"]; got > 0 {
		t.Errorf("%d doubts", got)
	}
	gap, _ := longestGap(sent)
	t.Logf("%d codes over a rolling restart of three workers; the longest gap was %v", len(sent), gap)
	if long() && gap > time.Second { // only a long run compares times
		t.Errorf("the flow stopped for %v", gap)
	}
}

// longestGap returns the longest time between two of some times, and when it began.
func longestGap(all []time.Time) (gap time.Duration, from time.Time) {
	slices.SortFunc(all, time.Time.Compare)
	for i := 1; i < len(all); i++ {
		if d := all[i].Sub(all[i-1]); d > gap {
			gap, from = d, all[i-1]
		}
	}
	return gap, from
}

// TestFleet has three NATS nodes and three workers. While 500 codes a second come in, each
// worker and each node is killed, all of them are rolled, and one node is cut off from the
// others. No code is lost or sent twice, and the metrics and the traces say the same as the
// provider. It logs the longest time in which nothing was sent.
func TestFleet(t *testing.T) {
	if !long() {
		t.Skip("it takes three minutes; CI runs it with -faults.long, and TestCluster of test/deploy is a smaller one")
	}
	const rate, between = 500, 3 * time.Second
	const n = rate * 150 // for longer than the steps take
	r, lives := watched(t, Plan{Broker: R3, Workers: 3, Messages: n, Times: Times{NodeCut: 1}})
	outcomes := r.outcomes(t)
	began := time.Now()
	steps := fleetSteps(r)
	var publishing sync.WaitGroup
	publishing.Go(func() { r.flow(t.Context(), t, messages.SMS, n, rate) })
	pausing := func(d time.Duration) {
		if !pause(t.Context(), d) {
			t.FailNow()
		}
	}
	var parts []time.Time // when each step began
	for _, s := range steps {
		pausing(between)
		r.whole(t)
		parts = append(parts, time.Now())
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		pausing(s.lasts)
		if err := s.undo(); err != nil {
			t.Fatal(err)
		}
	}
	publishing.Wait()
	r.drained(t, 2*time.Minute)
	lives.finish(r)

	sms := make(map[string]int)
	var sent []time.Time
	for _, m := range r.provider.inbox() {
		sms[m.To]++
		sent = append(sent, m.At)
	}
	twice := 0
	for _, times := range sms {
		if times > 1 {
			twice++
		}
	}
	dead := 0
	for _, o := range outcomes() {
		if o.Status == messages.StatusDead {
			dead++
			t.Logf("a dead letter: %+v", o)
		}
	}
	gap, _ := longestGap(sent)
	var said strings.Builder
	for i, s := range steps {
		during := slices.DeleteFunc(slices.Clone(sent), func(at time.Time) bool {
			return at.Before(parts[i]) || i+1 < len(parts) && at.After(parts[i+1])
		})
		// Also the time before the first code counts, and that after the last one: there may be none.
		during = append(during, parts[i])
		if i+1 < len(parts) {
			during = append(during, parts[i+1])
		}
		longest, from := longestGap(during)
		fmt.Fprintf(&said, "\n%6.1fs %s: longest gap %v, from %.1fs on", parts[i].Sub(began).Seconds(), s.what, longest.Round(time.Millisecond), from.Sub(began).Seconds())
	}
	t.Logf("%d codes stored, %d sent, %d dead letters, %d sent twice; the longest gap was %v%s", n, len(sms), dead, twice, gap.Round(time.Millisecond), &said)
	t.Logf("what the three say:\n%s", lives.compare(r))
	if len(sms)+dead != n {
		t.Errorf("%d codes were sent and %d became dead letters, of %d", len(sms), dead, n)
	}
	if twice > 0 {
		t.Errorf("%d codes were sent twice", twice)
	}
	if gap >= nodeCut {
		t.Errorf("nothing was sent for %v, as long as a node was cut off", gap)
	}
}

// whole waits until all nodes of the cluster have all of the streams, as a person does who
// restarts one after the other.
func (r *run) whole(t *testing.T) {
	t.Helper()
	if err := within(t.Context(), 2*time.Minute, "have all of the streams on all nodes", func(ctx context.Context) error {
		for _, cfg := range wire.StreamConfigs(wire.StreamOptions{}) {
			s, err := r.js.Stream(ctx, cfg.Name)
			if err != nil {
				return err
			}
			c := s.CachedInfo().Cluster
			for _, peer := range c.Replicas {
				if peer.Offline || !peer.Current {
					return fmt.Errorf("%s on %s is not current", cfg.Name, peer.Name)
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// fleetStep is something that happens to a fleet, and its end after a time.
type fleetStep struct {
	what     string
	do, undo func() error
	lasts    time.Duration
}

func fleetSteps(r *run) (steps []fleetStep) {
	const stopGrace = time.Minute
	kill := func(p *process) func() error {
		return func() error {
			if !p.kill() {
				return fmt.Errorf("the %s does not run", p.role)
			}
			return nil
		}
	}
	stop := func(p *process) func() error { return func() error { p.stop(stopGrace); return nil } }
	for i, w := range r.workers {
		steps = append(steps, fleetStep{fmt.Sprintf("worker %d killed", i), kill(w), w.start, time.Second})
	}
	for i, s := range r.nats.servers {
		steps = append(steps, fleetStep{fmt.Sprintf("NATS node %d killed", i), kill(s), s.start, time.Second})
	}
	for i, w := range r.workers {
		steps = append(steps, fleetStep{fmt.Sprintf("worker %d restarted", i), stop(w), w.start, time.Second})
	}
	for i, s := range r.nats.servers {
		steps = append(steps, fleetStep{fmt.Sprintf("NATS node %d restarted", i), stop(s), s.start, 0})
	}
	routes := func(s relay.State) func() error {
		return func() error { r.nats.setRoutes(0, s); return nil }
	}
	return append(steps, fleetStep{"NATS node 0 cut off", routes(relay.Held), routes(relay.Open), nodeCut})
}

// TestOneChannelsTroubleIsItsOwn lets a fifth of the SMS hang until the time-out, and measures
// how long mails take.
func TestOneChannelsTroubleIsItsOwn(t *testing.T) {
	if !long() { // only a long run compares times
		t.Parallel()
	}
	n, rate, hang := 400, 100, "1s"
	if long() {
		n, rate, hang = 3000, 100, "10s"
	}
	p99 := func(trouble bool) time.Duration {
		r := scenario(t, 1, "timeout: 1s", "timeout: "+hang)
		if trouble {
			r.provider.hangs = 5
		}
		outcomes := r.outcomes(t)
		var wg sync.WaitGroup
		wg.Go(func() { r.flow(t.Context(), t, messages.SMS, n/4, rate/4) })
		wg.Go(func() { r.flow(t.Context(), t, messages.Email, n, rate) })
		wg.Wait()
		var took []time.Duration
		if err := within(t.Context(), time.Minute, "send every mail", func(context.Context) error {
			took = nil
			for _, o := range outcomes() {
				if o.Channel == messages.Email && o.Status == messages.StatusSent {
					took = append(took, o.At.Sub(o.StoredAt))
				}
			}
			if len(took) < n {
				return fmt.Errorf("%d of %d sent", len(took), n)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	without, with := p99(false), p99(true)
	t.Logf("p99 of mails: %v, and %v while a fifth of the SMS time out (%.2f times)", without, with, float64(with)/float64(without))
	limit := max(500*time.Millisecond, 2*without) // half a hang: a mail behind one would wait at least that long
	if long() {
		limit = 2*without + 20*time.Millisecond
	}
	if with > limit {
		t.Errorf("the mails' p99 went from %v to %v", without, with)
	}
}

// TestOverload publishes twice as much as can go out.
func TestOverload(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("it takes five minutes; CI runs it with -faults.long, and package worker has a smaller test")
	}
	const capacity, length = 50, 5 * time.Minute
	r := scenario(t, 1, "askGrace: 500ms", "askGrace: 500ms\n    rateLimit: 50")
	outcomes := r.outcomes(t)
	n := int(2 * capacity * length.Seconds())
	r.flow(t.Context(), t, messages.SMS, n, 2*capacity)
	good := 0
	for _, o := range outcomes() {
		if o.Status == messages.StatusSent && o.At.Sub(o.StoredAt) <= time.Minute {
			good++
		}
	}
	t.Logf("%d of %d codes (%.1f%%) arrived within a minute at twice the capacity", good, n, 100*float64(good)/float64(n))
	if float64(good) < 0.45*float64(n) {
		t.Errorf("only %d of %d", good, n)
	}
}

// TestTheAccountIsOut makes a thousand codes wait while the account is out of money.
func TestTheAccountIsOut(t *testing.T) {
	t.Parallel()
	length := 6 * time.Second
	tune := []string{}
	if long() {
		length = 2 * time.Minute
		tune = []string{"accountPause: 500ms", "accountPause: 20s", "healthPause: 500ms", "healthPause: 5s"}
	}
	r := scenario(t, 1, tune...)
	outcomes := r.outcomes(t)
	if err := r.provider.box.SetFaults([]fakealiyun.Fault{{Action: "SendSms", Code: "isv.AMOUNT_NOT_ENOUGH"}}); err != nil {
		t.Fatal(err)
	}
	const n = 1000
	back := time.After(length)
	r.flow(t.Context(), t, messages.SMS, n, 1000)
	<-back
	meanwhile := r.provider.box.Requests()["SendSms"]
	if err := r.provider.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	r.drained(t, 2*time.Minute)
	arrived(t, func() []messages.Outcome {
		return slices.DeleteFunc(outcomes(), func(o messages.Outcome) bool { return o.Status != messages.StatusSent })
	}, n)
	sent := 0
	for _, o := range outcomes() {
		if o.Status == messages.StatusSent {
			sent++
		}
		if o.Status == messages.StatusDead {
			t.Errorf("a code became a dead letter: %+v", o)
		}
	}
	t.Logf("%d requests in %v without money; %d of %d codes were sent afterwards", meanwhile, length, sent, n)
	if sent != n {
		t.Errorf("%d of %d sent", sent, n)
	}
	if meanwhile > 5+int(length/(500*time.Millisecond))+4 {
		t.Errorf("%d requests reached the provider", meanwhile)
	}
}
