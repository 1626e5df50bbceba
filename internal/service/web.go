package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log" //nolint:depguard // http.Server needs it
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/worker"
)

// web serves health to everyone, and metrics to clients that the configuration allows.
type web struct {
	server *http.Server
	// tls is nil for plain HTTP.
	tls   *tls.Config
	log   zerolog.Logger
	ended chan struct{}
	// worker returns the worker's state; nil before there is a worker.
	worker atomic.Pointer[workerState]
	// conditions are all other states to report.
	conditions *Conditions
	// guarded is the handler behind the guard, profiled is the same with profiles, and guard
	// is the current guard.
	guarded, profiled http.Handler
	guard             atomic.Pointer[guard]
}

const (
	headerTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = time.Minute
	// stopTimeout limits the wait for running requests at the end.
	stopTimeout = 2 * time.Second
	maxHeader   = 16 << 10
	maxBody     = 64 << 10
)

// newWeb refuses a configuration that would expose metrics, and invalid TLS files.
func newWeb(c *config.Config, registry *prometheus.Registry, log zerolog.Logger) (*web, error) {
	warnings, err := CheckHTTP(c, time.Now())
	if err != nil {
		return nil, err
	}
	for _, text := range warnings {
		log.Warn().Msg(text)
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w := &web{log: log, ended: make(chan struct{}), conditions: NewConditions(nil)}
	registry.MustRegister(newChannelBlocked(w.blocked))
	serviceReady(registry, w.ready)
	// Handlers that are not for everyone go behind the guard.
	guarded := http.NewServeMux()
	guarded.HandleFunc("GET /{$}", index)
	guarded.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	all := http.NewServeMux()
	all.HandleFunc("GET /livez", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, http.StatusOK, "ok") })
	all.HandleFunc("GET /readyz", w.readyz)
	all.HandleFunc("GET /healthz", w.healthz)
	w.guarded, w.profiled = guarded, withProfiles(guarded)
	w.admit(c.HTTP)
	all.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) { w.guard.Load().ServeHTTP(rw, r) })
	w.server = &http.Server{
		Handler:           small(all),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerTimeout, // also for TLS handshakes
		ReadTimeout:       answerTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          stdlog.New(serverLog{log}, "", 0),
	}
	w.server.Protocols.SetHTTP1(true)
	if c.HTTP.TLS != (config.TLS{}) {
		files, err := openCertificates(c.HTTP.TLS, log)
		if err != nil {
			return nil, err
		}
		w.tls = files.config()
		certificateExpiry(registry, func() time.Time { return files.now().Certificates[0].Leaf.NotAfter })
	}
	return w, nil
}

// admit replaces the guard by one for h.
func (w *web) admit(h config.HTTP) {
	next := w.guarded
	if h.PProf {
		next = w.profiled
	}
	w.guard.Store(newGuard(h, next))
}

// serverLog passes on net/http's log lines: mostly failed handshakes, which anyone can cause.
type serverLog struct{ log zerolog.Logger }

func (l serverLog) Write(text []byte) (int, error) {
	l.log.Debug().Str("from", "http").Msg(strings.TrimSpace(string(text)))
	return len(text), nil
}

// workerState is what a worker says about itself.
type workerState struct {
	// ready returns what it waits for.
	ready func() error
	// blocked lists the channels whose codes wait for a provider. known is false before the
	// worker has begun.
	blocked func() (all []worker.BlockedChannel, known bool)
	// outcomesLost returns why outcomes could not be stored.
	outcomesLost func() string
}

// setWorker gives the worker's state.
func (w *web) setWorker(s workerState) { w.worker.Store(&s) }

// blocked lists the channels whose codes wait for a provider. known is false before the worker
// has begun, and while it is not connected to NATS: nobody can know then.
func (w *web) blocked() (all []worker.BlockedChannel, known bool) {
	state := w.worker.Load()
	if state == nil || w.conditions.holds(conditionNATS) {
		return nil, false
	}
	return state.blocked()
}

// ready reports whether /readyz answers 200.
func (w *web) ready() bool {
	reasons, _, _ := w.state()
	return len(reasons) == 0
}

// state returns why codes are not taken, why those that are taken are not sent, and what
// is only to be known.
func (w *web) state() (reasons, blocked, notes []string) {
	reasons, notes = w.conditions.texts()
	state := w.worker.Load()
	if state == nil {
		return append([]string{"waiting for NATS"}, reasons...), nil, notes
	}
	if err := state.ready(); err != nil {
		reasons = append([]string{err.Error()}, reasons...)
	}
	all, _ := state.blocked()
	for _, b := range all {
		blocked = append(blocked, fmt.Sprintf("channel %s: the circuit breaker of every connector (%s) is open or half-open: codes wait until a provider serves again; the log has the provider's answer, and codeferry check tries each connector", b.Channel, strings.Join(b.Connectors, ", ")))
	}
	if why := state.outcomesLost(); why != "" {
		notes = append(notes, "outcomes: they can't be stored, and codes are still sent: "+why)
	}
	return reasons, blocked, notes
}

// readyz says whether codes are taken, and if not, what is waited for: a line for each
// reason. What stops no code, or stops it for every worker alike, is in lines after ok:
// it is no reason to take this worker out of service.
func (w *web) readyz(rw http.ResponseWriter, _ *http.Request) {
	reasons, blocked, notes := w.state()
	report(rw, reasons, append(blocked, notes...))
}

// healthz says whether codes are sent. Unlike readyz, it also fails if no connector of a
// channel works: a person has to know.
func (w *web) healthz(rw http.ResponseWriter, _ *http.Request) {
	reasons, blocked, notes := w.state()
	report(rw, append(reasons, blocked...), notes)
}

func report(rw http.ResponseWriter, reasons, notes []string) {
	status := http.StatusServiceUnavailable
	if len(reasons) == 0 {
		status, reasons = http.StatusOK, []string{"ok"}
	}
	answer(rw, status, strings.Join(append(reasons, notes...), "\n"))
}

// index says what there is.
func index(rw http.ResponseWriter, _ *http.Request) {
	answer(rw, http.StatusOK, `codeferry
/livez    200 while the process runs
/readyz   200 while codes are taken
/healthz  200 while codes are taken and a provider serves each channel
/metrics  for Prometheus`)
}

func answer(rw http.ResponseWriter, status int, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.WriteHeader(status)
	_, _ = fmt.Fprintln(rw, text)
}

func (w *web) start(l net.Listener) {
	if w.tls != nil {
		l = tls.NewListener(l, w.tls)
	}
	go func() {
		defer close(w.ended)
		if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error().Err(err).Msg("metrics and health are no longer served")
		}
	}()
}

func (w *web) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		_ = w.server.Close()
	}
	<-w.ended
}
