package faults

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// The faults that should affect nobody else, and the provider's faults for everybody.
const (
	// BadRecipients sends a share of the codes to numbers and addresses that the
	// providers refuse: once, for a while, or for good.
	BadRecipients Kind = "bad recipients"
	// Greylisting makes the servers of many domains refuse the first try.
	Greylisting Kind = "greylisting storms"
	// WrongTemplate makes the provider refuse one template of one app.
	WrongTemplate Kind = "wrong templates"
	// EmptyAccount empties the account of app second.
	EmptyAccount Kind = "empty accounts"
	// SlowApp makes the provider of app slow answer after the plan's Latency.
	SlowApp Kind = "slow times"
	// ProviderFault makes a share of all requests fail in every way in which a network and
	// a gateway can fail.
	ProviderFault Kind = "provider faults"
)

var neighborFaults = []fault{
	{
		kind: BadRecipients, moments: awhile(BadRecipients),
		troubles: func(m *published) bool { return m.bad },
		begin: func(_ context.Context, r *run, _ int, _ moment) (func() error, error) {
			// This stays on: a code that was refused once may still come again.
			r.provider.refuse(BadRecipients, refusesRecipient)
			return r.troubled(BadRecipients, "a share of the recipients refused", func() {}), nil
		},
	},
	{
		kind: Greylisting, moments: awhile(Greylisting), fits: hasApp(postApp),
		troubles: func(m *published) bool { return strings.Contains(m.To, greyDomain) },
		begin: func(_ context.Context, r *run, _ int, _ moment) (func() error, error) {
			r.provider.post.storm(true)
			return r.troubled(Greylisting, "greylisting", func() { r.provider.post.storm(false) }), nil
		},
	},
	refusals(WrongTemplate, defaultApp, "template "+registerTemplate+" refused", "isv.SMS_TEMPLATE_ILLEGAL",
		func(q request) bool { return q.template == registerTemplate },
		func(m *published) bool { return m.subject.Channel == messages.SMS && m.Type == messages.Register }),
	refusals(EmptyAccount, secondApp, "account of app second out of money", "isv.AMOUNT_NOT_ENOUGH",
		func(request) bool { return true },
		func(*published) bool { return true }),
	{
		kind: SlowApp, moments: slows, fits: hasApp(slowApp),
		troubles: func(m *published) bool { return m.subject.App == slowApp },
		begin: func(_ context.Context, r *run, _ int, _ moment) (func() error, error) {
			r.provider.slow(r.plan.Latency)
			return r.troubled(SlowApp, "app "+slowApp+" slow", func() { r.provider.slow(0) }), nil
		},
	},
	{
		kind: ProviderFault, moments: providerFaults,
		begin: func(_ context.Context, r *run, _ int, _ moment) (func() error, error) {
			r.provider.begin(r.plan.ProviderFaults)
			return r.troubled(ProviderFault, "a share of all requests going wrong", func() { r.provider.begin(0) }), nil
		},
	},
}

// refusals is the fault in which an app's requests are refused, if of accepts them.
func refusals(k Kind, app, what, code string, of func(request) bool, troubles func(*published) bool) fault {
	return fault{
		kind: k, moments: awhile(k), fits: hasApp(app),
		troubles: func(m *published) bool { return m.subject.App == app && troubles(m) },
		begin: func(_ context.Context, r *run, _ int, _ moment) (func() error, error) {
			answer := mishap{name: string(k), answer: says(http.StatusOK, code, "m")}
			r.provider.refuse(k, func(q request) *mishap {
				if q.sends && q.app == app && of(q) {
					return &answer
				}
				return nil
			})
			return r.troubled(k, what, func() { r.provider.refuse(k, nil) }), nil
		},
	}
}

// troubled records the begin of a trouble, and returns the function that ends it.
func (r *run) troubled(k Kind, what string, stop func()) (end func() error) {
	over := r.diary.begin(time.Now(), k, "%s", what)
	return func() error { stop(); over(); return nil }
}

func hasApp(app string) func(Plan) bool {
	return func(p Plan) bool {
		return slices.Contains(p.Apps, app)
	}
}

const (
	// badNumber begins the refused numbers, badDomain ends the refused addresses.
	badNumber, badDomain = "138", "@exmaple.invalid"
	// greyDomain begins the domains whose servers greylist at times, greyDomains is their
	// number.
	greyDomain, greyDomains = "@grey", 40
	// badShare is how many of the codes go to bad recipients while there are some.
	badShare = 0.3
	// badLife is how long a code for a bad recipient is valid.
	badLife = 3 * time.Second
)

// recipientRefusals are a provider's answers for a bad recipient, all equally often.
var recipientRefusals = map[bool][]mishap{
	true: {
		{name: "number refused", answer: says(http.StatusOK, "isv.MOBILE_NUMBER_ILLEGAL", "invalid mobile number")},
		{name: "number's hour is full", answer: says(http.StatusOK, "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5")},
		{name: "number's minute is full", answer: says(http.StatusOK, "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1")},
		{name: "number blocked", answer: says(http.StatusOK, "isv.BLACK_KEY_CONTROL_LIMIT", "黑名单管控")},
	},
	false: {
		{name: "address refused", answer: says(http.StatusBadRequest, "InvalidToAddress", "The specified toAddress is wrongly formed.")},
		{name: "address refused as spam", answer: says(http.StatusBadRequest, "InvalidToAddress.Spam", "Sendmail rejected by invalid address.")},
	},
}

// refusesRecipient refuses requests for bad recipients; the recipient decides how.
func refusesRecipient(q request) *mishap {
	if !strings.HasPrefix(q.to, badNumber) && !strings.HasSuffix(q.to, badDomain) {
		return nil
	}
	ways := recipientRefusals[q.sms]
	sum := 0
	for _, b := range []byte(q.to) {
		sum += int(b)
	}
	return &ways[sum%len(ways)]
}
