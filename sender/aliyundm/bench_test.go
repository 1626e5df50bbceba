package aliyundm_test

import (
	"os"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// BenchmarkRender fills in Logto's own sign-up mail, in HTML and as text.
func BenchmarkRender(b *testing.B) {
	html, err := os.ReadFile("../../internal/template/testdata/sign-up.html")
	if err != nil {
		b.Fatal(err)
	}
	c := good()
	for i := range c.Templates {
		c.Templates[i] = sender.MailTemplate{UsageType: c.Templates[i].UsageType, Subject: "Your code is {{code}}", Content: string(html)}
	}
	s, err := c.New()
	if err != nil {
		b.Fatal(err)
	}
	m := &messages.SendCode{ID: "01JDCT0000000000000000000A", To: "foo@example.com", Type: messages.Register, Payload: messages.Payload{"code": "123456"}}
	b.SetBytes(int64(len(html)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Render(m); err != nil {
			b.Fatal(err)
		}
	}
}
