package aliyunsms_test

import (
	"testing"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/sender"
)

func TestAsk(t *testing.T) {
	connectors.FindsAmongMany(t, "SendSms", func(id string) *sender.Message {
		return &sender.Message{ID: id, To: digits, TemplateCode: "SMS_1", TemplateParam: `{"code":"123456"}`}
	})
}

func TestAskErrorsSayThatNothingIsKnown(t *testing.T) {
	var contradictions []fakealiyun.Fault
	for _, body := range []string{
		`{"Code":"OK","TotalCount":2,"SmsSendDetailDTOs":{"SmsSendDetailDTO":[]}}`,
		`{"Code":"OK","TotalCount":"2","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"OutId":"y"}]}}`,
		`{"Code":"OK","TotalCount":"1"}`,
		`{"Code":"OK","TotalCount":"0","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"OutId":"y"}]}}`,
		`{"Code":"OK","TotalCount":"many","SmsSendDetailDTOs":{"SmsSendDetailDTO":[]}}`,
	} {
		contradictions = append(contradictions, fakealiyun.Fault{Body: &body})
	}
	connectors.AskFails(t, contradictions...)
}
