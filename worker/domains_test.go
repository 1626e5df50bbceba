package worker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

func TestRefusingDomains(t *testing.T) {
	type step struct {
		to, code string
		wait     time.Duration // before
		accepted bool
		all      bool
	}
	mails := func(n int, code string) (all []step) {
		for i := range n {
			all = append(all, step{to: fmt.Sprintf("u@d%d.example", i), code: code})
		}
		return all
	}
	then := func(all []step, more ...step) []step { return append(all, more...) }
	const late = domainsFor
	for name, steps := range map[string][]step{
		"five in a row, for long enough":                  then(mails(5, "B"), step{to: "u@d0.example", code: "B", wait: late, all: true}),
		"five in a row, a moment too early":               then(mails(5, "B"), step{to: "u@d0.example", code: "B", wait: late - 1}),
		"the fifth comes late":                            then(mails(4, "B"), step{to: "u@d4.example", code: "B", wait: late, all: true}),
		"four of them":                                    then(mails(4, "B"), step{to: "u@d3.example", code: "B", wait: late}),
		"after that it begins anew":                       then(mails(4, "B"), step{to: "u@d4.example", code: "B", wait: late, all: true}, step{to: "u@d5.example", code: "B", wait: late}),
		"one was accepted meanwhile":                      then(mails(4, "B"), step{accepted: true}, step{to: "u@d4.example", code: "B", wait: late}),
		"another code came between":                       then(mails(4, "B"), step{to: "u@d4.example", code: "C"}, step{to: "u@d5.example", code: "B", wait: late}),
		"many subdomains are one domain":                  then(nil, step{to: "u@a.x.example", code: "B"}, step{to: "u@b.x.example", code: "B"}, step{to: "u@c.x.example", code: "B"}, step{to: "u@D.X.EXAMPLE", code: "B"}, step{to: "u@e.x.example", code: "B", wait: late}),
		"numbers have no domain":                          then(nil, step{to: "+1", code: "B"}, step{to: "+2", code: "B"}, step{to: "+3", code: "B"}, step{to: "+4", code: "B"}, step{to: "+5", code: "B", wait: late}),
		"many in a row":                                   then(mails(20, "B"), step{to: "u@d0.example", code: "B", wait: late, all: true}),
		"what was before one was accepted does not count": then(mails(4, "B"), step{accepted: true}, step{to: "u@d4.example", code: "B"}, step{to: "u@d5.example", code: "B", wait: late}),
		"nor does the time before":                        then(mails(4, "B"), append([]step{{accepted: true, wait: late}}, mails(5, "B")...)...),
		"nor the time of another code":                    then(mails(4, "B"), append([]step{{to: "u@d0.example", code: "C", wait: late}}, mails(5, "B")...)...),
		"nor the domains of another code":                 then(mails(4, "B"), step{to: "u@d4.example", code: "C"}, step{to: "u@d5.example", code: "C", wait: late}),
		"five in a row after one was accepted":            then([]step{{accepted: true}}, then(mails(4, "B"), step{to: "u@d4.example", code: "B", wait: late, all: true})...),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := new(refusingDomains)
				for i, s := range steps {
					after(s.wait)
					if len(r.names) > domainsInARow {
						t.Fatalf("step %d: %d domains are kept, want %d at most", i, len(r.names), domainsInARow)
					}
					if s.accepted {
						r.accepted()
						continue
					}
					check.Equal(t, fmt.Sprintf("step %d, %s: every domain refuses", i, s.to), r.refused(s.to, s.code), s.all)
				}
			})
		})
	}
}

func TestDomainOf(t *testing.T) {
	for to, want := range map[string]string{
		"u@example.com": "example.com", "u@a.b.Example.COM": "example.com", `"a@b"@example.org`: "example.org",
		"u@localhost": "localhost", "@x": "x", "+8613012345678": "", "": "",
	} {
		check.Equal(t, to, domainOf(to), want)
	}
}

// TestBreakerWhenAllRefuse: the breaker opens at once and says why. The next answer about
// one domain alone closes it again, since an attacker can choose the domains.
func TestBreakerWhenAllRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(strings.Builder)
		b := newBreaker(breakerOptions{
			pauses: config.Worker{AccountPause: 20 * time.Second, HealthPause: 5 * time.Second}, limiter: newRateLimiter(0),
			log: zerolog.New(log), changed: func(bool) {}, templates: func(int) {},
		})
		refused := func(i int) {
			t.Helper()
			done, ok := b.admit(t.Context(), request{to: fmt.Sprintf("u@d%d.example", i)})
			if !ok {
				t.Fatal("the request was not admitted")
			}
			done(&sender.Error{Class: sender.Unavailable, Scope: sender.ScopeDomain, Code: "554"})
		}
		for i := range 50 { // many domains, but in too short a time
			refused(i)
		}
		check.Equal(t, "open at first", b.open(), false)
		after(domainsFor)
		refused(50)
		check.Equal(t, "open", b.open(), true)
		check.Equal(t, "opens in", b.opensIn(), 5*time.Second)
		contains(t, "log", log.String(), "several domains in a row refused with the same code")
		contains(t, "log", log.String(), `"class":"unavailable","code":"554"`)
		after(5*time.Second + 1)
		refused(51)
		check.Equal(t, "closed by an answer about a domain", b.closed(), true)
		log.Reset()
		for range healthLeast {
			requests(t, b, 1, errAway)
		}
		contains(t, "log of the next opening", log.String(), "too many requests failed")
	})
}
