package aliyundm_test

import (
	"os"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// renders returns a function that fills in Logto's own sign-up mail, in HTML and as text, and
// the mail's size.
func renders(t testing.TB) (do func(), size int) {
	t.Helper()
	html, err := os.ReadFile("../../internal/template/testdata/sign-up.html")
	if err != nil {
		t.Fatal(err)
	}
	c := good()
	for i := range c.Templates {
		c.Templates[i] = sender.MailTemplate{UsageType: c.Templates[i].UsageType, Subject: "Your code is {{code}}", Content: string(html)}
	}
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	m := &messages.SendCode{ID: "01JDCT0000000000000000000A", To: "foo@example.com", Type: messages.Register, Payload: messages.Payload{"code": "123456"}}
	return func() {
		if _, err := s.Render(m); err != nil {
			t.Fatal(err)
		}
	}, len(html)
}

func BenchmarkRender(b *testing.B) {
	do, size := renders(b)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}

func TestAllocations(t *testing.T) {
	do, _ := renders(t)
	check.Allocs(t, "rendering a mail", 165, do)
}
