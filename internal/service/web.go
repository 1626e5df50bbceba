package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log" //nolint:depguard // what http.Server takes
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

// web serves health to everyone, and metrics to those whom the configuration lets in.
type web struct {
	server *http.Server
	// tls is nil where HTTP is plain.
	tls   *tls.Config
	log   zerolog.Logger
	ended chan struct{}
	// ready is the worker once there is one.
	ready atomic.Pointer[worker.Worker]
}

const (
	headerTimeout = 5 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = time.Minute
	// stopTimeout bounds the wait for requests under way at the end.
	stopTimeout = 2 * time.Second
	maxHeader   = 16 << 10
	maxBody     = 64 << 10
)

// newWeb refuses what the configuration must not expose, and TLS files that are none.
func newWeb(c *config.Config, registry *prometheus.Registry, log zerolog.Logger) (*web, error) {
	warnings, err := CheckHTTP(c, time.Now())
	if err != nil {
		return nil, err
	}
	for _, text := range warnings {
		log.Warn().Msg(text)
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w := &web{log: log, ended: make(chan struct{})}
	// What is added stands behind the guard, unless it is for everyone.
	guarded := http.NewServeMux()
	guarded.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	all := http.NewServeMux()
	all.HandleFunc("GET /livez", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, http.StatusOK, "ok") })
	all.HandleFunc("GET /readyz", w.readyz)
	all.Handle("/", newGuard(c.HTTP, guarded))
	w.server = &http.Server{
		Handler:           small(all),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: headerTimeout, // a TLS handshake's, too
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
	}
	return w, nil
}

// serverLog hands on what net/http has to say: mostly handshakes that failed, which
// anyone can cause.
type serverLog struct{ log zerolog.Logger }

func (l serverLog) Write(text []byte) (int, error) {
	l.log.Debug().Str("from", "http").Msg(strings.TrimSpace(string(text)))
	return len(text), nil
}

// readyz says whether codes are being taken, and if not, what is waited for.
func (w *web) readyz(rw http.ResponseWriter, _ *http.Request) {
	working := w.ready.Load()
	if working == nil {
		answer(rw, http.StatusServiceUnavailable, "waiting for NATS")
		return
	}
	if err := working.Ready(); err != nil {
		answer(rw, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(rw, http.StatusOK, "ok")
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
