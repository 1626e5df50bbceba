package aliyunsms_test

import (
	"testing"

	"github.com/codeferry/codeferry/messages"
)

// BenchmarkRender chooses a template's code by the number and the language.
func BenchmarkRender(b *testing.B) {
	s, err := good().New()
	if err != nil {
		b.Fatal(err)
	}
	for name, to := range map[string]string{"mainland": "+8613012345678", "overseas": "+85291234567"} {
		b.Run(name, func(b *testing.B) {
			m := &messages.SendCode{ID: "01JDCT0000000000000000000A", To: to, Type: messages.SignIn, Payload: messages.Payload{"code": "123456", "locale": "zh-CN"}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Render(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
