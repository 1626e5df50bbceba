package aliyun_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

var statuses = []int{200, 302, 400, 403, 404, 429, 500, 502, 503}

// TestClassifyGoesByTheCode compares the catalogue with the help pages. A known code
// means the same with every status.
func TestClassifyGoesByTheCode(t *testing.T) {
	all := make(map[string]sendertest.Meaning)
	maps.Copy(all, sendertest.SMSCodes)
	maps.Copy(all, sendertest.VerifyCodes)
	maps.Copy(all, sendertest.MailCodes)
	maps.Copy(all, sendertest.GatewayCodes)
	all["isv.unknown"] = sendertest.Meaning{Class: sender.Permanent, Scope: sender.ScopeMessage}
	all["isp.unknown"] = sendertest.Meaning{Class: sender.Unknown, Scope: sender.ScopeConnector}
	for code, want := range all {
		for _, status := range statuses {
			class, scope := aliyun.Classify(code, status)
			if class != want.Class || scope != want.Scope {
				t.Errorf("%s with status %d is %s of the %v, want %s of the %v", code, status, class, scope, want.Class, want.Scope)
			}
		}
	}
}

func TestEveryRowSpeaksOfSomebody(t *testing.T) { sendertest.Scopes(t, aliyun.Rows) }

func TestClassifyOfWhatNobodyKnows(t *testing.T) {
	for _, code := range []string{"SomethingNew", "OK", "500", "isv", "throttling", "Missing"} {
		for _, status := range statuses {
			want, of := sender.Unknown, sender.ScopeConnector
			if status >= 400 && status < 500 {
				want, of = sender.Permanent, sender.ScopeMessage
			}
			if got, scope := aliyun.Classify(code, status); got != want || scope != of {
				t.Errorf("%s with status %d is %s of the %v, want %s of the %v", code, status, got, scope, want, of)
			}
		}
	}
	for _, status := range statuses {
		if got, scope := aliyun.Classify("", status); got != sender.Unknown || scope != sender.ScopeConnector {
			t.Errorf("no code with status %d is %s of the %v, want unknown of the connector", status, got, scope)
		}
	}
}

func TestNewErrorReadsTheWindow(t *testing.T) {
	for message, want := range map[string]time.Duration{
		"触发分钟级流控Permits:1":   time.Minute,
		"触发小时级流控Permits:5":   time.Hour,
		"触发天级流控Permits:10":   24 * time.Hour,
		"触发号码天级流控Permits:40": 24 * time.Hour,
		"触发流控":               0,
		"":                   0,
	} {
		t.Run(message, func(t *testing.T) {
			e := aliyun.NewError("isv.BUSINESS_LIMIT_CONTROL", message, "R-1", 200, nil)
			want := sender.Error{Class: sender.RecipientLimited, Scope: sender.ScopeRecipient, Code: "isv.BUSINESS_LIMIT_CONTROL", Detail: message, RequestID: "R-1", RetryAfter: want}
			if *e != want {
				t.Errorf("got %+v, want %+v", *e, want)
			}
		})
	}
	if e := aliyun.NewError("Throttling", "触发分钟级流控Permits:1", "", 400, nil); e.RetryAfter != 0 {
		t.Errorf("another code has no window, got %s", e.RetryAfter)
	}
}

// TestNewErrorReadsNoWindowOfOurs: a user's name can look like that of a window.
func TestNewErrorReadsNoWindowOfOurs(t *testing.T) {
	params := aliyun.Params{{Name: "TemplateParam", Value: `{"name":"分钟级的小安"}`}}
	if e := aliyun.NewError("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控: 分钟级的小安", "", 200, params); e.RetryAfter != 24*time.Hour {
		t.Errorf("it lasts %s", e.RetryAfter)
	}
}

// TestNewErrorKnowsTheWindow: if the message names no window, the code decides; otherwise
// the message does.
func TestNewErrorKnowsTheWindow(t *testing.T) {
	for _, c := range []struct {
		code, message string
		want          time.Duration
	}{
		{"biz.FREQUENCY", "check frequency failed", time.Minute},
		{"FREQUENCY_FAIL", "Check frequency fail.", time.Minute},
		{"BUSINESS_LIMIT_CONTROL", "The number has exceeded the limit for the day.", 24 * time.Hour},
		{"BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", time.Hour},
	} {
		e := aliyun.NewError(c.code, c.message, "", 400, nil)
		if e.Class != sender.RecipientLimited || e.RetryAfter != c.want {
			t.Errorf("%s %q: got %+v, want to wait %s", c.code, c.message, *e, c.want)
		}
	}
}

// TestNewErrorNamesTheKeys: the advice for keys that Aliyun refuses names their settings.
func TestNewErrorNamesTheKeys(t *testing.T) {
	for code, names := range map[string]bool{"InvalidAccessKeyId.NotFound": true, "SignatureDoesNotMatch": true, "InvalidSecurityToken.Expired": true, "isv.AMOUNT_NOT_ENOUGH": false} {
		e := aliyun.NewError(code, "", "", 400, nil)
		if got := strings.Contains(e.WhatToDo(), "accessKeyId and accessKeySecret"); got != names {
			t.Errorf("%s: the advice names the keys' settings: %t, want %t: %s", code, got, names, e.WhatToDo())
		}
	}
}

func TestNewErrorWithoutACode(t *testing.T) {
	e := aliyun.NewError("", "whatever "+phone, "R-1", 200, form(phone))
	if want := (sender.Error{Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.NoCode", Detail: "the provider's answer has no code", RequestID: "R-1"}); *e != want {
		t.Errorf("got %+v, want %+v", *e, want)
	}
}

func TestNewErrorRedactsTheMessage(t *testing.T) {
	long := strings.Repeat("流控", 200)
	for _, c := range []struct{ name, message, want string }{
		{"nothing to hide", "触发小时级流控Permits:5", "触发小时级流控Permits:5"},
		{"the number", phone + "invalid mobile number", "[hidden]invalid mobile number"},
		{"the code", "the value qx7z9k is illegal", "the value [hidden] is illegal"},
		{"the parameters", `the value {"code":"` + code + `"} is illegal`, "the value [hidden] is illegal"},
		{"the parameters in a URL", "TemplateParam=%7b%22code%22%3A%22" + code + "%22%7D&x", "TemplateParam=[hidden]&x"},
		{"the string to sign", "Wrong. server string to sign is:POST&%2F&x", "Wrong. server string to sign […]"},
		{"the string to sign, in lines", "Wrong. server string to sign is:\nPOST&%2F&\nx", "Wrong. server string to sign […]"},
		{"in another spelling", "Wrong: StringToSign is [POST]", "Wrong string to sign […]"},
		{"letters whose lower case is longer", strings.Repeat("Ⱥ", 100) + " String To Sign: " + phone, strings.Repeat("Ⱥ", 100) + " string to sign […]"},
		{"more than one line", "one\r\n two\tthree\n", "one two three"},
		{"too long", long, long[:200*len("流")] + "…"},
		{"the number where it is cut", strings.Repeat("x", 195) + phone, strings.Repeat("x", 195) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := aliyun.NewError("Any", c.message, "", 400, form(phone)).Detail; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestNewErrorRedactsTheRest: the code and the request's id are also the provider's text.
func TestNewErrorRedactsTheRest(t *testing.T) {
	e := aliyun.NewError("isv."+phone, "", "R-"+code, 400, form(phone))
	if e.Code != "isv.[hidden]" {
		t.Errorf("the code is %q", e.Code)
	}
	if e.RequestID != "[hidden]" {
		t.Errorf("the request's id is %q", e.RequestID)
	}
}

// TestNewErrorHidesEveryPrivateParameter, unchanged and URL-encoded.
func TestNewErrorHidesEveryPrivateParameter(t *testing.T) {
	const value = "Ann & 安 <x>"
	for _, name := range []string{"PhoneNumbers", "PhoneNumber", "TemplateParam", "ToAddress", "Subject", "HtmlBody", "TextBody"} {
		for _, written := range []string{
			value, strings.ToUpper(value), "Ann+%26+%E5%AE%89+%3Cx%3E", "Ann%20%26%20%e5%ae%89%20%3cx%3e",
			"Ann%2B%2526%2B%25E5%25AE%2589%2B%253Cx%253E",
		} {
			e := aliyun.NewError("Any", "refused: "+written+".", "", 400, aliyun.Params{{Name: name, Value: value}})
			if e.Detail != "refused: [hidden]." {
				t.Errorf("%s written %s: %q", name, written, e.Detail)
			}
		}
	}
	// What an operator must know is not hidden.
	e := aliyun.NewError("Any", "no signature Example-Sign", "", 200, aliyun.Params{{Name: "SignName", Value: "Example-Sign"}})
	sendertest.Equal(t, "the detail", e.Detail, "no signature Example-Sign")
}

// TestNewErrorHidesWhateverTheFormHolds: also values that are not UTF-8, or look like a
// regular expression.
func TestNewErrorHidesWhateverTheFormHolds(t *testing.T) {
	for _, v := range []string{"a.*(b", "\xff\xfe\xfdxyz", "$1$0{}", "[a-z]+"} {
		e := aliyun.NewError("Any", "refused: "+strings.ToValidUTF8(v, "\uFFFD")+".", "", 400, aliyun.Params{{Name: "Subject", Value: v}})
		if e.Detail != "refused: [hidden]." {
			t.Errorf("%q: %q", v, e.Detail)
		}
	}
	if e := aliyun.NewError("Any", "has 1 digit", "", 400, aliyun.Params{{Name: "Subject", Value: "1"}, {Name: "HtmlBody", Value: strings.Repeat("y", 1<<20)}}); e.Detail != "has 1 digit" {
		t.Errorf("a value of one character was hidden: %q", e.Detail)
	}
}
