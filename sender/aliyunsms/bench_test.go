package aliyunsms_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
)

// renders returns a function that chooses a template's code by the number and the language.
func renders(t testing.TB, to string) func() {
	t.Helper()
	s, err := good().New()
	if err != nil {
		t.Fatal(err)
	}
	m := &messages.SendCode{ID: "01JDCT0000000000000000000A", To: to, Type: messages.SignIn, Payload: messages.Payload{"code": "123456", "locale": "zh-CN"}}
	return func() {
		if _, err := s.Render(m); err != nil {
			t.Fatal(err)
		}
	}
}

const mainland, overseas = "+8613012345678", "+85291234567"

func BenchmarkRender(b *testing.B) {
	for name, to := range map[string]string{"mainland": mainland, "overseas": overseas} {
		b.Run(name, func(b *testing.B) {
			do := renders(b, to)
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

func TestAllocations(t *testing.T) {
	check.Allocs(t, "rendering for a mainland number", 4, renders(t, mainland))
	check.Allocs(t, "rendering for a number elsewhere", 44, renders(t, overseas))
}
