package scale

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// cpu returns the processor time that a process has used, or 0 if the system does not say. 0 is
// this process.
func cpu(pid int) time.Duration {
	name := "self"
	if pid > 0 {
		name = strconv.Itoa(pid)
	}
	b, err := os.ReadFile("/proc/" + name + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	const user, system, tick = 11, 12, 10 * time.Millisecond
	var all time.Duration
	for _, i := range []int{user, system} {
		n, _ := strconv.Atoi(fields[i]) // a number, according to proc(5)
		all += time.Duration(n) * tick
	}
	return all
}

// usage is what the servers and the workers have used.
type usage struct {
	at              time.Time
	servers, leader time.Duration
	workers         time.Duration
	served          served
}

func (f *fleet) usage(leader int) usage {
	u := usage{at: time.Now(), workers: cpu(0), leader: cpu(f.nodes[leader].pid), served: f.served(f.t)}
	for _, n := range f.nodes {
		u.servers += cpu(n.pid)
	}
	return u
}

// during measures what is used while f runs. CPU is in percent of one core.
func (f *fleet) during(do func()) (text string) {
	leader := f.leader(f.t)
	before := f.usage(leader)
	do()
	after := f.usage(leader)
	took := after.at.Sub(before.at)
	percent := func(d time.Duration) string { return fmt.Sprintf("%.0f%%", 100*d.Seconds()/took.Seconds()) }
	return fmt.Sprintf("CPU of the servers %s, of the leader %s, of the workers %s; servers: %.0f messages/s in, %.0f out, %.2f MB/s out",
		percent(after.servers-before.servers), percent(after.leader-before.leader), percent(after.workers-before.workers),
		float64(after.served.InMsgs-before.served.InMsgs)/took.Seconds(), float64(after.served.OutMsgs-before.served.OutMsgs)/took.Seconds(),
		float64(after.served.OutBytes-before.served.OutBytes)/took.Seconds()/1e6)
}

// size says what the workers take: goroutines and memory, connections and subscriptions.
func (f *fleet) size() string {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := f.served(f.t)
	return fmt.Sprintf("%d goroutines, %.1f MiB of heap and stacks; servers: %d connections, %d subscriptions, %.0f MiB",
		runtime.NumGoroutine(), float64(m.HeapAlloc+m.StackInuse)/(1<<20), s.Connections, s.Subscriptions, float64(s.Memory)/(1<<20))
}

// requests counts what workers ask the servers, by the kind of request, and what the servers
// say about pull requests, while do runs. The count itself costs the servers CPU.
func (f *fleet) requests(do func()) string {
	f.t.Helper()
	nc := f.connect(f.t, f.leader(f.t))
	defer nc.Close()
	counts := make(map[string]int)
	var mu sync.Mutex
	listen := func(subject string, kind func(*nats.Msg) string) {
		sub, err := nc.Subscribe(subject, func(m *nats.Msg) {
			if k := kind(m); k != "" {
				mu.Lock()
				defer mu.Unlock()
				counts[k]++
			}
		})
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	listen("$JS.API.>", func(m *nats.Msg) string {
		tokens := strings.Split(m.Subject, ".")
		n := min(4, len(tokens))
		if strings.HasPrefix(m.Subject, "$JS.API.CONSUMER.MSG.NEXT") || strings.HasPrefix(m.Subject, "$JS.API.STREAM.MSG") {
			n = 5
		}
		if strings.HasPrefix(m.Subject, "$JS.API.DIRECT") {
			n = 4
		}
		return strings.Join(tokens[2:n], ".")
	})
	listen("$JS.ACK.>", func(*nats.Msg) string { return "ack" })
	listen("_INBOX.>", func(m *nats.Msg) string {
		if s := m.Header.Get("Status"); s != "" {
			return "answer " + s + " " + m.Header.Get("Description")
		}
		return ""
	})
	if err := nc.Flush(); err != nil {
		f.t.Fatal(err)
	}
	began := time.Now()
	do()
	took := time.Since(began).Seconds()
	mu.Lock()
	defer mu.Unlock()
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %.1f/s", k, float64(counts[k])/took))
	}
	return strings.Join(parts, ", ")
}

// waiting returns the most pull requests that the consumer held while do ran.
func (f *fleet) waiting(do func()) int {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do()
	}()
	most := 0
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return most
		case <-tick.C:
			if info, err := f.consumer(f.t.Context()); err == nil {
				most = max(most, info.NumWaiting)
			}
		}
	}
}

// quantiles describes durations.
func quantiles(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[min(len(d)-1, int(q*float64(len(d))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, longest %v", at(0.5), at(0.99), at(1))
}

// pause waits for a time in which something is measured.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
