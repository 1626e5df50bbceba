package aliyun

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

func TestSendSms(t *testing.T) {
	f := start(t, Options{})
	const param = `{ "code" : "123456" }`
	a := f.call("SendSms", params{"TemplateParam": param, "PhoneNumbers": "+8613012345678"})
	f.wants(a, 200, "OK")
	if a.json["Message"] != "OK" || !strings.HasSuffix(a.json["BizId"].(string), "^0") {
		t.Errorf("%s", a.body)
	}
	want := Message{
		Action: "SendSms", To: "+8613012345678", SignName: "示例", TemplateCode: "SMS_123456789",
		TemplateParam: param, OutID: "out-1", At: f.clock.now(),
		BizID: a.json["BizId"].(string), RequestID: a.json["RequestId"].(string),
	}
	if list := f.Inbox("13012345678"); len(list) != 1 || list[0] != want {
		t.Errorf("got  %+v\nwant %+v", list, want)
	}
}

func TestSmsNumbers(t *testing.T) {
	good := []string{
		"13012345678", "8613012345678", "+8613012345678", "008613012345678", // mainland
		"85212345678", "85366123456", "886912345678", "447911123456", "6581234567", // overseas
		"13012345678,13012345679", "13012345678,85212345678",
		strings.Repeat("13012345678,", 999) + "13012345678",
	}
	bad := []string{
		"", "1301234567", "130123456789", "23012345678901234", "+13012345678", "+85212345678", "0085212345678",
		"86130123456789", "861301234567", "8523", "130-1234-5678", " 13012345678", "13012345678 ", "１３０１２３４５６７８",
		"13012345678,", ",13012345678", "13012345678，13012345679", "13012345678, 13012345679", "alice@example.com",
	}
	f := start(t, Options{})
	for _, numbers := range good {
		f.Reset()
		f.wants(f.call("SendSms", params{"PhoneNumbers": numbers}), 200, "OK")
		f.wantInbox(strings.Count(numbers, ",") + 1)
	}
	f.Reset()
	for _, numbers := range bad {
		f.wants(f.call("SendSms", params{"PhoneNumbers": numbers}), 200, "isv.MOBILE_NUMBER_ILLEGAL")
	}
	f.wants(f.call("SendSms", params{"PhoneNumbers": strings.Repeat("13012345678,", 1000) + "13012345678"}), 200, "isv.MOBILE_COUNT_OVER_LIMIT")
	f.wantInbox(0)
}

func TestSendSmsRefuses(t *testing.T) {
	tests := map[string]struct {
		change params
		status int
		code   string
	}{
		"no PhoneNumbers":       {params{"PhoneNumbers": "-"}, 400, "MissingPhoneNumbers"},
		"no SignName":           {params{"SignName": "-"}, 400, "MissingSignName"},
		"no TemplateCode":       {params{"TemplateCode": "-"}, 400, "MissingTemplateCode"},
		"empty SignName":        {params{"SignName": ""}, 200, "isv.SMS_SIGNATURE_ILLEGAL"},
		"empty TemplateCode":    {params{"TemplateCode": ""}, 200, "isv.SMS_TEMPLATE_ILLEGAL"},
		"TemplateCode":          {params{"TemplateCode": "100001"}, 200, "isv.SMS_TEMPLATE_ILLEGAL"},
		"TemplateCode, letters": {params{"TemplateCode": "SMS_abc"}, 200, "isv.SMS_TEMPLATE_ILLEGAL"},
		"no TemplateParam":      {params{"TemplateParam": "-"}, 200, "isv.TEMPLATE_MISSING_PARAMETERS"},
		"empty TemplateParam":   {params{"TemplateParam": ""}, 200, "isv.TEMPLATE_MISSING_PARAMETERS"},
		"no variable":           {params{"TemplateParam": "{}"}, 200, "isv.TEMPLATE_MISSING_PARAMETERS"},
		"no JSON":               {params{"TemplateParam": "{code:123456}"}, 200, "isv.INVALID_JSON_PARAM"},
		"JSON and more":         {params{"TemplateParam": `{"code":"123456"} x`}, 200, "isv.INVALID_JSON_PARAM"},
		"a list":                {params{"TemplateParam": `["123456"]`}, 200, "isv.INVALID_JSON_PARAM"},
		"null":                  {params{"TemplateParam": `null`}, 200, "isv.INVALID_JSON_PARAM"},
		"a number":              {params{"TemplateParam": `{"code":123456}`}, 200, "isv.INVALID_PARAMETERS"},
		"a null":                {params{"TemplateParam": `{"code":null}`}, 200, "isv.INVALID_PARAMETERS"},
		"two variables":         {params{"TemplateParam": `{"code":"123456","min":"10"}`}, 200, "template_parameter_count_illegal"},
		"empty code":            {params{"TemplateParam": `{"code":""}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"code too short":        {params{"TemplateParam": `{"code":"123"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"code too long":         {params{"TemplateParam": `{"code":"1234567"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"code with a sign":      {params{"TemplateParam": `{"code":"123-56"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"code with a line end":  {params{"TemplateParam": `{"code":"12345\n"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"more than 35":          {params{"TemplateParam": `{"code":"` + strings.Repeat("1", 36) + `"}`}, 200, "isv.PARAM_LENGTH_LIMIT"},
		"a URL":                 {params{"TemplateParam": `{"code":"http://a.example/b"}`}, 200, "isv.PARAM_NOT_SUPPORT_URL"},
		"a bare domain":         {params{"TemplateParam": `{"code":"a.com"}`}, 200, "isv.PARAM_NOT_SUPPORT_URL"},
		"OutId too long":        {params{"OutId": strings.Repeat("o", 256)}, 200, "isv.INVALID_PARAMETERS"},
		"SmsUpExtendCode":       {params{"SmsUpExtendCode": "abc"}, 200, "isv.EXTEND_CODE_ERROR"},
	}
	f := start(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{f.Server, t, f.clock, f.http}
			f.wants(f.call("SendSms", tt.change), tt.status, tt.code)
		})
	}
	f.wantInbox(0)
	for _, change := range []params{
		{"TemplateParam": `{"any":"aB12"}`},
		{"OutId": strings.Repeat("码", 255)},
		{"OutId": "-"},
		{"SmsUpExtendCode": "90999"},
	} {
		f.wants(f.call("SendSms", change), 200, "OK")
	}
}

func TestSendSmsVerifyCode(t *testing.T) {
	f := start(t, Options{})
	a := f.call("SendSmsVerifyCode", nil)
	f.wants(a, 200, "OK")
	model, _ := a.json["Model"].(map[string]any)
	check.Equal(t, "Success", a.json["Success"], any(true))
	check.Equal(t, "OutId", model["OutId"], any("out-2"))
	check.Equal(t, "the model's RequestId", model["RequestId"], a.json["RequestId"])
	list := f.Inbox("+8613012345678")
	if len(list) != 1 {
		t.Fatalf("the inbox is %+v, want 1 message", list)
	}
	check.Equal(t, "BizID", any(list[0].BizID), model["BizId"])
	check.Equal(t, "TemplateParam", list[0].TemplateParam, goodParams["SendSmsVerifyCode"]["TemplateParam"])
	for _, change := range []params{
		{"CountryCode": "-"},
		{"CountryCode": ""},
		{"SchemeName": strings.Repeat("案", 20)},
		{"TemplateCode": "SMS_1"},
		{"TemplateParam": `{"code":"123456"}`},
		{"TemplateParam": `{"code":"aB345678"}`},
		{"OutId": strings.Repeat("o", 255)},
		{"CodeLength": "8", "CodeType": "7", "ValidTime": "600", "Interval": "60", "DuplicatePolicy": "2", "AutoRetry": "0", "ReturnVerifyCode": "false"},
		{"CodeLength": "", "CodeType": "", "ValidTime": "", "Interval": "", "DuplicatePolicy": "", "AutoRetry": "", "ReturnVerifyCode": ""},
	} {
		f.wants(f.call("SendSmsVerifyCode", change), 200, "OK")
	}
}

// TestInboxShowsVerifyCodes in the fields that a person reads.
func TestInboxShowsVerifyCodes(t *testing.T) {
	f := start(t, Options{})
	f.call("SendSmsVerifyCode", nil)
	list := f.getInbox("?to=+8613012345678")
	if len(list) != 1 {
		t.Fatalf("the inbox is %v, want 1 message", list)
	}
	for name, want := range map[string]string{
		"action": "SendSmsVerifyCode", "to": "13012345678", "signName": "示例验证码", "templateCode": "100001",
		"templateParam": `{"code":"1234","min":"10"}`, "outId": "out-2",
	} {
		if list[0][name] != want {
			t.Errorf("%s is %v, want %q", name, list[0][name], want)
		}
	}
	for _, name := range []string{"bizId", "requestId"} {
		if list[0][name] == "" {
			t.Errorf("%s is empty in %v", name, list[0])
		}
	}
}

func TestSendSmsVerifyCodeRefuses(t *testing.T) {
	tests := map[string]struct {
		change params
		status int
		code   string
	}{
		"no PhoneNumber":   {params{"PhoneNumber": "-"}, 400, "MissingPhoneNumber"},
		"no SignName":      {params{"SignName": "-"}, 400, "MissingSignName"},
		"no TemplateCode":  {params{"TemplateCode": "-"}, 400, "MissingTemplateCode"},
		"no TemplateParam": {params{"TemplateParam": "-"}, 400, "MissingTemplateParam"},
		"overseas":         {params{"PhoneNumber": "85212345678"}, 400, "MOBILE_NUMBER_ILLEGAL"},
		"another country":  {params{"CountryCode": "852"}, 400, "MOBILE_NUMBER_ILLEGAL"},
		"country in front": {params{"PhoneNumber": "8613012345678"}, 400, "MOBILE_NUMBER_ILLEGAL"},
		"two numbers":      {params{"PhoneNumber": "13012345678,13012345679"}, 400, "MOBILE_NUMBER_ILLEGAL"},
		"TemplateCode":     {params{"TemplateCode": "x"}, 200, "isv.SMS_TEMPLATE_ILLEGAL"},
		"no code":          {params{"TemplateParam": `{"min":"10"}`}, 200, "isv.TEMPLATE_MISSING_PARAMETERS"},
		"another variable": {params{"TemplateParam": `{"code":"1234","max":"10"}`}, 200, "template_parameter_count_illegal"},
		"a third variable": {params{"TemplateParam": `{"code":"1234","min":"1","max":"10"}`}, 200, "template_parameter_count_illegal"},
		"code":             {params{"TemplateParam": `{"code":"12"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"code too long":    {params{"TemplateParam": `{"code":"123456789"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"Aliyun's code":    {params{"TemplateParam": `{"code":"##code##"}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"empty min":        {params{"TemplateParam": `{"code":"1234","min":""}`}, 200, "isv.TEMPLATE_PARAMS_ILLEGAL"},
		"min is a number":  {params{"TemplateParam": `{"code":"1234","min":10}`}, 200, "isv.INVALID_PARAMETERS"},
		"SchemeName":       {params{"SchemeName": strings.Repeat("s", 21)}, 400, "INVALID_PARAMETERS"},
		"CodeLength 3":     {params{"CodeLength": "3"}, 400, "INVALID_PARAMETERS"},
		"CodeLength 9":     {params{"CodeLength": "9"}, 400, "INVALID_PARAMETERS"},
		"CodeType":         {params{"CodeType": "8"}, 400, "INVALID_PARAMETERS"},
		"ValidTime 0":      {params{"ValidTime": "0"}, 400, "INVALID_PARAMETERS"},
		"ValidTime":        {params{"ValidTime": "10m"}, 400, "INVALID_PARAMETERS"},
		"Interval 0":       {params{"Interval": "0"}, 400, "INVALID_PARAMETERS"},
		"Interval with +":  {params{"Interval": "+60"}, 400, "INVALID_PARAMETERS"},
		"DuplicatePolicy":  {params{"DuplicatePolicy": "0"}, 400, "INVALID_PARAMETERS"},
		"AutoRetry":        {params{"AutoRetry": "true"}, 400, "INVALID_PARAMETERS"},
		"ReturnVerifyCode": {params{"ReturnVerifyCode": "1"}, 400, "INVALID_PARAMETERS"},
		"empty SignName":   {params{"SignName": ""}, 200, "isv.SMS_SIGNATURE_ILLEGAL"},
		"OutId too long":   {params{"OutId": strings.Repeat("o", 256)}, 200, "isv.INVALID_PARAMETERS"},
	}
	f := start(t, Options{})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fixture{f.Server, t, f.clock, f.http}
			a := f.call("SendSmsVerifyCode", tt.change)
			f.wants(a, tt.status, tt.code)
			if tt.status == 200 && a.json["Success"] != false {
				t.Errorf("Success in %s", a.body)
			}
		})
	}
	f.wantInbox(0)
}
