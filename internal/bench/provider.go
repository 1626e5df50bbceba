package bench

import (
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
)

// provider is a fake Aliyun that knows when each message was published, and counts.
type provider struct {
	o      Options
	server *httptest.Server
	url    string

	mu     sync.Mutex
	random *rand.Rand
	// at holds the times at which each message was published, and arrived those of its first
	// accepted request.
	at, arrived []time.Time
	requests    int
	twice       int
}

func newProvider(o Options) *provider {
	p := &provider{
		o: o, random: rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // it has to be repeatable
		at: make([]time.Time, o.Messages), arrived: make([]time.Time, o.Messages),
	}
	p.server = httptest.NewServer(&fakealiyun.Quick{Latency: o.Latency, Take: p.take})
	p.url = p.server.URL
	return p
}

func (p *provider) close() { p.server.Close() }

// published records when a message was published.
func (p *provider) published(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[i] = time.Now()
}

// take records a request, and decides whether to accept it.
func (p *provider) take(form string) bool {
	i, now := index(form), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.o.Faults > 0 && p.random.Float64() < p.o.Faults {
		return false
	}
	switch {
	case i < 0 || i >= len(p.arrived):
	case p.arrived[i].IsZero():
		p.arrived[i] = now
	default:
		p.twice++
	}
	return true
}

// index returns the number of a message by its recipient, or -1 for any other recipient.
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

// fill adds the provider's counts and times to a report.
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
