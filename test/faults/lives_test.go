package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/tally"
)

// lives collects the metrics and spans of all lives of a run's workers.
type lives struct {
	t     *testing.T
	slots int
	// url is the collector's.
	url string

	mu  sync.Mutex
	all []*watchedLife
}

// watchedLife is a life, and how its metrics are read. lives.mu guards the life.
type watchedLife struct {
	*life
	end context.CancelFunc
	// ended is closed when its readings have ended.
	ended chan struct{}
	// reading is held during a reading, so that they come one after the other.
	reading sync.Mutex
	// metricsURL is empty until they are served.
	metricsURL string
}

// readEvery is the time between two readings of a worker's metrics.
const readEvery = 500 * time.Millisecond

// watchLives makes the run's workers export traces of all messages, and reads their metrics.
// Call it before the run starts.
func watchLives(t *testing.T, r *run) *lives {
	t.Helper()
	w := &lives{t: t, slots: r.plan.Slots}
	w.url = otlptest.Hand(t, w.span)
	r.watch = func(worker int) watcher { return &workerLives{lives: w, worker: worker} }
	return w
}

// span takes a span.
func (w *lives) span(s otlptest.Span) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := strconv.Atoi(s.Resource["service.instance.id"])
	if err != nil || n >= len(w.all) {
		w.t.Errorf("a span is of life %q", s.Resource["service.instance.id"])
		return
	}
	w.all[n].add(s)
}

// workerLives watches the lives of one worker.
type workerLives struct {
	lives  *lives
	worker int
	// number counts them, and current is the one that runs.
	number  int
	current *watchedLife
}

func (o *workerLives) begins() (env []string, seen func(line []byte)) {
	w := o.lives
	w.mu.Lock()
	defer w.mu.Unlock()
	o.number++
	ctx, end := context.WithCancel(context.Background())
	l := &watchedLife{life: newLife(o.worker, o.number, w.slots, time.Now()), end: end, ended: make(chan struct{})}
	o.current = l
	w.all = append(w.all, l)
	served := make(chan string, 1)
	go func() {
		defer close(l.ended)
		w.keepReading(ctx, l, served)
	}()
	env = []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + w.url,
		"OTEL_EXPORTER_OTLP_TIMEOUT=60000",
		"OTEL_TRACES_SAMPLER=always_on",
		"OTEL_BSP_MAX_QUEUE_SIZE=65536", // a dropped span would only show how slow the machine is
		fmt.Sprintf("OTEL_RESOURCE_ATTRIBUTES=service.instance.id=%d", len(w.all)-1),
	}
	return env, func(line []byte) {
		switch {
		case bytes.Contains(line, []byte(metricsReady)):
			var said struct{ HTTP string }
			if err := json.Unmarshal(line, &said); err != nil {
				w.t.Errorf("the line with the address of the metrics: %v", err)
			}
			served <- "http://" + said.HTTP + "/metrics"
		case bytes.Contains(line, []byte(spansMissing)):
			w.mu.Lock()
			defer w.mu.Unlock()
			l.spansLost = true
		}
	}
}

// spansMissing is in the worker's log line about spans that could not be exported.
const spansMissing = "traces may be missing"

func (o *workerLives) ends(clean bool) {
	o.current.end()
	<-o.current.ended
	o.lives.mu.Lock()
	defer o.lives.mu.Unlock()
	switch l := o.current.life; {
	case !clean:
		l.end = killed
	case l.end != lastly:
		l.end = stopped
	}
}

// keepReading reads the metrics of a life until ctx ends.
func (w *lives) keepReading(ctx context.Context, l *watchedLife, served <-chan string) {
	select {
	case url := <-served:
		w.mu.Lock()
		l.metricsURL = url
		w.mu.Unlock()
	case <-ctx.Done():
		return
	}
	for pause(ctx, readEvery) {
		_, _ = w.read(ctx, l) // the worker may just have been killed
	}
}

// read reads the metrics of a life. It returns the number of messages in flight.
func (w *lives) read(ctx context.Context, l *watchedLife) (inFlight float64, err error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	w.mu.Lock()
	url := l.metricsURL
	w.mu.Unlock()
	began := time.Now()
	families, err := scrape(ctx, url)
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l.readAt, l.metrics = began, tally.OfMetrics(families)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "codeferry_in_flight":
				inFlight += m.GetGauge().GetValue()
			case "codeferry_trace_spans_total":
				l.spansLost = l.spansLost || m.GetLabel()[0].GetValue() != "exported" && m.GetCounter().GetValue() > 0
			}
		}
	}
	return inFlight, nil
}

func scrape(ctx context.Context, url string) (families []*dto.MetricFamily, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(answer.Body)
	for _, f := range byName {
		families = append(families, f)
	}
	return families, err
}

// finish reads the metrics of the workers a last time, once nothing is in flight, and stops the
// workers. Call it when every message is settled.
func (w *lives) finish(r *run) {
	w.t.Helper()
	for _, p := range r.workers {
		o, ok := p.watcher.(*workerLives)
		if !ok {
			w.t.Fatal("nobody watches the worker")
		}
		check.Eventually(w.t, fmt.Sprintf("nothing is in flight in %v", o.current.life), func() bool {
			n, err := w.read(w.t.Context(), o.current)
			return err == nil && n == 0
		})
		// The numbers of one reading are not of the same moment: it may have read a counter before
		// the last message had left.
		if _, err := w.read(w.t.Context(), o.current); err != nil {
			w.t.Fatal(err)
		}
		w.mu.Lock()
		o.current.life.end = lastly
		w.mu.Unlock()
	}
	for _, p := range r.workers {
		p.stop(time.Minute)
	}
}

// compare fails the test if the provider, the metrics and the traces contradict each other. It
// returns a table of their numbers. Call it after finish.
func (w *lives) compare(r *run) string {
	w.t.Helper()
	requests := make(map[string][]attempt) // by the recipient
	for _, a := range r.provider.made() {
		requests[a.to] = append(requests[a.to], a)
	}
	var accepts []accept
	for _, m := range r.provider.inbox() {
		all := requests[m.To]
		if len(all) == 0 {
			w.t.Errorf("the provider has accepted more for %s than came in", m.To)
			continue
		}
		accepts = append(accepts, accept{requestID: m.RequestID, worker: all[0].worker, signed: all[0].signed, at: all[0].at})
		requests[m.To] = all[1:]
	}
	for to, all := range requests {
		if len(all) > 0 {
			w.t.Errorf("the provider has not accepted %d requests for %s", len(all), to)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	plain := make([]*life, 0, len(w.all))
	for _, l := range w.all {
		plain = append(plain, l.life)
	}
	contradictions := compare(plain, accepts)
	for _, c := range contradictions[:min(20, len(contradictions))] {
		w.t.Error(c)
	}
	return table(plain)
}
