package aliyunsms

import (
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// TestANumberOfCountryCode1 must not reach whoever has it in China.
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
	}
}
