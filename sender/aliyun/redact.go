package aliyun

import (
	"cmp"
	"regexp"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/redact"
)

// stringToSign matches where a message begins to repeat the whole request.
var stringToSign = regexp.MustCompile(`(?is)[ :,;]*string\s*to\s*sign.*`)

// redactor returns a redactor for answers to the sent parameters. Aliyun repeats a number
// that it refuses, and everything that was signed if the signature is wrong.
func redactor(sent Params) *redact.Redactor {
	private := redact.Message(&sender.Message{
		To:      cmp.Or(sent.Get("PhoneNumbers"), sent.Get("PhoneNumber"), sent.Get("ToAddress")),
		Subject: sent.Get("Subject"), FromAlias: sent.Get("FromAlias"), HTML: sent.Get("HtmlBody"), Text: sent.Get("TextBody"),
		TemplateParam: sent.Get("TemplateParam"),
	}, sent.Get("OIDCToken"))
	private.Own = []string{sent.Get("AccountName")}
	return redact.New(private)
}

// withoutSigned cuts off a message where it begins to repeat what was signed.
func withoutSigned(message string) string {
	return stringToSign.ReplaceAllString(message, " string to sign […]")
}
