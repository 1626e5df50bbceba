package ses

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAnAttemptBegunAnew: net/http begins a request anew where nothing of it could
// be written to a kept connection. It can, and what was thought written before
// does not count.
func TestAnAttemptBegunAnew(t *testing.T) {
	const body = `{"Content":{}}`
	a := &attempt{http: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(r.Context())
		for _, get := range []func() (io.ReadCloser, error){func() (io.ReadCloser, error) { return r.Body, nil }, r.GetBody, r.GetBody} {
			trace.GetConn("")
			b, err := get()
			if err != nil {
				return nil, err
			}
			if got, err := io.ReadAll(b); err != nil || string(got) != body {
				t.Errorf("%q, %v", got, err)
			}
			trace.WroteHeaders()
		}
		trace.GetConn("")
		return nil, errors.New("refused")
	})}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://127.0.0.1:1", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || a.wrote.Load() || !a.begun || a.status != 0 {
		t.Errorf("%v, wrote %v", err, a.wrote.Load())
	}
}

// TestPanics: what the SDK can't take is doubt once it was sent.
func TestPanics(t *testing.T) {
	c := &connector{secrets: func() []string { return nil }}
	for _, status := range []int{200, 400} {
		if e := c.failure(errPanic, &attempt{begun: true, status: status}, nil); e.Code != "SDK.Panic" || e.Class.String() != "unknown" {
			t.Errorf("%d: %+v", status, e)
		}
	}
	out, a, err := call(t.Context(), new(client), func(context.Context, *int, ...func(*options)) (*int, error) { panic("boom") }, new(int))
	if out != nil || a == nil || !errors.Is(err, errPanic) {
		t.Errorf("%v, %v, %v", out, a, err)
	}
	if e := c.failure(err, a, nil); e.Class.String() != "misconfigured" {
		t.Error(e)
	}
}
