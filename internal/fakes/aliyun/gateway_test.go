package aliyun

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestCommonChecks(t *testing.T) {
	at := func(d time.Duration) string { return newClock().now().Add(d).Format(timestampLayout) }
	tests := map[string]struct {
		change params
		status int
		code   string
	}{
		"no Action":                {params{"Action": "-"}, 400, "MissingAction"},
		"empty Action":             {params{"Action": ""}, 400, "MissingAction"},
		"unknown Action":           {params{"Action": "SendFax"}, 404, "InvalidAction.NotFound"},
		"Action in another case":   {params{"Action": "sendSms"}, 404, "InvalidAction.NotFound"},
		"no Version":               {params{"Version": "-"}, 400, "MissingVersion"},
		"another product's":        {params{"Version": "2015-11-23"}, 400, "InvalidVersion"},
		"no Format":                {params{"Format": "-"}, 400, "MissingFormat"},
		"XML":                      {params{"Format": "XML"}, 400, "InvalidParameter"},
		"no AccessKeyId":           {params{"AccessKeyId": "-"}, 400, "MissingAccessKeyId"},
		"empty AccessKeyId":        {params{"AccessKeyId": ""}, 400, "MissingAccessKeyId"},
		"unknown AccessKeyId":      {params{"AccessKeyId": "nobody"}, 404, "InvalidAccessKeyId.NotFound"},
		"no Timestamp":             {params{"Timestamp": "-"}, 400, "MissingTimestamp"},
		"Timestamp with an offset": {params{"Timestamp": "2026-11-21T20:00:00+08:00"}, 400, "InvalidTimeStamp.Format"},
		"Timestamp with fractions": {params{"Timestamp": "2026-11-21T12:00:00.5Z"}, 400, "InvalidTimeStamp.Format"},
		"Timestamp too old":        {params{"Timestamp": at(-15*time.Minute - time.Second)}, 400, "InvalidTimeStamp.Expired"},
		"Timestamp too new":        {params{"Timestamp": at(15*time.Minute + time.Second)}, 400, "InvalidTimeStamp.Expired"},
		"no SignatureMethod":       {params{"SignatureMethod": "-"}, 400, "MissingSignatureMethod"},
		"another SignatureMethod":  {params{"SignatureMethod": "HMAC-SHA256"}, 400, "InvalidParameter"},
		"no SignatureVersion":      {params{"SignatureVersion": "-"}, 400, "MissingSignatureVersion"},
		"another SignatureVersion": {params{"SignatureVersion": "2.0"}, 400, "InvalidParameter"},
		"a bearer token":           {params{"SignatureType": "BEARERTOKEN"}, 400, "InvalidParameter"},
		"no SignatureNonce":        {params{"SignatureNonce": "-"}, 400, "MissingSignatureNonce"},
		"no Signature":             {params{"Signature": "none"}, 400, "MissingSignature"},
		"empty Signature":          {params{"Signature": ""}, 400, "IncompleteSignature"},
		"wrong Signature":          {params{"Signature": "bm90IGl0"}, 400, "SignatureDoesNotMatch"},
		"a token not asked for":    {params{"SecurityToken": "t"}, 400, "InvalidSecurityToken.MismatchWithAccessKey"},
	}
	f := start(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{f.Server, t, f.clock, f.http}
			f.wants(f.call("SendSms", tt.change), tt.status, tt.code)
		})
	}
	f.wantInbox(0)

	for name, change := range map[string]params{
		"json in small letters": {"Format": "json"},
		"no SignatureType":      {"SignatureType": "-"},
		"no RegionId":           {"RegionId": "-"},
		"an empty token":        {"SecurityToken": ""},
		"old, but just not":     {"Timestamp": at(-14*time.Minute - 59*time.Second)},
		"new, but just not":     {"Timestamp": at(15 * time.Minute)},
	} {
		if a := f.call("DescAccountSummary", change); !a.ok() {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// The message shows the string that the server signed, unencrypted: clients must not log it.
func TestSignatureDoesNotMatchTellsTheStringToSign(t *testing.T) {
	f := start(t, Options{})
	for code, signature := range map[string]string{"SignatureDoesNotMatch": "x", "IncompleteSignature": ""} {
		p := f.common("SendSms").with(goodParams["SendSms"])
		a, err := f.post(t.Context(), p.with(params{"Signature": signature}))
		if err != nil {
			t.Fatal(err)
		}
		f.wants(a, 400, code)
		_, toSign, ok := strings.Cut(a.json["Message"].(string), "server string to sign is:")
		if !ok || toSign != stringToSign("POST", p) {
			t.Errorf("message %q", a.json["Message"])
		}
		if !strings.Contains(a.body, "123456") || !strings.Contains(a.body, "13012345678") {
			t.Errorf("neither code nor number in %s", a.body)
		}
	}
}

func TestSecurityToken(t *testing.T) {
	f := start(t, Options{Keys: []Key{{"STS.a", "testsecret", "token"}, {"other", "testsecret", ""}}})
	for _, tt := range []struct {
		name   string
		change params
		code   string
	}{
		{"right", params{"AccessKeyId": "STS.a", "SecurityToken": "token"}, ""},
		{"none", params{"AccessKeyId": "STS.a"}, "MissingSecurityToken"},
		{"empty", params{"AccessKeyId": "STS.a", "SecurityToken": ""}, "InvalidSecurityToken.Malformed"},
		{"wrong", params{"AccessKeyId": "STS.a", "SecurityToken": "tokem"}, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"without", params{"AccessKeyId": "other"}, ""},
	} {
		a := f.call("DescAccountSummary", tt.change)
		if tt.code == "" && !a.ok() || a.code() != tt.code {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
	}
	f.wants(f.call("DescAccountSummary", nil), 404, "InvalidAccessKeyId.NotFound")
}

func TestNonce(t *testing.T) {
	f := start(t, Options{Keys: []Key{{"testid", "testsecret", ""}, {"other", "testsecret", ""}}})
	once := params{"SignatureNonce": "once"}

	// Requests that fail a check do not use up the nonce.
	f.wants(f.call("SendSms", once.with(params{"Signature": "x"})), 400, "SignatureDoesNotMatch")
	f.wants(f.call("SendSms", once.with(params{"Version": "1"})), 400, "InvalidVersion")
	f.wants(f.call("SendSms", once.with(params{"AccessKeyId": "x"})), 404, "InvalidAccessKeyId.NotFound")

	f.wants(f.call("SendSms", once), 200, "OK")
	f.wants(f.call("SendSms", once), 400, "SignatureNonceUsed")
	f.wants(f.call("QuerySendDetails", once), 400, "SignatureNonceUsed")
	f.wants(f.call("SendSms", once.with(params{"AccessKeyId": "other"})), 200, "OK")
	f.clock.advance(timeWindow - time.Second)
	f.wants(f.call("SendSms", once), 400, "SignatureNonceUsed")
	f.clock.advance(time.Second)
	f.wants(f.call("SendSms", once), 200, "OK")

	// The expired ones are forgotten.
	for range 100 {
		f.call("DescAccountSummary", nil)
	}
	f.clock.advance(timeWindow)
	f.call("DescAccountSummary", nil)
	if used, log := len(f.nonces.used), f.nonces.log.len(); used != 1 || log != 1 {
		t.Errorf("%d nonces and %d times are kept", used, log)
	}
	f.wantInbox(3)
}

func TestGetAndPostAndWhereParametersStand(t *testing.T) {
	f := start(t, Options{})
	signed := func(method string) params {
		p := f.common("SendSms").with(goodParams["SendSms"])
		return p.with(params{"Signature": sign(stringToSign(method, p), "testsecret")})
	}
	do := func(method, query, contentType, body string) answer {
		t.Helper()
		a, err := f.do(t.Context(), method, "/?"+query, contentType, body)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	f.wants(do("GET", signed("GET").encode(), "", ""), 200, "OK")
	f.wants(do("GET", signed("POST").encode(), "", ""), 400, "SignatureDoesNotMatch")
	f.wants(do("POST", signed("POST").encode(), "", ""), 200, "OK")
	f.wants(do("POST", "", formType, signed("POST").encode()), 200, "OK")
	f.wants(do("POST", "", formType+"; charset=utf-8", signed("POST").encode()), 200, "OK")
	f.wants(do("POST", "", "application/json", signed("POST").encode()), 400, "MissingAction")
	f.wants(do("POST", "a=%25&b="+"%zz", formType, ""), 400, "InvalidParameter")
	f.wantInbox(4)

	// A HEAD request does not call the API.
	if a := do("HEAD", signed("HEAD").encode(), "", ""); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
	f.wantInbox(4)
}

func TestTooLong(t *testing.T) {
	f := start(t, Options{})
	long := strings.Repeat("x", maxURI)
	a, err := f.do(t.Context(), "POST", "/?HtmlBody="+long, formType, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusRequestURITooLong || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("a long query: %d %s", a.status, a.body)
	}
	// In the form it is fine.
	if a := f.call("SingleSendMail", params{"HtmlBody": long}); !a.ok() {
		t.Errorf("a long form: %d %s", a.status, a.body)
	}
	a, err = f.do(t.Context(), "POST", "/", formType, "HtmlBody="+strings.Repeat("x", maxBody))
	if err == nil && a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a very long form: %d %s", a.status, a.body)
	}
}
