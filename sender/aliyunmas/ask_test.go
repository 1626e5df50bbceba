package aliyunmas_test

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

func TestAsk(t *testing.T) {
	connectors.FindsAmongMany(t, "SendSmsVerifyCode", func(id string) *sender.Message {
		return &sender.Message{ID: id, To: digits, TemplateCode: "100001", TemplateParam: `{"code":"123456","min":"10"}`}
	})
}

// TestAskKnowsItsOwnProductAlone: a message sent by SendSms is not found, even with the
// same OutId.
func TestAskKnowsItsOwnProductAlone(t *testing.T) {
	_, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	smsConfig := &aliyunsms.Config{Account: aliyuntest.Keys(), SignName: "Example"}
	smsConfig.Endpoint = endpoint
	sms, err := smsConfig.New()
	if err != nil {
		t.Fatal(err)
	}
	m := &sender.Message{ID: "id-1", To: digits, TemplateCode: "SMS_1", TemplateParam: `{"code":"123456"}`}
	if _, err := sms.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	mas := connectors.At(t, endpoint)
	aliyuntest.WantFound(t, "a message of SMS", mas, m, time.Now(), false)
	m.ID = "id-2"
	if _, err := mas.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	aliyuntest.WantFound(t, "SMS, asked about this product's message", sms, m, time.Now(), false)
}

func TestAskReadsTheAnswer(t *testing.T) {
	for body, want := range map[string]bool{
		`{"Code":"OK","TotalCount":1,"Model":[{"OutId":"id-1","SendStatus":3}]}`: true,
		`{"Code":"OK","TotalCount":"1","Model":[{"OutId":"id-1"}]}`:              true,
		`{"Code":"OK","TotalCount":1,"Model":[{"OutId":"id-2"}]}`:                false,
		`{"Code":"OK","TotalCount":0,"Model":[]}`:                                false,
		`{"Code":"OK","TotalCount":0,"Model":null}`:                              false,
		`{"Code":"OK"}`: false,
		`{"Code":"OK","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"OutId":"id-1"}]}}`: false, // another product's
	} {
		s := connectors.At(t, faulty.Serve(t, faulty.Answer(200, body)).Endpoint)
		aliyuntest.WantFound(t, body, s, &sender.Message{ID: "id-1", To: digits}, time.Now(), want)
	}
}

// TestAskOfAContradiction: a contradictory answer gives an error, not "not found".
func TestAskOfAContradiction(t *testing.T) {
	for _, body := range []string{
		`{"Code":"OK","TotalCount":2,"Model":[]}`,
		`{"Code":"OK","TotalCount":2,"Model":null}`,
		`{"Code":"OK","TotalCount":2}`,
		`{"Code":"OK","TotalCount":"2"}`,
		`{"Code":"OK","TotalCount":0,"Model":[{"OutId":"id-2"}]}`,
		`{"Code":"OK","TotalCount":-1,"Model":[]}`,
		`{"Code":"OK","TotalCount":"many","Model":[]}`,
	} {
		s := connectors.At(t, faulty.Serve(t, faulty.Answer(200, body)).Endpoint)
		_, found, err := aliyuntest.Ask(t, s, &sender.Message{ID: "id-1", To: digits}, time.Now())
		if found {
			t.Errorf("%s: found", body)
		}
		sendertest.Want(t, err, sender.Unknown)
	}
}

// TestAskWithoutATotal: without a total, pages are read until one is empty.
func TestAskWithoutATotal(t *testing.T) {
	pages := map[string]string{"1": `[{"OutId":"a"}]`, "2": `[{"OutId":"id-1"}]`}
	srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		faulty.Answer(200, fmt.Sprintf(`{"Code":"OK","Model":%s}`, cmp.Or(pages[r.Form.Get("CurrentPage")], "[]")))(w, r)
	})
	s := connectors.At(t, srv.Endpoint)
	for id, want := range map[string]bool{"id-1": true, "id-2": false} {
		aliyuntest.WantFound(t, id, s, &sender.Message{ID: id, To: digits}, time.Now(), want)
	}
}

func TestAskErrorsSayThatNothingIsKnown(t *testing.T) {
	connectors.AskFails(t, fakealiyun.Fault{Code: "FUNCTION_NOT_OPENED"})
}

func TestCheck(t *testing.T) { connectors.Check(t, "QuerySendDetails", "isv.RAM_PERMISSION_DENY") }
