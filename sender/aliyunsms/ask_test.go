package aliyunsms_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

func asker(t *testing.T, url string) interface {
	sender.Sender
	sender.Asker
} {
	t.Helper()
	cfg := &aliyunsms.Config{
		Account: aliyun.Account{AccessKeyID: sender.NewSecret(sandbox.DefaultKeyID), AccessKeySecret: sender.NewSecret(sandbox.DefaultKeySecret), Endpoint: url}, SignName: "Example",
		Templates: []aliyunsms.Template{{UsageType: messages.Generic, TemplateCode: aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_2"}}},
	}
	s, err := cfg.New()
	if err != nil {
		t.Fatal(err)
	}
	return s.(interface {
		sender.Sender
		sender.Asker
	})
}

// TestAsk asks about messages among more of the same number than one page holds.
func TestAsk(t *testing.T) {
	box := sandbox.New(sandbox.Options{})
	web := httptest.NewServer(box)
	t.Cleanup(web.Close)
	t.Cleanup(box.Close)
	s := asker(t, web.URL)
	m := func(id string) *sender.Message {
		return &sender.Message{ID: id, To: "13012345678", TemplateCode: "SMS_1", TemplateParam: `{"code":"123456"}`}
	}
	began := time.Now()
	for i := range 120 {
		if _, err := s.Send(t.Context(), m(fmt.Sprintf("id-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{"id-0": true, "id-60": true, "id-119": true, "id-120": false, "": false, "id": false} {
		_, found, err := s.Ask(t.Context(), m(id), began)
		if err != nil || found != want {
			t.Errorf("%q: found %v, %v", id, found, err)
		}
	}
	other := m("id-0")
	other.To = "13012345679"
	if _, found, err := s.Ask(t.Context(), other, time.Time{}); err != nil || found {
		t.Errorf("another number: found %v, %v", found, err)
	}
	if n := box.Requests()["QuerySendDetails"]; n > 40 {
		t.Errorf("%d queries", n)
	}
}

func TestAskErrorsSayThatNothingIsKnown(t *testing.T) {
	box := sandbox.New(sandbox.Options{})
	web := httptest.NewServer(box)
	t.Cleanup(web.Close)
	t.Cleanup(box.Close)
	s := asker(t, web.URL)
	for _, f := range []sandbox.Fault{{Code: "isp.SYSTEM_ERROR"}, {HTTPStatus: 502}, {Drop: sandbox.DropBefore}, {Body: new(`{"Code":"OK"`)}, {Body: new("")}} {
		if err := box.SetFaults([]sandbox.Fault{f}); err != nil {
			t.Fatal(err)
		}
		_, found, err := s.Ask(t.Context(), &sender.Message{ID: "x", To: "13012345678"}, time.Now())
		if err == nil || found {
			t.Errorf("%+v: found %v, %v", f, found, err)
		}
		if err != nil && strings.Contains(err.Error(), "13012345678") {
			t.Errorf("the error holds the number: %v", err)
		}
	}
}
