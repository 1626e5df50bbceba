package aliyun

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

func TestV3Refused(t *testing.T) {
	at := func(d time.Duration) string { return newClock().now().Add(d).Format(timestampLayout) }
	set := func(name, value string) func(*signedV3) {
		return func(r *signedV3) { r.header[name] = value }
	}
	without := func(name string) func(*signedV3) {
		return func(r *signedV3) { delete(r.header, name) }
	}
	unsigned := func(name string) func(*signedV3) {
		return func(r *signedV3) {
			names := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
			r.signed = slices.DeleteFunc(names, func(n string) bool { return n == name })
		}
	}
	body := func(contentType, text string) func(*signedV3) {
		return func(r *signedV3) { r.in(contentType, text) }
	}
	header := func(old, replacement string) func(*signedV3) {
		return func(r *signedV3) {
			r.header["authorization"] = strings.Replace(r.header["authorization"], old, replacement, 1)
		}
	}
	tests := map[string]struct {
		// before changes the request before it is signed, after when it is.
		before, after func(*signedV3)
		status        int
		code          string
	}{
		"wrong secret":  {func(r *signedV3) { r.secret = "wrong" }, nil, 400, "SignatureDoesNotMatch"},
		"unknown key":   {func(r *signedV3) { r.key = "nobody" }, nil, 404, "InvalidAccessKeyId.NotFound"},
		"token unasked": {set("x-acs-security-token", "t"), nil, 400, "InvalidSecurityToken.MismatchWithAccessKey"},

		"no action":            {without("x-acs-action"), nil, 400, "MissingAction"},
		"unknown action":       {set("x-acs-action", "SendFax"), nil, 404, "InvalidAction.NotFound"},
		"no version":           {without("x-acs-version"), nil, 400, "MissingVersion"},
		"another version":      {set("x-acs-version", "2015-11-23"), nil, 400, "InvalidVersion"},
		"XML":                  {func(r *signedV3) { r.query += "&Format=XML" }, nil, 400, "InvalidParameter"},
		"no date":              {without("x-acs-date"), nil, 400, "MissingTimestamp"},
		"date with fractions":  {set("x-acs-date", "2026-11-21T12:00:00.5Z"), nil, 400, "InvalidTimeStamp.Format"},
		"date with an offset":  {set("x-acs-date", "2026-11-21T20:00:00+08:00"), nil, 400, "InvalidTimeStamp.Format"},
		"date too old":         {set("x-acs-date", at(-15*time.Minute-time.Second)), nil, 400, "InvalidTimeStamp.Expired"},
		"date too new":         {set("x-acs-date", at(15*time.Minute+time.Second)), nil, 400, "InvalidTimeStamp.Expired"},
		"no nonce":             {without("x-acs-signature-nonce"), nil, 400, "MissingSignatureNonce"},
		"empty nonce":          {set("x-acs-signature-nonce", ""), nil, 400, "MissingSignatureNonce"},
		"no hash":              {nil, without("x-acs-content-sha256"), 400, "IncompleteSignature"},
		"no hash, nor signed":  {unsigned("x-acs-content-sha256"), without("x-acs-content-sha256"), 400, "IncompleteSignature"},
		"hash of another body": {set("x-acs-content-sha256", strings.Repeat("0", 64)), nil, 400, "SignatureDoesNotMatch"},

		"no Authorization":      {nil, without("authorization"), 400, "MissingAccessKeyId"},
		"another Authorization": {nil, set("authorization", "Bearer x"), 400, "IncompleteSignature"},
		"another algorithm":     {nil, header("SHA256", "SM3"), 400, "InvalidSignatureMethod"},
		"no Credential":         {nil, header("Credential=testid,", ""), 400, "IncompleteSignature"},
		"empty Signature":       {nil, func(r *signedV3) { cutSignature(r) }, 400, "IncompleteSignature"},
		"another Signature":     {nil, func(r *signedV3) { cutSignature(r); r.header["authorization"] += "0" }, 400, "SignatureDoesNotMatch"},
		"capital hex": {nil, func(r *signedV3) {
			hex := cutSignature(r)
			r.header["authorization"] += strings.ToUpper(hex)
		}, 400, "SignatureDoesNotMatch"},

		"host is not signed":    {unsigned("host"), nil, 400, "IncompleteSignature"},
		"action is not signed":  {unsigned("x-acs-action"), nil, 400, "IncompleteSignature"},
		"version is not signed": {unsigned("x-acs-version"), nil, 400, "IncompleteSignature"},
		"date is not signed":    {unsigned("x-acs-date"), nil, 400, "IncompleteSignature"},
		"nonce is not signed":   {unsigned("x-acs-signature-nonce"), nil, 400, "IncompleteSignature"},
		"hash is not signed":    {unsigned("x-acs-content-sha256"), nil, 400, "IncompleteSignature"},
		"type is not signed": {func(r *signedV3) {
			unsigned("")(r)
			r.typed("application/json")
		}, nil, 400, "IncompleteSignature"},
		"another x-acs- is not signed": {func(r *signedV3) {
			unsigned("")(r)
			r.header["x-acs-accesskey-id"] = "testid"
		}, nil, 400, "IncompleteSignature"},
		"signed, but not there": {func(r *signedV3) {
			unsigned("")(r)
			r.signed = append(r.signed, "x-acs-x")
		}, nil, 400, "IncompleteSignature"},
		"signed names not sorted": {func(r *signedV3) {
			unsigned("")(r)
			slices.Reverse(r.signed)
		}, nil, 400, "IncompleteSignature"},

		"another host":         {nil, set("host", "another.example"), 400, "SignatureDoesNotMatch"},
		"another parameter":    {nil, func(r *signedV3) { r.query += "&OutId=2" }, 400, "SignatureDoesNotMatch"},
		"another method":       {nil, func(r *signedV3) { r.method = "GET" }, 400, "SignatureDoesNotMatch"},
		"another body":         {body(formType, "OutId=1"), func(r *signedV3) { r.body = "OutId=2" }, 400, "SignatureDoesNotMatch"},
		"another nonce":        {nil, set("x-acs-signature-nonce", "another"), 400, "SignatureDoesNotMatch"},
		"form as another type": {body("text/plain", goodParams["SendSms"].encode()), nil, 400, "MissingPhoneNumbers"},
		"bad form":             {body(formType, "a=%"), nil, 400, "InvalidParameter"},
		"bad JSON":             {body("application/json", "{"), nil, 400, "InvalidParameter"},
		"JSON null":            {body("application/json", "null"), nil, 400, "InvalidParameter"},
		"object in JSON":       {body("application/json", `{"TemplateParam":{"code":"123456"}}`), nil, 400, "InvalidParameter"},
		"list in JSON":         {body("application/json", `{"PhoneNumbers":["13012345678"]}`), nil, 400, "InvalidParameter"},
	}
	f := start(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{f.Server, t, f.clock, f.http}
			r := f.v3("SendSms", goodParams["SendSms"])
			if tt.before != nil {
				tt.before(r)
			}
			r.sign()
			if tt.after != nil {
				tt.after(r)
			}
			f.wants(f.send(r), tt.status, tt.code)
		})
	}
	f.wantInbox(0)
}

func TestV3SecurityToken(t *testing.T) {
	f := start(t, Options{Keys: []Key{{"STS.a", "testsecret", "token"}}})
	for name, tt := range map[string]struct {
		token map[string]string
		code  string
	}{
		"right": {map[string]string{"x-acs-security-token": "token"}, ""},
		"none":  {nil, "MissingSecurityToken"},
		"empty": {map[string]string{"x-acs-security-token": ""}, "InvalidSecurityToken.Malformed"},
		"wrong": {map[string]string{"x-acs-security-token": "tokem"}, "InvalidSecurityToken.MismatchWithAccessKey"},
	} {
		r := f.v3("DescAccountSummary", nil)
		r.key = "STS.a"
		maps.Copy(r.header, tt.token)
		if a := f.send(r.sign()); tt.code == "" && !a.ok() || a.code() != tt.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// TestV3Nonce: a nonce is used once, whichever signature it comes with, and only an otherwise
// valid request uses it up.
func TestV3Nonce(t *testing.T) {
	f := start(t, Options{})
	once := func(secret string) answer {
		r := f.v3("SendSms", goodParams["SendSms"])
		r.secret, r.header["x-acs-signature-nonce"] = secret, "once"
		return f.send(r.sign())
	}
	f.wants(once("wrong"), 400, "SignatureDoesNotMatch")
	f.wants(once("testsecret"), 200, "OK")
	f.wants(once("testsecret"), 400, "SignatureNonceUsed")
	f.wants(f.call("SendSms", params{"SignatureNonce": "once"}), 400, "SignatureNonceUsed")
	f.clock.advance(timeWindow)
	f.wants(once("testsecret"), 200, "OK")
	f.wantInbox(2)
}

// TestV3Explains: a refusal shows what the server signed, with number and code: clients must
// not log it. It also says what a signature lacks.
func TestV3Explains(t *testing.T) {
	f := start(t, Options{})
	r := f.v3("SendSms", goodParams["SendSms"])
	r.secret = "wrong"
	a := f.send(r.sign())
	f.wants(a, 400, "SignatureDoesNotMatch")
	message, _ := a.json["Message"].(string)
	for _, part := range []string{"server StringToSign is [ACS3-HMAC-SHA256\n", "server CanonicalRequest is [POST\n/\nOutId=", "13012345678", "123456"} {
		check.True(t, "the message has "+part, strings.Contains(message, part), message)
	}

	r = f.v3("SendSms", nil).in(formType, "OutId=1")
	r.header["x-acs-content-sha256"] = "0"
	a = f.send(r.sign())
	f.wants(a, 400, "SignatureDoesNotMatch")
	message, _ = a.json["Message"].(string)
	check.True(t, "the message ends with the hash of the body", strings.HasSuffix(message, fmt.Sprintf("\n%x]", sha256.Sum256([]byte("OutId=1")))), message)

	r = f.v3("SendSms", goodParams["SendSms"])
	r.signed = []string{"host"}
	a = f.send(r.sign())
	f.wants(a, 400, "IncompleteSignature")
	check.Equal(t, "the message", a.json["Message"], any("The request signature does not conform to Aliyun standards. SignedHeaders has no x-acs-action."))
}
