package service

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/sender"
)

// TestProfiles: profiles are served only where they are switched on, to those who may read
// the metrics, and never the command line.
func TestProfiles(t *testing.T) {
	for name, c := range map[string]struct {
		on    bool
		path  string
		token string
		want  int
	}{
		"off":              {false, "/debug/pprof/", token, http.StatusNotFound},
		"on":               {true, "/debug/pprof/", token, http.StatusOK},
		"the heap":         {true, "/debug/pprof/heap", token, http.StatusOK},
		"without a token":  {true, "/debug/pprof/heap", "", http.StatusUnauthorized},
		"the command line": {true, "/debug/pprof/cmdline", token, http.StatusNotFound},
		"metrics":          {true, "/metrics", token, http.StatusOK},
	} {
		base := "http://" + serve(t, config.HTTP{Token: sender.NewSecret(token), PProf: c.on}, io.Discard)
		var auth []string
		if c.token != "" {
			auth = []string{"Bearer " + c.token}
		}
		r, err := ask(t, client(t, nil, nil, nil), http.MethodGet, base+c.path, nil, auth...)
		check.Equal(t, name+": error", err, nil)
		check.Equal(t, name+": status", r.status, c.want)
	}
}

// TestProfilesAreReloaded: a new configuration switches profiles on and off.
func TestProfilesAreReloaded(t *testing.T) {
	w, err := newWeb(withHTTP("127.0.0.1:0", config.HTTP{}), prometheus.NewRegistry(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	w.start(l)
	t.Cleanup(w.stop)
	for _, on := range []bool{true, false} {
		w.admit(config.HTTP{PProf: on})
		r, err := ask(t, client(t, nil, nil, nil), http.MethodGet, "http://"+l.Addr().String()+"/debug/pprof/", nil)
		check.Equal(t, "error", err, nil)
		check.Equal(t, "profiles are served", r.status == http.StatusOK, on)
	}
}

// TestOpenMetrics: whoever asks for OpenMetrics gets it, which exemplars need.
func TestOpenMetrics(t *testing.T) {
	base := "http://" + serve(t, config.HTTP{}, io.Discard)
	for accept, want := range map[string]string{"application/openmetrics-text": "application/openmetrics-text", "": "text/plain"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := client(t, nil, nil, nil).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		got := resp.Header.Get("Content-Type")
		check.True(t, "Accept: "+accept, strings.HasPrefix(got, want), got)
	}
}
