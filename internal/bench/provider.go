package bench

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// provider answers as Aliyun does, after a given time and without checking much: it is
// not what is measured.
type provider struct {
	o      Options
	server *httptest.Server
	url    string

	mu     sync.Mutex
	random *rand.Rand
	// at is when each message was published, and arrived when its first request came.
	at, arrived []time.Time
	requests    int
	twice       int
}

func newProvider(o Options) *provider {
	p := &provider{
		o: o, random: rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // it has to be repeatable
		at: make([]time.Time, o.Messages), arrived: make([]time.Time, o.Messages),
	}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	p.url = p.server.URL
	return p
}

func (p *provider) close() { p.server.Close() }

// published takes note of when a message was published.
func (p *provider) published(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[i] = time.Now()
}

const (
	accepted = `{"Message":"OK","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f","BizId":"607300000000000000^0","Code":"OK","EnvId":"600000004000000001"}`
	notFound = `{"Message":"OK","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f","Code":"OK","TotalCount":"0","SmsSendDetailDTOs":{"SmsSendDetailDTO":[]}}`
	faulty   = `{"Message":"try again","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f","Code":"ServiceUnavailable"}`
)

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.URL.RawQuery, "Action=QuerySendDetails") {
		_, _ = io.WriteString(w, notFound)
		return
	}
	fails := p.take(index(string(body)), now)
	if p.o.Latency > 0 {
		timer := time.NewTimer(p.o.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if fails {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, faulty)
		return
	}
	_, _ = io.WriteString(w, accepted)
}

// take takes note of a request, and decides whether it fails.
func (p *provider) take(i int, now time.Time) (fails bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.o.Faults > 0 && p.random.Float64() < p.o.Faults {
		return true
	}
	switch {
	case i < 0 || i >= len(p.arrived):
	case p.arrived[i].IsZero():
		p.arrived[i] = now
	default:
		p.twice++
	}
	return false
}

// index returns a message's number by its recipient, and -1 where that is none.
func index(form string) int {
	for _, name := range []string{"PhoneNumbers=1", "ToAddress=u"} {
		if _, rest, ok := strings.Cut(form, name); ok {
			digits, _, _ := strings.Cut(rest, "&")
			digits, _, _ = strings.Cut(digits, url.QueryEscape("@"))
			if n, err := strconv.Atoi(digits); err == nil {
				return n
			}
		}
	}
	return -1
}

// fill puts into a report what came to the provider.
func (p *provider) fill(r *Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Requests, r.Twice = p.requests, p.twice
	for i, at := range p.arrived {
		if !at.IsZero() {
			r.took = append(r.took, at.Sub(p.at[i]))
		}
	}
	slices.Sort(r.took)
	r.Sent = len(r.took)
	r.P50MS, r.P90MS, r.P99MS, r.MaxMS = r.quantile(0.5), r.quantile(0.9), r.quantile(0.99), r.quantile(1)
}
