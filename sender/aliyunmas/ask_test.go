package aliyunmas_test

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func ask(t testing.TB, s sender.Sender, m *sender.Message, since time.Time) (sender.Receipt, bool, error) {
	t.Helper()
	a, ok := s.(sender.Asker)
	if !ok {
		t.Fatal("no Asker")
	}
	return a.Ask(t.Context(), m, since)
}

// TestAsk asks about messages among more of the same number than one page holds.
func TestAsk(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	m := func(id string) *sender.Message {
		return &sender.Message{ID: id, To: digits, TemplateCode: "100001", TemplateParam: `{"code":"123456","min":"10"}`}
	}
	began := time.Now()
	for i := range 120 {
		if _, err := s.Send(t.Context(), m(fmt.Sprintf("id-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{"id-0": true, "id-60": true, "id-119": true, "id-120": false, "": false, "id": false} {
		r, found, err := ask(t, s, m(id), began)
		if err != nil || found != want || (r.RequestID != "") != want {
			t.Errorf("%q: %+v, found %v, %v", id, r, found, err)
		}
	}
	other := m("id-0")
	other.To = "13012345679"
	if _, found, err := ask(t, s, other, time.Time{}); err != nil || found {
		t.Errorf("another number: found %v, %v", found, err)
	}
	if n := sb.Requests(); n["QuerySendDetails"] > 40 || n["SendSmsVerifyCode"] != 120 || len(n) != 2 {
		t.Errorf("requests: %v", n)
	}
}

// TestAskKnowsItsOwnProductAlone: what went out by SendSms is none of these
// messages, though its OutId be the same.
func TestAskKnowsItsOwnProductAlone(t *testing.T) {
	_, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	sms, err := (&aliyunsms.Config{Account: aliyun.Account{AccessKeyID: sender.NewSecret(sandbox.DefaultKeyID), AccessKeySecret: sender.NewSecret(sandbox.DefaultKeySecret), Endpoint: endpoint}, SignName: "Example"}).New()
	if err != nil {
		t.Fatal(err)
	}
	m := &sender.Message{ID: "id-1", To: digits, TemplateCode: "SMS_1", TemplateParam: `{"code":"123456"}`}
	if _, err := sms.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	mas := at(t, endpoint)
	if _, found, err := ask(t, mas, m, time.Now()); err != nil || found {
		t.Errorf("SMS's message is found: %v, %v", found, err)
	}
	m.ID = "id-2"
	if _, err := mas.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if _, found, err := ask(t, sms, m, time.Now()); err != nil || found {
		t.Errorf("SMS finds this one: %v, %v", found, err)
	}
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
		s := at(t, sendertest.Serve(t, sendertest.Answer(200, body)).Endpoint)
		if _, found, err := ask(t, s, &sender.Message{ID: "id-1", To: digits}, time.Now()); err != nil || found != want {
			t.Errorf("%s: found %v, %v", body, found, err)
		}
	}
}

// TestAskWithoutATotal reads on until a page is empty.
func TestAskWithoutATotal(t *testing.T) {
	pages := map[string]string{"1": `[{"OutId":"a"}]`, "2": `[{"OutId":"id-1"}]`}
	srv := sendertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		sendertest.Answer(200, fmt.Sprintf(`{"Code":"OK","Model":%s}`, cmp.Or(pages[r.Form.Get("CurrentPage")], "[]")))(w, r)
	})
	s := at(t, srv.Endpoint)
	for id, want := range map[string]bool{"id-1": true, "id-2": false} {
		if _, found, err := ask(t, s, &sender.Message{ID: id, To: digits}, time.Now()); err != nil || found != want {
			t.Errorf("%s: found %v, %v", id, found, err)
		}
	}
}

func TestAskErrorsSayThatNothingIsKnown(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	for _, f := range []sandbox.Fault{
		{Code: "isp.SYSTEM_ERROR"}, {Code: "FUNCTION_NOT_OPENED"}, {HTTPStatus: 502}, {Drop: sandbox.DropBefore}, {Body: new(`{"Code":"OK"`)}, {Body: new("")},
	} {
		if err := sb.SetFaults([]sandbox.Fault{f}); err != nil {
			t.Fatal(err)
		}
		_, found, err := ask(t, s, &sender.Message{ID: "x", To: digits}, time.Now())
		if err == nil || found {
			t.Errorf("%+v: found %v, %v", f, found, err)
			continue
		}
		sendertest.Want(t, err, sender.AsError(err).Class)
		sendertest.Hides(t, err, digits)
	}
}

func check(t testing.TB, s sender.Sender) error {
	t.Helper()
	c, ok := s.(sender.Checker)
	if !ok {
		t.Fatal("no Checker")
	}
	return c.Check(t.Context())
}

func TestCheck(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	if err := check(t, at(t, endpoint)); err != nil {
		t.Error(err)
	}
	if n := sb.Requests(); n["QuerySendDetails"] != 1 || len(n) != 1 || len(sb.Inbox("")) != 0 {
		t.Errorf("a check is one harmless request: %v", n)
	}

	c := good()
	c.Endpoint, c.AccessKeySecret = endpoint, sender.NewSecret("wrong-secret")
	err := check(t, connector(t, c))
	if e := sendertest.Want(t, err, sender.AccountDown); e.Code != "SignatureDoesNotMatch" {
		t.Error(e)
	}
	sendertest.Hides(t, err, "wrong-secret", sandbox.DefaultKeySecret)

	for body, class := range map[string]sender.Class{
		"": sender.Unknown, "{}": sender.Unknown, "<html>": sender.Unknown,
		`{"Code":"isv.RAM_PERMISSION_DENY","Message":"RAM"}`: sender.AccountDown,
	} {
		sendertest.Want(t, check(t, at(t, sendertest.Serve(t, sendertest.Answer(200, body)).Endpoint)), class)
	}
	sendertest.Want(t, check(t, at(t, "http://127.0.0.1:1")), sender.Unavailable)
}
