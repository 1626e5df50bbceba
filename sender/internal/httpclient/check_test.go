package httpclient_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// TestForCheck: an answer to a check is never doubt, and nothing blames the network.
func TestForCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		class  sender.Class
		status int
		own    bool
		text   string
		want   sender.Class
		says   []string
	}{
		{"no answer", sender.Unknown, 0, false, "", sender.Unknown, []string{"old"}},
		{"400", sender.Unknown, 400, false, "it is wrong", sender.Misconfigured, []string{"the answer is 400 Bad Request, without an error code of the provider; it says: it is wrong", "endpoint and region"}},
		{"404", sender.Unknown, 404, false, "", sender.Misconfigured, []string{"404 Not Found", "endpoint"}},
		{"redirect", sender.Unknown, 302, false, "", sender.Misconfigured, []string{"302 Found", "endpoint"}},
		{"401", sender.Unknown, 401, false, "", sender.AccountDown, []string{"Check the connector's keys"}},
		{"403", sender.Unknown, 403, false, "", sender.AccountDown, []string{"proxy"}},
		{"429", sender.Throttled, 429, false, "slow down", sender.Throttled, []string{"slow down", "rateLimit"}},
		{"500", sender.Unknown, 500, false, "", sender.Unavailable, []string{"Try again later"}},
		{"a page", sender.Unknown, 200, false, "Log in", sender.Misconfigured, []string{"the answer (200 OK) is not the provider's; it says: Log in", "Something else"}},
		{"a code of its own", sender.Permanent, 400, true, "", sender.Permanent, []string{"old", "No message was sent"}},
		{"a failure of its own", sender.Unknown, 500, true, "", sender.Unavailable, []string{"old", "Try again later"}},
		{"a wrong key", sender.AccountDown, 403, true, "", sender.AccountDown, []string{"old"}},
	} {
		e := httpclient.ForCheck(&sender.Error{Class: c.class, Code: "HTTP", Detail: "old"}, c.status, c.own, c.text)
		got := e.Error() + ". " + e.WhatToDo()
		if e.Class != c.want || e.Code != "HTTP" {
			t.Errorf("%s: %s", c.name, got)
		}
		for _, part := range c.says {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s\nwithout %q", c.name, got, part)
			}
		}
		if c.status > 0 && strings.Contains(got, "check the network") {
			t.Errorf("%s blames the network: %s", c.name, got)
		}
	}
	if httpclient.ForCheck(nil, 200, true, "") != nil {
		t.Error("success became an error")
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"message":"it is wrong"}`:                       "it is wrong",
		`{"Code":"X","Message":"wrong"}`:                  "wrong",
		`{"error":{"x":1},"detail":"this"}`:               "this",
		`{"other":1}`:                                     "",
		"<html><HEAD><title>\n404 Not Found </title>":     "404 Not Found",
		"GET /?SecurityToken=secret was not understood\n": "",
		"": "",
	} {
		if got := (&httpclient.Answer{Body: []byte(body)}).Message(); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}
