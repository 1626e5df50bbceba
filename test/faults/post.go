package faults

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	fakesmtp "github.com/codeferry/codeferry/internal/fakes/smtp"
)

// postOffice is a mail server that takes mails for all domains except those that do not exist,
// and greylists some at times. It has an address for each worker.
type postOffice struct {
	provider *provider
	servers  []*fakesmtp.Server
	stops    []func()

	mu       sync.Mutex
	accepted []fakealiyun.Message
	// firsts is when each domain was first seen in a storm; nil outside of storms.
	firsts map[string]time.Time
}

// greyDelay is how long a greylisting server refuses mails after the first try.
const greyDelay = time.Second

func newPostOffice(ctx context.Context, p *provider, workers int) (*postOffice, error) {
	o := &postOffice{provider: p}
	for i := range workers {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			o.end()
			return nil, fmt.Errorf("open a post office: %w", err)
		}
		s, stop := fakesmtp.Start(l, fakesmtp.Script{
			On:   map[string]func(*fakesmtp.Talk, string) bool{"RCPT": o.recipient},
			Took: func(m fakesmtp.Mail) { o.takes(i, m) },
		})
		o.servers, o.stops = append(o.servers, s), append(o.stops, stop)
	}
	return o, nil
}

func (o *postOffice) addr(worker int) string {
	s := o.servers[worker]
	return fmt.Sprintf("%s:%d", s.Host, s.Port)
}

func (o *postOffice) end() {
	for _, stop := range o.stops {
		stop()
	}
}

// recipient answers RCPT.
func (o *postOffice) recipient(t *fakesmtp.Talk, line string) bool {
	to := addressIn(line)
	_, domain, _ := strings.Cut(to, "@")
	switch {
	case "@"+domain == badDomain:
		o.provider.counts("dead domain")
		return t.Say("450 4.1.2 <" + to + ">: Recipient address rejected: Domain not found")
	case o.greylists(domain):
		o.provider.counts("greylisted")
		return t.Say("450 4.7.1 <" + to + ">: Recipient address rejected: Greylisted, try again later")
	}
	return t.Usual("RCPT", line)
}

// greylists reports whether a domain's server refuses for now.
func (o *postOffice) greylists(domain string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.firsts == nil || !strings.HasPrefix("@"+domain, greyDomain) {
		return false
	}
	first, seen := o.firsts[domain]
	if !seen {
		first = time.Now()
		o.firsts[domain] = first
	}
	return time.Since(first) < greyDelay
}

// storm begins or ends a storm.
func (o *postOffice) storm(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.firsts = nil
	if on {
		o.firsts = make(map[string]time.Time)
	}
}

// codeIn finds the code in a mail by the words around it in postTemplate.
var codeInMail = regexp.MustCompile(`your code ([0-9]{6})\.`)

// postTemplate is the text of the mails by SMTP.
const postTemplate = "your code {{code}}."

// takes keeps a mail that a worker has sent.
func (o *postOffice) takes(worker int, m fakesmtp.Mail) {
	to, code := addressIn(m.To), ""
	if found := codeInMail.FindStringSubmatch(m.Data); found != nil {
		code = found[1]
	}
	o.provider.tried(attempt{trace: trace{to, code}, at: time.Now(), worker: worker})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepted = append(o.accepted, fakealiyun.Message{To: to, TextBody: code, At: time.Now()})
}

// inbox returns the accepted mails.
func (o *postOffice) inbox() []fakealiyun.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]fakealiyun.Message(nil), o.accepted...)
}

// addressIn is the address in a line such as RCPT TO:<a@example.com>.
func addressIn(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}
