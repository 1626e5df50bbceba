package aliyun

import (
	"fmt"
	"testing"
	"time"
)

func (a answer) details() (list []map[string]any) {
	dtos, _ := a.json["SmsSendDetailDTOs"].(map[string]any)
	for _, d := range dtos["SmsSendDetailDTO"].([]any) {
		list = append(list, d.(map[string]any))
	}
	return list
}

func TestQuerySendDetails(t *testing.T) {
	f := start(t, Options{})
	f.call("SingleSendMail", nil)
	bizID := f.call("SendSms", params{"PhoneNumbers": "+8613012345678"}).json["BizId"]
	f.call("SendSmsVerifyCode", nil) // the other product's
	f.clock.advance(time.Second)
	f.call("SendSms", params{"OutId": "out-3"})
	f.call("SendSms", params{"PhoneNumbers": "85212345678"})

	a := f.call("QuerySendDetails", nil)
	f.wants(a, 200, "OK")
	list := a.details()
	if a.json["TotalCount"] != "2" || len(list) != 2 {
		t.Fatalf("%s", a.body)
	}
	want := map[string]any{
		"ErrCode": "DELIVERED", "TemplateCode": "SMS_123456789", "OutId": "out-1",
		"ReceiveDate": "2026-11-21 20:00:00", "SendDate": "2026-11-21 20:00:00",
		"PhoneNum": "13012345678", "Content": "【示例】您的验证码为123456。", "SendStatus": 3.,
	}
	if fmt.Sprint(list[1]) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", list[1], want)
	}
	if list[0]["OutId"] != "out-3" || list[0]["SendDate"] != "2026-11-21 20:00:01" {
		t.Errorf("the newest is %v", list[0])
	}

	if list := f.call("QuerySendDetails", params{"BizId": bizID.(string)}).details(); len(list) != 1 || list[0]["OutId"] != "out-1" {
		t.Errorf("by BizId: %v", list)
	}
	if list := f.call("QuerySendDetails", params{"PhoneNumber": "85212345678"}).details(); len(list) != 1 || list[0]["PhoneNum"] != "85212345678" {
		t.Errorf("overseas: %v", list)
	}
	if list := f.call("QuerySendDetails", params{"PhoneNumber": "13099999999"}).details(); len(list) != 0 {
		t.Errorf("nobody's: %v", list)
	}
}

func (a answer) model() (list []map[string]any) {
	for _, d := range a.json["Model"].([]any) {
		list = append(list, d.(map[string]any))
	}
	return list
}

// TestQuerySendDetailsOfVerifyCodes: Model has these messages and no others.
func TestQuerySendDetailsOfVerifyCodes(t *testing.T) {
	f := start(t, Options{})
	a := f.call("QuerySendDetails", nil)
	if a.json["Success"] != true || len(a.model()) != 0 || a.json["TotalCount"] != "0" {
		t.Errorf("nothing was sent: %s", a.body)
	}
	f.call("SendSms", nil)
	bizID := f.call("SendSmsVerifyCode", nil).json["Model"].(map[string]any)["BizId"].(string)
	f.call("SendSmsVerifyCode", params{"OutId": "out-3"})
	f.call("SendSmsVerifyCode", params{"PhoneNumber": "13012345679"})

	a = f.call("QuerySendDetails", nil)
	f.wants(a, 200, "OK")
	list := a.model()
	if a.json["TotalCount"] != "2" || len(list) != 2 || list[0]["OutId"] != "out-3" || len(a.details()) != 1 {
		t.Fatalf("%s", a.body)
	}
	want := map[string]any{
		"ErrCode": "DELIVERED", "TemplateCode": "100001", "OutId": "out-2",
		"ReceiveDate": "2026-11-21 20:00:00", "SendDate": "2026-11-21 20:00:00",
		"PhoneNum": "13012345678", "Content": "【示例验证码】您的验证码为1234。", "SendStatus": 3.,
	}
	if fmt.Sprint(list[1]) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", list[1], want)
	}
	if list := f.call("QuerySendDetails", params{"BizId": bizID}).model(); len(list) != 1 || list[0]["OutId"] != "out-2" {
		t.Errorf("by BizId: %v", list)
	}
	for page, want := range map[string]string{"1": "out-3", "2": "out-2", "3": ""} {
		list := f.call("QuerySendDetails", params{"PageSize": "1", "CurrentPage": page}).model()
		if len(list) != len(want)/5 || want != "" && list[0]["OutId"] != want {
			t.Errorf("page %s: %v, want %q", page, list, want)
		}
	}
}

func TestQuerySendDetailsDayInChina(t *testing.T) {
	f := start(t, Options{})
	f.clock.advance(4*time.Hour - time.Second) // 23:59:59 there
	f.call("SendSms", params{"OutId": "before"})
	f.clock.advance(time.Second)
	f.call("SendSms", params{"OutId": "after"})
	for day, want := range map[string]string{"20261121": "before", "20261122": "after"} {
		list := f.call("QuerySendDetails", params{"SendDate": day}).details()
		if len(list) != 1 || list[0]["OutId"] != want {
			t.Errorf("%s: %v", day, list)
		}
	}
}

func TestQuerySendDetailsPages(t *testing.T) {
	f := start(t, Options{})
	for i := range 5 {
		f.call("SendSms", params{"OutId": fmt.Sprint(i)})
	}
	for page, want := range map[string]string{"1": "4 3 ", "2": "2 1 ", "3": "0 ", "4": ""} {
		a := f.call("QuerySendDetails", params{"PageSize": "2", "CurrentPage": page})
		got := ""
		for _, d := range a.details() {
			got += d["OutId"].(string) + " "
		}
		if got != want || a.json["TotalCount"] != "5" {
			t.Errorf("page %s: %q of %v, want %q", page, got, a.json["TotalCount"], want)
		}
	}
}

func TestQuerySendDetailsRefuses(t *testing.T) {
	tests := map[string]struct {
		change params
		status int
		code   string
	}{
		"no PhoneNumber":         {params{"PhoneNumber": "-"}, 400, "MissingPhoneNumber"},
		"no SendDate":            {params{"SendDate": "-"}, 400, "MissingSendDate"},
		"no PageSize":            {params{"PageSize": "-"}, 400, "MissingPageSize"},
		"no CurrentPage":         {params{"CurrentPage": "-"}, 400, "MissingCurrentPage"},
		"PhoneNumber with +":     {params{"PhoneNumber": "+8613012345678"}, 200, "isv.MOBILE_NUMBER_ILLEGAL"},
		"PhoneNumber with 86":    {params{"PhoneNumber": "8613012345678"}, 200, "isv.MOBILE_NUMBER_ILLEGAL"},
		"empty PhoneNumber":      {params{"PhoneNumber": ""}, 200, "isv.MOBILE_NUMBER_ILLEGAL"},
		"SendDate":               {params{"SendDate": "2026-11-21"}, 200, "isv.INVALID_PARAMETERS"},
		"SendDate, no day":       {params{"SendDate": "20261131"}, 200, "isv.INVALID_PARAMETERS"},
		"PageSize 0":             {params{"PageSize": "0"}, 200, "isv.INVALID_PARAMETERS"},
		"PageSize 51":            {params{"PageSize": "51"}, 200, "isv.INVALID_PARAMETERS"},
		"PageSize, no number":    {params{"PageSize": "x"}, 200, "isv.INVALID_PARAMETERS"},
		"CurrentPage 0":          {params{"CurrentPage": "0"}, 200, "isv.INVALID_PARAMETERS"},
		"CurrentPage, no number": {params{"CurrentPage": ""}, 200, "isv.INVALID_PARAMETERS"},
		"PageSize too large":     {params{"PageSize": "9223372036854775807"}, 200, "isv.INVALID_PARAMETERS"},
	}
	f := start(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{f.Server, t, f.clock, f.http}
			f.wants(f.call("QuerySendDetails", tt.change), tt.status, tt.code)
		})
	}
}
