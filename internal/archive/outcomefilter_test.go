package archive_test

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestOutcomeFilter(t *testing.T) {
	o := messages.Outcome{
		ID: "login-1", App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "u1", Status: messages.StatusSent, To: "+86130****5678",
		Connector: "aliyun-sms", At: at(30),
	}
	hashed := o
	hashed.ID, hashed.Key = wire.HashID("for-13012345678"), ""
	for name, c := range map[string]struct {
		outcome messages.Outcome
		filter  archive.OutcomeFilter
		want    bool
	}{
		"any":                         {o, archive.OutcomeFilter{}, true},
		"its app":                     {o, archive.OutcomeFilter{App: "default"}, true},
		"another app":                 {o, archive.OutcomeFilter{App: "shop"}, false},
		"its channel":                 {o, archive.OutcomeFilter{Channels: []messages.Channel{messages.SMS}}, true},
		"both channels":               {o, archive.OutcomeFilter{Channels: messages.Channels()}, true},
		"another channel":             {o, archive.OutcomeFilter{Channels: []messages.Channel{messages.Email}}, false},
		"its status":                  {o, archive.OutcomeFilter{Statuses: []messages.Status{messages.StatusDead, messages.StatusSent}}, true},
		"another status":              {o, archive.OutcomeFilter{Statuses: []messages.Status{messages.StatusDead}}, false},
		"its connector":               {o, archive.OutcomeFilter{Connector: "aliyun-sms"}, true},
		"another connector":           {o, archive.OutcomeFilter{Connector: "aliyun"}, false},
		"its id":                      {o, archive.OutcomeFilter{ID: "login-1"}, true},
		"the hash of its id":          {o, archive.OutcomeFilter{ID: wire.HashID("login-1")}, true},
		"another id":                  {o, archive.OutcomeFilter{ID: "login-11"}, false},
		"an id that was hashed":       {hashed, archive.OutcomeFilter{ID: "for-13012345678"}, true},
		"the hash itself":             {hashed, archive.OutcomeFilter{ID: wire.HashID("for-13012345678")}, true},
		"another id, of a hashed one": {hashed, archive.OutcomeFilter{ID: "login-1"}, false},
		"its key":                     {o, archive.OutcomeFilter{Key: "u1"}, true},
		"another key":                 {o, archive.OutcomeFilter{Key: "u11"}, false},
		"a key, of one without":       {hashed, archive.OutcomeFilter{Key: "u1"}, false},
		"its address":                 {o, archive.OutcomeFilter{To: "+8613012345678"}, true},
		"its address without a code":  {o, archive.OutcomeFilter{To: "13012345678"}, true},
		"one with the same mask":      {o, archive.OutcomeFilter{To: "+8613099995678"}, true},
		"another address":             {o, archive.OutcomeFilter{To: "+8613012345679"}, false},
		"since before":                {o, archive.OutcomeFilter{Since: at(29)}, true},
		"since then":                  {o, archive.OutcomeFilter{Since: at(30)}, true},
		"since after":                 {o, archive.OutcomeFilter{Since: at(30).Add(time.Nanosecond)}, false},
	} {
		if got := c.filter.Takes(&c.outcome); got != c.want {
			t.Errorf("%s: taken is %t, want %t", name, got, c.want)
		}
	}
}

// TestFitsMask: a masked address is found by any form of the whole one.
func TestFitsMask(t *testing.T) {
	for _, c := range []struct {
		to    string
		fits  []string // whole addresses whose masks fit
		other []string
	}{
		{"+8613012345678", []string{"13012345678", "8613012345678", "0086 130-1234-5678", "008613012345678", "+86 130 1234 5678", "＋８６１３０１２３４５６７８"}, []string{"+8613112345678", "13012345679", "+85213012345", "foo@example.com"}},
		{"13012345678", []string{"+8613012345678", "008613012345678"}, []string{"13112345678"}},
		{"+85291234567", []string{"0085291234567", "85291234567"}, []string{"+85391234567", "91234567"}},
		{"Foo@Example.com", []string{"foo@example.com", "FOO@EXAMPLE.COM"}, []string{"bar@example.com", "foo@example.org", "foo.example.com"}},
		{"nobody", nil, []string{"+8613012345678", "foo@example.com"}},
	} {
		if !archive.FitsMask(c.to, messages.Mask(c.to)) {
			t.Errorf("%s does not fit its own mask", c.to)
		}
		for _, other := range c.fits {
			if !archive.FitsMask(c.to, messages.Mask(other)) {
				t.Errorf("%s does not fit %s, the mask of %s", c.to, messages.Mask(other), other)
			}
		}
		for _, other := range c.other {
			if archive.FitsMask(c.to, messages.Mask(other)) {
				t.Errorf("%s fits %s, the mask of %s", c.to, messages.Mask(other), other)
			}
		}
	}
	if archive.FitsMask("+8613012345678", "") {
		t.Error("it fits no address")
	}
}
