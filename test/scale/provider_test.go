package scale

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
)

// provider is Aliyun with several accounts, each at its own address. It knows when each
// message was published and sent.
type provider struct {
	accounts []*account

	mu   sync.Mutex
	sent map[int]time.Time
	// published holds the times of the publishes.
	published map[int]time.Time
	twice     int
	// changed is closed when a message is sent.
	changed chan struct{}
}

// account is one account at Aliyun.
type account struct {
	url string

	mu       sync.Mutex
	requests int
	refused  int
	// answer is the code of its errors, and admits reports whether a request gets none. With
	// the answer hangs, no answer comes.
	answer string
	admits func() bool
}

const hangs = "hangs"

func startProvider(t *testing.T, accounts int) *provider {
	t.Helper()
	p := &provider{sent: make(map[int]time.Time), published: make(map[int]time.Time), changed: make(chan struct{})}
	for range accounts {
		a := &account{admits: func() bool { return true }}
		quick := &fakealiyun.Quick{Latency: 20 * time.Millisecond, Take: p.take}
		server := httptest.NewServer(a.before(quick))
		t.Cleanup(server.Close)
		a.url = server.URL
		p.accounts = append(p.accounts, a)
	}
	return p
}

// before returns a handler that refuses what the account does not admit.
func (a *account) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, ok := a.admit()
		switch {
		case ok:
			next.ServeHTTP(w, r)
		case code == hangs:
			_, _ = io.Copy(io.Discard, r.Body) // then the server notices that the client gives up
			<-r.Context().Done()
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"Code":"`+code+`","Message":"refused","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f"}`)
		}
	})
}

// refuse makes an account answer with a code, except to the requests that admits lets pass.
func (a *account) refuse(code string, admits func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.admits, a.requests, a.refused = code, admits, 0, 0
}

// heal makes an account accept everything.
func (a *account) heal() { a.refuse("", func() bool { return true }) }

// limit lets an account take so many requests a second, and throttle the others.
func (a *account) limit(perSecond int) {
	a.refuse("Throttling.User", rate.NewLimiter(rate.Limit(perSecond), perSecond).Allow)
}

func (a *account) counts() (requests, refused int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests, a.refused
}

func (a *account) admit() (code string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	if a.admits() {
		return "", true
	}
	a.refused++
	return a.answer, false
}

// take counts an accepted message.
func (p *provider) take(form string) bool {
	now := time.Now()
	_, rest, _ := strings.Cut(form, "PhoneNumbers=1")
	digits, _, _ := strings.Cut(rest, "&")
	i, err := strconv.Atoi(digits)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, again := p.sent[i]; again {
		p.twice++
	}
	p.sent[i] = now
	close(p.changed)
	p.changed = make(chan struct{})
	return true
}

// count returns how many messages from first on were sent, and a channel that is closed when
// another one is.
func (p *provider) count(first int) (n int, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.sent {
		if i >= first {
			n++
		}
	}
	return n, p.changed
}
