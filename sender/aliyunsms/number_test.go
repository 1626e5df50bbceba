package aliyunsms

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// TestANumberOfCountryCode1 must not reach the owner of the same number in China.
func TestANumberOfCountryCode1(t *testing.T) {
	for overseas, ok := range map[string]bool{"SMS_1": false, "SMS_2": true} {
		cfg := &Config{Templates: []Template{{UsageType: messages.Generic, TemplateCode: TemplateCode{China: "SMS_1", Overseas: overseas}}}, Account: aliyun.Account{Endpoint: "http://127.0.0.1:1"}}
		s, err := cfg.New()
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Render(&messages.SendCode{To: "+13012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
		if (err == nil) != ok || ok && (m.To != "13012345678" || m.TemplateCode != "SMS_2") {
			t.Errorf("overseas template %s: %+v, %v", overseas, m, err)
		}
		if ok {
			continue
		}
		// The number is valid: an operator has to fix the template.
		e := sender.AsError(err)
		if e.Class != sender.Misconfigured || e.SpeaksOf() != sender.ScopeTemplate || !strings.Contains(e.Advice, "Generic") || !strings.Contains(e.Advice, "templateCode.overseas") {
			t.Errorf("the error is %v of the %v with the advice %q, want misconfigured of the template, and the template and its setting in the advice", e, e.SpeaksOf(), e.Advice)
		}
	}
}
