package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// TestConnectorRedacts: a provider's text is redacted before it is used.
func TestConnectorRedacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := &sender.Error{Class: sender.Throttled, Code: "E", Detail: "123456 for +8613012345678: too fast", RequestID: "R-2", RetryAfter: time.Minute}
		c := connect("a", failing(said))
		d := arrives(t, nowhere())
		_, err := c.send(t.Context(), d, new(sender.Message), time.Now(), time.Now().Add(time.Hour))
		const want = "[hidden] for [hidden]: too fast"
		check.Equal(t, "detail", err.Detail, want)
		check.Equal(t, "class", err.Class, sender.Throttled)
		check.Equal(t, "code", err.Code, "E")
		check.Equal(t, "retry after", err.RetryAfter, time.Minute)
		at := d.lastAttempt()
		check.Equal(t, "the attempt's class", at.Class, "throttled")
		check.Equal(t, "the attempt's code", at.Code, "E")
		check.Equal(t, "the attempt's detail", at.Detail, want)
		check.Equal(t, "the attempt's request", at.RequestID, "R-2")
		check.Equal(t, "the provider's own error", said.Detail, "123456 for +8613012345678: too fast")
	})
}

// TestConnectorHandsOverInTime: NotAfter is the code's expiry or the end of the lease,
// whichever is first.
func TestConnectorHandsOverInTime(t *testing.T) {
	for name, c := range map[string]struct{ good, owned, want time.Duration }{
		"it expires first":                 {5 * time.Second, 9 * time.Second, 5 * time.Second},
		"it is owned for less":             {9 * time.Second, 5 * time.Second, 5 * time.Second},
		"both at once":                     {5 * time.Second, 5 * time.Second, 5 * time.Second},
		"it is not owned any more":         {5 * time.Second, -time.Second, -time.Second},
		"it has expired":                   {-time.Second, 5 * time.Second, -time.Second},
		"it has expired, and is not owned": {-time.Second, -2 * time.Second, -2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := new(fakeSender)
				d := arrives(t, nowhere())
				at := time.Now().Add(time.Hour) // codes may expire by another clock
				d.expiresAt = at.Add(c.good)
				if _, err := connect("a", provider).send(t.Context(), d, new(sender.Message), at, time.Now().Add(c.owned)); err != nil {
					t.Fatal(err)
				}
				check.Equal(t, "to be handed over within", time.Until(provider.sent[0].NotAfter), c.want)
			})
		})
	}
}

// TestConnectorAnswer: what decide has to know about a connector.
func TestConnectorAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &sender.Error{Class: sender.Throttled}
		c := connect("a", new(fakeAsker), onDoubtDead)
		check.Equal(t, "one that can be asked", c.answer(request{}, e), answer{connector: "a", err: e, askable: true, askGrace: 8 * time.Second, onDoubt: config.Dead})
		c = connect("b", new(fakeSender))
		trip(t, c)
		after(5 * time.Second)
		check.Equal(t, "one that is open", c.answer(request{}, nil), answer{connector: "b", opensIn: 15 * time.Second, askGrace: 8 * time.Second, onDoubt: config.Resend})
	})
}

// TestConnectorCountsMissingValues: the placeholders that had no value in a payload.
func TestConnectorCountsMissingValues(t *testing.T) {
	missing := new(adder)
	c := connect("a", &fakeSender{render: func(*messages.SendCode) (*sender.Message, error) {
		return &sender.Message{Missing: []string{"name", "link"}}, nil
	}}, func(c *connector) { c.metrics.missing = missing })
	d := fresh(t)
	m, err := c.render(d)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "its name", m.ID, providerID("id-1", d.msg, d.place))
	check.Equal(t, "missing values", missing.sum, 2)
}
