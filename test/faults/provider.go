package faults

import (
	"bytes"
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
)

// provider is the sandbox, behind a simulated network and gateway with all their faults, and a
// mail server.
type provider struct {
	box  *fakealiyun.Server
	post *postOffice
	// web is the API for each worker, links are the relays to it and to the mail server,
	// which can forget their connections.
	web   []*httptest.Server
	links []way

	mu     sync.Mutex
	random *rand.Rand
	// share is the share of requests that fail.
	share float64
	// refusals returns, by kind of fault, the refusal of a request, or nil.
	refusals map[Kind]func(request) *mishap
	// latency is how long app slow's requests take.
	latency time.Duration
	// down holds, by app, the time until which its account is out of money.
	down map[string]time.Time
	// attempts are the sends that have come in.
	attempts []attempt
	injected map[string]int
	// hangs makes every nth SMS hang; 0 for none.
	hangs, count int
}

// attempt is a send request, with any result.
type attempt struct {
	trace
	at time.Time
	// worker is the worker that made it.
	worker int
	// fault is the fault that the request met; empty if none.
	fault string
	// signed is when the worker made it, by its own clock and in whole seconds. It is only known
	// of requests to the API.
	signed time.Time
}

// keySecret is the secret of every app's access key, whose ID is the app's name.
const keySecret = "testsecret"

// newProvider makes the provider of a plan, without faults. Each app has its own account.
func newProvider(p Plan) *provider {
	keys := make([]fakealiyun.Key, len(p.Apps))
	for i, app := range p.Apps {
		keys[i] = fakealiyun.Key{ID: app, Secret: keySecret}
	}
	return &provider{
		box:    fakealiyun.New(fakealiyun.Options{MaxInbox: 4*p.Messages + 1000, Keys: keys}),
		random: p.random("provider"), down: make(map[string]time.Time), injected: make(map[string]int),
		refusals: make(map[Kind]func(request) *mishap),
	}
}

// serveAll begins to serve a number of workers, each through its own relays.
func (p *provider) serveAll(ctx context.Context, workers int) (err error) {
	if p.post, err = newPostOffice(ctx, p, workers); err != nil {
		return err
	}
	for i := range workers {
		p.web = append(p.web, httptest.NewServer(p.of(i)))
		link, err := newWay([]string{p.web[i].Listener.Addr().String(), p.post.addr(i)})
		if err != nil {
			return err
		}
		p.links = append(p.links, link)
	}
	return nil
}

// addrs are the addresses of the API and the mail server for a worker.
func (p *provider) addrs(worker int) (api, mail string) {
	return p.links[worker][0].Addr(), p.links[worker][1].Addr()
}

// forget makes the network forget a worker's connections.
func (p *provider) forget(worker int) {
	for _, g := range p.links[worker] {
		g.Forget()
	}
}

// end ends all servers.
func (p *provider) end() {
	for _, w := range p.links {
		w.end()
	}
	p.box.Close()
	for _, w := range p.web {
		w.Close()
	}
	if p.post != nil {
		p.post.end()
	}
}

// request describes a request to the provider.
type request struct {
	// app is the app of the account. sends is false for a query, which has no trace.
	app        string
	sends, sms bool
	// template is the SMS's.
	template string
	// signed is when it was made.
	signed time.Time
	trace
}

var codeIn = regexp.MustCompile(`[0-9]{6}`)

// traceOf returns the trace that identifies a message: its code is in an SMS's parameter, or
// in a mail's text.
func traceOf(to, param, text string) trace { return trace{to, codeIn.FindString(param + text)} }

// parse reads a request: its app is in the query, the rest in the form.
func parse(query, form url.Values) request {
	number, address := form.Get("PhoneNumbers"), form.Get("ToAddress")
	signed, _ := time.Parse(time.RFC3339, query.Get("Timestamp")) // the sandbox reports a mistake
	return request{
		signed: signed,
		app:    query.Get("AccessKeyId"), sends: number+address != "", sms: number != "", template: form.Get("TemplateCode"),
		trace: traceOf(number+address, form.Get("TemplateParam"), form.Get("HtmlBody")),
	}
}

// of serves the API to a worker, with faults.
func (p *provider) of(worker int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(worker, w, r) })
}

func (p *provider) serve(worker int, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the worker has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, _ := url.ParseQuery(string(body)) // the sandbox reports a mistake
	what := parse(r.URL.Query(), form)
	if what.sms && p.hanging() {
		hangUntilGone(r)
	}
	wrong, latency := p.arrives(worker, what)
	if wrong == nil {
		p.answer(w, r, latency)
		return
	}
	if wrong.accept {
		p.box.ServeHTTP(httptest.NewRecorder(), r)
	}
	wrong.answer(w, r)
}

// answer serves the request, and delays only its answer: a message is accepted at once, so
// that a grace is never too short for it.
func (p *provider) answer(w http.ResponseWriter, r *http.Request, latency time.Duration) {
	if latency == 0 {
		p.box.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	p.box.ServeHTTP(answer, r)
	if !pause(r.Context(), latency) {
		return // the worker has gone
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // likewise
}

// hanging reports whether an SMS is one of those that hang.
func (p *provider) hanging() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return p.hangs > 0 && p.count%p.hangs == 0
}

// hangUntilGone holds a request until the worker gives it up.
func hangUntilGone(r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// arrives decides which mishap a request meets, if any, and how long the answer takes.
func (p *provider) arrives(worker int, r request) (wrong *mishap, latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	wrong = p.goesWrong(r, now)
	fault := ""
	if wrong != nil {
		fault = wrong.name
		p.injected[fault]++
	}
	if !r.sends {
		return wrong, 0
	}
	p.attempts = append(p.attempts, attempt{r.trace, now, worker, fault, r.signed})
	if r.app == slowApp {
		latency = p.latency
	}
	return wrong, latency
}

// goesWrong returns the mishap of a request. p.mu has to be held.
func (p *provider) goesWrong(r request, now time.Time) *mishap {
	if r.sends {
		for _, refusal := range p.refusals {
			if wrong := refusal(r); wrong != nil {
				return wrong
			}
		}
	}
	if now.Before(p.down[r.app]) {
		return &outOfMoney
	}
	if p.random.Float64() >= p.share {
		return nil
	}
	wrong := &mischief[p.random.IntN(len(mischief))]
	if wrong.name == outOfMoney.name {
		p.down[r.app] = now.Add(accountDown)
	}
	return wrong
}

// refuse lets a kind of fault refuse requests; nil ends that.
func (p *provider) refuse(k Kind, refusal func(request) *mishap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.refusals, k)
	if refusal != nil {
		p.refusals[k] = refusal
	}
}

// begin makes a share of the requests fail.
func (p *provider) begin(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share = share
}

// slow makes the requests of app slow take some time.
func (p *provider) slow(latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = latency
}

// calm ends the faults.
func (p *provider) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.latency = 0, 0
	clear(p.down)
}

// tried records a send request.
func (p *provider) tried(a attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts = append(p.attempts, a)
}

// counts counts a fault.
func (p *provider) counts(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.injected[fault]++
}

// inbox returns all accepted messages.
func (p *provider) inbox() []fakealiyun.Message { return append(p.box.Inbox(""), p.post.inbox()...) }

// made returns all send requests.
func (p *provider) made() []attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.attempts)
}

// faults counts the faults.
func (p *provider) faults() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.injected)
}
