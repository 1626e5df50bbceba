package aliyun

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

func (f *fixture) getInbox(query string) (list []map[string]any) {
	f.t.Helper()
	a := f.control("GET", "/inbox"+query, "")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != 200 || list == nil {
		f.t.Fatalf("%d %s", a.status, a.body)
	}
	return list
}

func TestInboxOverHTTP(t *testing.T) {
	f := start(t, Options{})
	if a := f.control("GET", "/inbox", ""); a.body != "[]\n" {
		t.Errorf("empty: %s", a.body)
	}
	f.call("SendSms", params{"PhoneNumbers": "+8613012345678"})
	f.call("SingleSendMail", nil)
	f.call("SendSms", params{"PhoneNumbers": "85212345678"})

	list := f.getInbox("")
	if len(list) != 3 {
		t.Fatalf("the inbox is %v, want 3 messages", list)
	}
	check.Equal(t, "the newest recipient", list[0]["to"], any("85212345678"))
	check.Equal(t, "the oldest recipient", list[2]["to"], any("+8613012345678"))
	names := []string{
		"accountName", "action", "at", "bizId", "envId", "fromAlias", "htmlBody", "outId", "requestId",
		"signName", "subject", "templateCode", "templateParam", "textBody", "to",
	}
	for _, m := range list {
		if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, names) {
			t.Errorf("fields %v", got)
		}
		if m["at"] != "2026-11-21T12:00:00.123456789Z" {
			t.Errorf("at %v", m["at"])
		}
	}
	for query, want := range map[string]int{
		"?to=":                      3,
		"?to=+8613012345678":        1, // the plus arrives as a space
		"?to=%2B8613012345678":      1,
		"?to=8613012345678":         1,
		"?to=008613012345678":       1,
		"?to=13012345678":           1,
		"?to=+85212345678":          1,
		"?to=85212345678":           1,
		"?to=0085212345678":         1,
		"?to=13012345679":           0,
		"?to=3012345678":            0,
		"?to=alice+x@example.com":   1,
		"?to=ALICE%2Bx@EXAMPLE.com": 1,
		"?to=alice@example.com":     0,
		"?limit=2":                  2,
		"?limit=9":                  3,
	} {
		if got := len(f.getInbox(query)); got != want {
			t.Errorf("%s: %d messages, want %d", query, got, want)
		}
	}
	if list := f.getInbox("?limit=1"); list[0]["to"] != "85212345678" {
		t.Errorf("not the newest: %v", list)
	}
	for _, bad := range []string{"0", "-1", "x"} {
		if a := f.control("GET", "/inbox?limit="+bad, ""); a.status != 400 || !strings.Contains(a.body, "limit") {
			t.Errorf("limit %s: %d %s", bad, a.status, a.body)
		}
	}
	if a := f.control("DELETE", "/inbox", ""); a.status != 204 || a.body != "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	f.wantInbox(0)
}

func TestInboxDropsTheOldest(t *testing.T) {
	f := start(t, Options{MaxInbox: 3})
	for _, to := range []string{"13000000001", "13000000002", "13000000001", "13000000003", "13000000003"} {
		f.call("SendSms", params{"PhoneNumbers": to})
	}
	var got []string
	for _, m := range f.Inbox("") {
		got = append(got, m.To)
	}
	if want := []string{"13000000003", "13000000003", "13000000001"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for to, want := range map[string]int{"13000000001": 1, "13000000002": 0, "13000000003": 2} {
		if got := len(f.Inbox(to)); got != want {
			t.Errorf("%s: %d messages, want %d", to, got, want)
		}
	}
	if len(f.inbox.byTo) != 2 {
		t.Errorf("the index holds %d recipients", len(f.inbox.byTo))
	}
}

func TestSettings(t *testing.T) {
	f := start(t, Options{})
	want := func(body string) {
		t.Helper()
		if a := f.control("GET", "/settings", ""); a.body != body+"\n" {
			t.Errorf("%s, want %s", a.body, body)
		}
	}
	want(`{"flowControl":false}`)
	for body, names := range map[string]string{
		`{"flowcontrols":true}`:     "flowcontrols",
		`{"flowControl":"yes"}`:     "flowControl",
		`{"flowControl":true} true`: "after the JSON value",
		``:                          "EOF",
	} {
		if a := f.control("PUT", "/settings", body); a.status != 400 || !strings.Contains(a.body, names) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	want(`{"flowControl":false}`)
	if a := f.control("PUT", "/settings", `{"flowControl":true}`); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	want(`{"flowControl":true}`)
	f.control("PUT", "/settings", `{}`)
	want(`{"flowControl":true}`)
	f.wantSent(nil)
	f.wants(f.call("SendSms", nil), 200, "isv.BUSINESS_LIMIT_CONTROL")
	f.control("DELETE", "/inbox", "")
	f.wantSent(nil)
}

func TestRequests(t *testing.T) {
	f := start(t, Options{})
	if a := f.control("GET", "/requests", ""); a.body != "{}\n" {
		t.Errorf("%s", a.body)
	}
	f.call("SendSms", nil)
	f.call("SendSms", params{"PhoneNumbers": "1"})
	f.call("DescAccountSummary", params{"Signature": "x"})
	f.call("SingleSendMail", params{"Action": "SendFax"})
	f.setFaults(Fault{Drop: DropBefore, Count: 1})
	f.wantCut("SingleSendMail")
	f.Reset()
	want := map[string]int{"SendSms": 2, "DescAccountSummary": 1, "SingleSendMail": 1, "other": 1}
	if got := f.Requests(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if a := f.control("GET", "/requests", ""); a.body != `{"DescAccountSummary":1,"SendSms":2,"SingleSendMail":1,"other":1}`+"\n" {
		t.Errorf("%s", a.body)
	}
}

func TestPaths(t *testing.T) {
	f := start(t, Options{})
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 200},
		{"GET", "/?x=" + url.QueryEscape("Action=SendSms"), 200},
		{"GET", "/?Action=", 400},
		{"POST", "/", 400},
		{"PUT", "/", 405},
		{"GET", "/nothing", 404},
		{"POST", "/api", 404},
		{"GET", "/inbox/1", 404},
		{"POST", "/inbox", 405},
		{"DELETE", "/faults", 405},
		{"PUT", "/requests", 405},
	} {
		if a := f.control(tt.method, tt.path, ""); a.status != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, a.status, tt.status)
		}
	}
	a := f.control("GET", "/", "")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		t.Errorf("Content-Type is %q, want text/plain", a.header.Get("Content-Type"))
	}
	for _, path := range []string{"/inbox", "/faults", "/settings", "/requests"} {
		if !strings.Contains(a.body, path) {
			t.Errorf("the page does not name %s", path)
		}
	}
}

func TestDefaults(t *testing.T) {
	s := New(Options{})
	check.Equal(t, "the inbox's size", s.inbox.max, 100_000)
	check.Equal(t, "flow control", s.flow.on.Load(), false)
	check.Equal(t, "the secret of testid", s.keys["testid"].Secret, "testsecret")
	if d := time.Since(s.now()); d < 0 || d > time.Minute {
		t.Errorf("the clock is off by %v", d)
	}
	if list := s.Inbox("nobody@example.com"); list == nil || len(list) != 0 {
		t.Errorf("the inbox of nobody is %#v, want an empty list that is not nil", list)
	}
}
