package faults

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"github.com/codeferry/codeferry/internal/sandbox"
)

// provider is the sandbox behind everything that a network and a gateway can do
// to a request.
type provider struct {
	box   *sandbox.Server
	share float64

	mu     sync.Mutex
	random *rand.Rand
	// down is until when the account is out of money.
	down time.Time
	// attempts are the sends that have come in: who, and when.
	attempts []attempt
	injected map[string]int
	// hangs lets every nth SMS hang; none where it is 0.
	hangs, count int
}

// attempt is a send that has come in, whatever became of it.
type attempt struct {
	id string
	at time.Time
	// refused tells that it surely was not accepted.
	refused bool
}

// hangFor is longer than the workers' time-out.
const hangFor = 2 * time.Second

// mischief are the faults, each as likely as the other.
var mischief = []struct {
	name string
	// accept tells whether the sandbox sees the request first.
	accept bool
	answer func(http.ResponseWriter, *http.Request)
}{
	{"cut before", false, cut},
	{"cut after", true, cut},
	{"hang before", false, hang},
	{"hang after", true, hang},
	{"HTML 502 before", false, html502},
	{"HTML 502 after", true, html502},
	{"empty 200 before", false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }},
	{"empty 200 after", true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }},
	{"numeric Code before", false, numericCode},
	{"numeric Code after", true, numericCode},
	{"throttling", false, code(http.StatusBadRequest, "Throttling.User")},
	{"503", false, code(http.StatusServiceUnavailable, "ServiceUnavailable")},
	{"system error after", true, code(http.StatusOK, "isp.SYSTEM_ERROR")},
	{"out of money", false, nil}, // for a while
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func hang(_ http.ResponseWriter, r *http.Request) {
	timer := time.NewTimer(hangFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

func html502(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = io.WriteString(w, "<html><h1>502 Bad Gateway</h1></html>")
}

func numericCode(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, `{"Code":500,"Message":7,"RequestId":null}`)
}

func code(status int, code string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"RequestId":"0","HostId":"x","Code":"`+code+`","Message":"m"}`)
	}
}

// accountDown is how long the account is out of money.
const accountDown = 300 * time.Millisecond

// ServeHTTP serves the API, and now and then a fault.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the worker has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body)) // the sandbox judges it
	id := form.Get("OutId")
	if id == "" {
		id = form.Get("ToAddress")
	}
	if form.Get("OutId") != "" && p.hanging() {
		hangUntilGone(r)
	}
	n := p.arrives(id)
	if n < 0 {
		p.box.ServeHTTP(w, r)
		return
	}
	m := mischief[n]
	if m.answer == nil {
		code(http.StatusOK, "isv.AMOUNT_NOT_ENOUGH")(w, r)
		return
	}
	if m.accept {
		p.box.ServeHTTP(httptest.NewRecorder(), r)
	}
	m.answer(w, r)
}

// hanging tells whether an SMS is one of those that hang.
func (p *provider) hanging() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return p.hangs > 0 && p.count%p.hangs == 0
}

// hangUntilGone keeps a request until the worker gives it up.
func hangUntilGone(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// arrives decides what happens to a request: a fault's number, or -1.
func (p *provider) arrives(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	n := -1
	switch {
	case now.Before(p.down):
		n = len(mischief) - 1
	case p.random.Float64() < p.share:
		n = p.random.IntN(len(mischief))
		if mischief[n].answer == nil {
			p.down = now.Add(accountDown)
		}
	}
	if n >= 0 {
		p.injected[mischief[n].name]++
	}
	if id != "" {
		p.attempts = append(p.attempts, attempt{id, now, n >= 0 && !mischief[n].accept})
	}
	return n
}

// calm ends the faults.
func (p *provider) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.down = 0, time.Time{}
}
