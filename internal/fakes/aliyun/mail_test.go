package aliyun

import (
	"strings"
	"testing"
)

func TestSingleSendMail(t *testing.T) {
	f := start(t, Options{})
	a := f.call("SingleSendMail", params{"ToAddress": "Alice+x@Example.com,bob@example.org", "TextBody": "text"})
	if !a.ok() || a.json["EnvId"] == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	f.wantInbox(2)
	list := f.Inbox("alice+X@example.com")
	if len(list) != 1 {
		t.Fatalf("%d messages", len(list))
	}
	want := Message{
		Action: "SingleSendMail", To: "Alice+x@Example.com", Subject: "Your code",
		HTMLBody: "<p>123456 & more</p>", TextBody: "text",
		AccountName: "no-reply@mail.example.com", FromAlias: "Example", At: f.clock.now(),
		EnvID: a.json["EnvId"].(string), RequestID: a.json["RequestId"].(string),
	}
	if list[0] != want {
		t.Errorf("got  %+v\nwant %+v", list[0], want)
	}
}

func TestSingleSendMailRefuses(t *testing.T) {
	tests := map[string]struct {
		change params
		status int
		code   string
	}{
		"no AccountName":          {params{"AccountName": "-"}, 400, "MissingAccountName"},
		"no AddressType":          {params{"AddressType": "-"}, 400, "MissingAddressType"},
		"no ReplyToAddress":       {params{"ReplyToAddress": "-"}, 400, "MissingReplyToAddress"},
		"no ToAddress":            {params{"ToAddress": "-"}, 400, "MissingToAddress"},
		"no Subject":              {params{"Subject": "-"}, 400, "MissingSubject"},
		"AccountName":             {params{"AccountName": "no-reply"}, 404, "InvalidMailAddress.NotFound"},
		"AddressType":             {params{"AddressType": "2"}, 400, "InvalidParameter"},
		"ReplyToAddress":          {params{"ReplyToAddress": "True"}, 400, "InvalidParameter"},
		"empty ToAddress":         {params{"ToAddress": ""}, 400, "InvalidToAddress"},
		"ToAddress without @":     {params{"ToAddress": "alice"}, 400, "InvalidToAddress"},
		"ToAddress with two @":    {params{"ToAddress": "a@b@example.com"}, 400, "InvalidToAddress"},
		"ToAddress with a name":   {params{"ToAddress": "Alice <a@example.com>"}, 400, "InvalidToAddress"},
		"ToAddress without a dot": {params{"ToAddress": "a@localhost"}, 400, "InvalidToAddress"},
		"ToAddress with a space":  {params{"ToAddress": "a@example.com, b@example.com"}, 400, "InvalidToAddress"},
		"ToAddress, one is empty": {params{"ToAddress": "a@example.com,"}, 400, "InvalidToAddress"},
		"ToAddress, not ASCII":    {params{"ToAddress": "爱@example.com"}, 400, "InvalidToAddress"},
		"ToAddress, 101":          {params{"ToAddress": strings.Repeat("a@example.com,", 100) + "a@example.com"}, 400, "InvalidToAddress"},
		"ToAddress too long":      {params{"ToAddress": strings.Repeat("a", 181) + "@example.com"}, 400, "EmailLengthError"},
		"empty Subject":           {params{"Subject": ""}, 400, "InvalidSubject.Malformed"},
		"Subject too long":        {params{"Subject": strings.Repeat("码", 257)}, 400, "InvalidSubject.Malformed"},
		"Subject with a line end": {params{"Subject": "a\r\nBcc: b@example.com"}, 400, "InvalidSubject.Malformed"},
		"no body":                 {params{"HtmlBody": "-"}, 400, "InvalidBody"},
		"empty bodies":            {params{"HtmlBody": "", "TextBody": ""}, 400, "InvalidBody"},
		"FromAlias too long":      {params{"FromAlias": strings.Repeat("码", 15)}, 400, "InvalidFromAlias.Malformed"},
		"TagName":                 {params{"TagName": "a b"}, 400, "InvalidParameter"},
		"TagName too long":        {params{"TagName": strings.Repeat("a", 129)}, 400, "InvalidParameter"},
		"ReplyAddress":            {params{"ReplyAddress": "nobody"}, 400, "InvalidParameter"},
		"ClickTrace":              {params{"ClickTrace": "yes"}, 400, "InvalidParameter"},
		"Headers, no object":      {params{"Headers": "[]"}, 400, "InvalidParameter"},
		"Headers, 11": {
			params{"Headers": `{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":"","k":""}`},
			400, "InvalidParameter",
		},
	}
	f := start(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{f.Server, t, f.clock, f.http}
			f.wants(f.call("SingleSendMail", tt.change), tt.status, tt.code)
		})
	}
	f.wantInbox(0)
}

func TestSingleSendMailAccepts(t *testing.T) {
	f := start(t, Options{})
	for name, change := range map[string]params{
		"text alone":          {"HtmlBody": "-", "TextBody": "text"},
		"a random account":    {"AddressType": "0"},
		"256 characters":      {"Subject": strings.Repeat("码", 256)},
		"14 characters":       {"FromAlias": strings.Repeat("码", 14)},
		"no optional ones":    {"FromAlias": "-", "TagName": "-"},
		"empty optional ones": {"FromAlias": "", "TagName": "", "ClickTrace": ""},
		"all optional ones": {
			"ReplyAddress": "r@example.com", "ClickTrace": "1", "ReplyToAddress": "true",
			"Headers": `{"X-A":"1"}`, "UnSubscribeLinkType": "disabled", "IpPoolId": "x",
		},
	} {
		f.Reset()
		if a := f.call("SingleSendMail", change); !a.ok() {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		f.wantInbox(1)
	}
	f.Reset()
	if a := f.call("SingleSendMail", params{"ToAddress": strings.Repeat("a@example.com,", 99) + "a@example.com"}); !a.ok() {
		t.Errorf("100 recipients: %d %s", a.status, a.body)
	}
	f.wantInbox(100)
}

func TestDescAccountSummary(t *testing.T) {
	f := start(t, Options{})
	a := f.call("DescAccountSummary", nil)
	if !a.ok() || a.json["DailyQuota"] != 2000. || a.json["MonthQuota"] == nil || a.json["QuotaLevel"] == nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	f.wantInbox(0)
}
