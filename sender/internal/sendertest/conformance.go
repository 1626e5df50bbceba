package sendertest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// Conformance tests that a connector does what package sender promises. The tests of each
// connector call it once.
func Conformance(t *testing.T, p *Provider) {
	p.complete(t)
	for name, test := range map[string]func(*testing.T){
		"codes": p.codes, "render": p.renders, "accepted": p.accepted, "many at once": p.atOnce, "international domains": p.international,
		"failures": p.fails, "answers": p.answers, "redaction": p.redacts, "cancel": p.cancel, "NotAfter": p.notAfter,
		"check": p.checks, "ask": p.asks, "close": p.closes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// complete ends the test if a part of the provider is missing.
func (p *Provider) complete(t *testing.T) {
	t.Helper()
	for part, missing := range map[string]bool{
		"New": p.New == nil, "Message": p.Message == nil, "Fake": p.Fake == nil,
		"Late": p.Late == nil, "Repeats": p.Repeats == nil, "Answers": len(p.Answers) == 0, "Codes": p.Codes == nil,
	} {
		if missing {
			t.Errorf("Provider.%s is missing", part)
		}
	}
	for name, class := range required {
		switch f, ok := p.Failures[name]; {
		case !ok:
			t.Errorf("Provider.Failures has no failure named %q", name)
		case f.Class != class:
			t.Errorf("Provider.Failures: %q has class %s, want %s", name, f.Class, class)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// codes tests the table of codes, and that there is an answer or a failure for each class
// in it.
func (p *Provider) codes(t *testing.T) {
	Scopes(t, p.Codes)
	missing := make(map[sender.Class]bool)
	p.Codes(func(_ string, class sender.Class, _ sender.Scope) { missing[class] = true })
	for _, a := range p.Answers {
		delete(missing, a.Class)
	}
	for _, f := range p.Failures {
		delete(missing, f.Class)
	}
	for class := range missing {
		t.Errorf("Provider.Answers has no answer of class %s, which the table of codes has", class)
	}
}

// patience is the time-out of a connector whose sends must not end by their time-out.
const patience = time.Minute

// private returns what no error may hold.
func (p *Provider) private() []string {
	m := p.Message()
	return append([]string{m.To, m.Payload.Text("code")}, p.Private...)
}

func (p *Provider) render(t testing.TB, s sender.Sender) *sender.Message {
	t.Helper()
	m, err := s.Render(p.Message())
	if err != nil {
		t.Fatalf("Render does not take Provider.Message: %v", err)
	}
	return m
}

// send sends the message to an endpoint.
func (p *Provider) send(t testing.TB, endpoint string) (sender.Receipt, error) {
	t.Helper()
	s := p.New(t, endpoint, patience)
	return s.Send(t.Context(), p.render(t, s))
}

// refused checks the class of an error, and that it holds nothing private.
func (p *Provider) refused(t testing.TB, r sender.Receipt, err error, class sender.Class) *sender.Error {
	t.Helper()
	e := Want(t, err, class)
	if e.Code == "" {
		t.Errorf("the error has no code: %v", err)
	}
	if n := len(e.Detail); n > 1000 {
		t.Errorf("the detail has %d bytes, more than 1000", n)
	}
	if strings.ContainsFunc(err.Error(), unicode.IsControl) {
		t.Errorf("the error has control characters: %q", err)
	}
	if r != (sender.Receipt{}) {
		t.Errorf("there is a receipt together with the error: %+v", r)
	}
	Hides(t, err, p.private()...)
	return e
}

func (p *Provider) renders(t *testing.T) {
	s := p.New(t, p.Failures[NobodyListens].Serve(t).Endpoint, patience)
	m := p.render(t, s)
	if want := p.Message().ID; m.ID != want {
		t.Errorf("the rendered message has the ID %q, want %q", m.ID, want)
	}
	if m.Template == "" {
		t.Error("Render sets no Template")
	}
	without := p.Message()
	without.Payload = nil
	m, err := s.Render(without)
	if e := p.refused(t, sender.Receipt{}, err, sender.Permanent); e.Code != sender.CodeInvalid || m != nil {
		t.Errorf("without a payload: message %v, error %v; want no message, and the code %s", m, err, sender.CodeInvalid)
	} else if !strings.Contains(e.Detail, "code") || !strings.Contains(e.Detail, string(without.Type)) {
		t.Errorf("without a payload: the detail %q does not name the placeholder code and the template %s", e.Detail, without.Type)
	}
	if m := p.Message(); !strings.Contains(m.To, "@") {
		p.rendersSMS(t, s)
	}
}

// rendersSMS checks what an email connector has from sender.Mails.
func (p *Provider) rendersSMS(t *testing.T, s sender.Sender) {
	t.Helper()
	unfit := p.Message()
	unfit.To = "+86138000000012345" // too long for any country
	if m, err := s.Render(unfit); err == nil {
		t.Errorf("Render takes a number that is too long, as %q; internal/phone reads numbers", m.To)
	} else {
		Hides(t, Want(t, err, sender.Permanent), unfit.To, strings.TrimPrefix(unfit.To, "+86"))
	}
	codes := make(map[string]string)
	for _, usage := range sender.RequiredTypes() {
		code := p.Message()
		code.Type = usage
		m, err := s.Render(code)
		if err != nil {
			t.Errorf("%s: %v", usage, err)
			continue
		}
		if other, ok := codes[m.Template]; ok && other != m.TemplateCode {
			t.Errorf("the templates %q and %q have the same name, Message.Template %q: what a provider says of one would stop the other", other, m.TemplateCode, m.Template)
		}
		codes[m.Template] = m.TemplateCode
	}
}

func (p *Provider) accepted(t *testing.T) {
	f := p.Fake(t)
	r, err := p.send(t, f.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if r.ProviderID == "" {
		t.Error("the receipt has no ProviderID")
	}
	if n, all := f.Requests(), f.Accepted(); n != 1 || len(all) != 1 {
		t.Errorf("%d requests, %d accepted; want one of each", n, len(all))
	}
}

// atOnce sends from many goroutines with one connector. With -race, it also finds data
// races.
func (p *Provider) atOnce(t *testing.T) {
	const n = 16
	f := p.Fake(t)
	s := p.New(t, f.Endpoint, patience)
	type result struct {
		r   sender.Receipt
		err error
	}
	results := make(chan result, n)
	for i := range n {
		go func() {
			code := p.Message()
			code.ID += fmt.Sprint("-", i)
			m, err := s.Render(code)
			if err != nil {
				results <- result{err: err}
				return
			}
			r, err := s.Send(t.Context(), m)
			results <- result{r, err}
		}()
	}
	ids := make(map[string]bool)
	for range n {
		got := <-results
		if got.err != nil {
			t.Error(got.err)
		}
		ids[got.r.ProviderID] = true
	}
	if requests, all := f.Requests(), f.Accepted(); requests != n || len(all) != n || len(ids) != n {
		t.Errorf("%d sent at once: %d requests, %d accepted, %d provider ids", n, requests, len(all), len(ids))
	}
}

// international tests that an email's domain is written in Punycode.
func (p *Provider) international(t *testing.T) {
	code := p.Message()
	local, _, isMail := strings.Cut(code.To, "@")
	if !isMail {
		t.Skip("the connector sends to numbers")
	}
	f := p.Fake(t)
	s := p.New(t, f.Endpoint, patience)
	for _, domain := range []string{"bücher.example", "BÜCHER.example"} {
		code.To = local + "@" + domain
		m, err := s.Render(code)
		if err != nil {
			t.Fatalf("%s: %v", code.To, err)
		}
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", code.To, err)
		}
	}
	want := local + "@xn--bcher-kva.example"
	if got := f.Accepted(); !slices.Equal(got, []string{want, want}) {
		t.Errorf("it was sent to %v, want %s twice", got, want)
	}
	code.To = local + "@例\u0000え"
	_, err := s.Render(code)
	Hides(t, Want(t, err, sender.Permanent), code.To)
}

func (p *Provider) fails(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(p.Failures)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := p.Failures[name]
			timeout := patience
			if f.Slow {
				timeout = 500 * time.Millisecond
			}
			srv, r, err := p.failing(t, f, timeout)
			for ; f.Slow && srv.Requests() < f.Requests && timeout < Patience/2; timeout *= 2 {
				srv, r, err = p.failing(t, f, 2*timeout) // this machine was too slow to make the request
			}
			e := p.refused(t, r, err, f.Class)
			if f.Code != "" && e.Code != f.Code {
				t.Errorf("the code is %q, want %q: %v", e.Code, f.Code, err)
			}
			if e.Detail == "" {
				t.Errorf("the error has no detail for a person: %v", err)
			}
			Hides(t, err, p.Words...)
			if n := srv.Requests(); n != f.Requests {
				t.Errorf("%d requests came, want %d: Send makes one, and never a second one by itself", n, f.Requests)
			}
		})
	}
}

// failing sends a message with a failure.
func (p *Provider) failing(t *testing.T, f Failure, timeout time.Duration) (srv *Served, r sender.Receipt, err error) {
	t.Helper()
	srv = f.Serve(t)
	s := p.New(t, srv.Endpoint, timeout)
	m := p.render(t, s)
	if f.Warm {
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Fatalf("the first send: %v", err)
		}
	}
	const longest = Patience // for a connector without a time-out
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	began := time.Now()
	r, err = s.Send(ctx, m)
	if took := time.Since(began); f.Slow && took >= longest {
		t.Errorf("it took %s, with a time-out of %s", took, timeout)
	}
	return srv, r, err
}

func (p *Provider) answers(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(p.Answers)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := p.Answers[name]
			srv := a.Serve(t)
			r, err := p.send(t, srv.Endpoint)
			e := p.refused(t, r, err, a.Class)
			if a.Code != "" && e.Code != a.Code {
				t.Errorf("the code is %q, want %q: %v", e.Code, a.Code, err)
			}
			if a.RetryAfter != 0 && e.RetryAfter != a.RetryAfter {
				t.Errorf("RetryAfter is %s, want the %s of the answer's Retry-After (httpclient.RetryAfter)", e.RetryAfter, a.RetryAfter)
			}
			if !strings.Contains(e.Detail, a.Says) {
				t.Errorf("the detail is %q, want it to hold %q", e.Detail, a.Says)
			}
			if e.SpeaksOf() != a.Scope {
				t.Errorf("it speaks of the %v, want the %v: %v", e.SpeaksOf(), a.Scope, err)
			}
			if n := srv.Requests(); n > 1 {
				t.Errorf("%d requests came; Send makes one, and never a second one by itself", n)
			}
		})
	}
}

// forms are the ways in which a provider can repeat a text.
var forms = map[string]func(string) string{
	"as it is":         func(s string) string { return s },
	"in lower case":    strings.ToLower,
	"in upper case":    strings.ToUpper,
	"as a URL has it":  url.QueryEscape,
	"escaped twice":    func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"as a path has it": url.PathEscape,
	"quoted":           func(s string) string { return fmt.Sprintf("%q", s) },
	"in JSON":          func(s string) string { b, _ := json.Marshal(s); return string(b) }, // any text can be written
	"in base64":        func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"in hex":           func(s string) string { return hex.EncodeToString([]byte(s)) },
	"in URL base64":    func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"after much else":  func(s string) string { return strings.Repeat(" ", 4<<10-35) + s },
	"among controls":   func(s string) string { return "\r\n\x1b[31m" + s + "\x00" },
}

// redacts tests errors of a provider that repeats the request, and each private value, in
// every form.
func (p *Provider) redacts(t *testing.T) {
	for name, form := range forms {
		t.Run("the request "+name, func(t *testing.T) {
			t.Parallel()
			p.repeats(t, form, p.Words...)
		})
		t.Run("the values "+name, func(t *testing.T) {
			t.Parallel()
			p.repeats(t, func(string) string {
				var said []string
				for _, v := range p.private() {
					said = append(said, form(v))
				}
				return "unfit: " + strings.Join(said, ", ")
			})
		})
	}
}

func (p *Provider) repeats(t *testing.T, words func(request string) string, beside ...string) {
	t.Helper()
	srv := p.Repeats(t, words)
	r, err := p.send(t, srv.Endpoint)
	if err == nil {
		t.Fatalf("Provider.Repeats has accepted the message: %+v", r)
	}
	_ = p.refused(t, r, err, sender.AsError(err).Class)
	Hides(t, err, beside...)
}

// cancel tests that ctx ends the wait for the answer, and leaves doubt.
func (p *Provider) cancel(t *testing.T) {
	srv := p.Failures[StallAfter].Serve(t)
	s := p.New(t, srv.Endpoint, Patience)
	m := p.render(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-srv.Arrived
		cancel()
	}()
	began := time.Now()
	r, err := s.Send(ctx, m)
	_ = p.refused(t, r, err, sender.Unknown)
	if took := time.Since(began); took >= Patience {
		t.Fatalf("Send returned after %s, by its time-out: the end of ctx has to end it", took)
	}
	r, err = s.Send(ctx, m)
	if n := srv.Requests(); n != 1 {
		t.Errorf("%d requests came; Send makes none if ctx is over when it begins", n-1)
	}
	_ = p.refused(t, r, err, sender.Unavailable)
}

// notAfter tests a NotAfter that comes at each step. Before the message has left, nothing
// is handed over; after that, Send still waits for the answer.
func (p *Provider) notAfter(t *testing.T) {
	send := func(t testing.TB, endpoint string, notAfter time.Time) error {
		t.Helper()
		s := p.New(t, endpoint, Patience)
		m := p.render(t, s)
		m.NotAfter = notAfter
		_, err := s.Send(t.Context(), m)
		return err
	}
	t.Run("an hour ahead", func(t *testing.T) {
		t.Parallel()
		if err := send(t, p.Fake(t).Endpoint, time.Now().Add(time.Hour)); err != nil {
			t.Errorf("a message that is in time: %v", err)
		}
	})
	t.Run("over already", func(t *testing.T) {
		t.Parallel()
		f := p.Fake(t)
		WantExpired(t, send(t, f.Endpoint, time.Now()))
		if n := f.Requests(); n != 0 {
			t.Errorf("%d requests came after NotAfter", n)
		}
	})
	t.Run("on the way", func(t *testing.T) {
		t.Parallel()
		Soon(t, func(notAfter time.Time) bool {
			srv := p.Failures[StallBefore].Serve(t)
			WantExpired(t, send(t, srv.Endpoint, notAfter))
			return Closed(srv.Arrived)
		})
	})
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		Soon(t, func(notAfter time.Time) bool {
			srv := p.Late(t)
			return AnsweredAfter(t, notAfter, srv.Arrived, srv.Answer, func() error { return send(t, srv.Endpoint, notAfter) })
		})
	})
}

// closes tests that a connector can be closed twice, after a success and after a failure.
func (p *Provider) closes(t *testing.T) {
	for name, endpoint := range map[string]string{"a success": p.Fake(t).Endpoint, "a failure": p.Failures[CutAfter].Serve(t).Endpoint} {
		s := p.New(t, endpoint, patience)
		c, ok := s.(io.Closer)
		if !ok {
			t.Skip("the connector is not an io.Closer")
		}
		_, _ = s.Send(t.Context(), p.render(t, s)) // other tests check the result
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("closing after %s: %v", name, err)
			}
		}
	}
}

// SignIn makes a message for a recipient, with a code and a name.
func SignIn(to, code string) *messages.SendCode {
	return &messages.SendCode{ID: "id-1", To: to, Type: messages.SignIn, Payload: messages.Payload{
		"code": code, "locale": "zh-CN", "user": map[string]any{"name": `Ann "<&>" 安`},
	}}
}
