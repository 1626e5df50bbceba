package aliyun

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// TestV3OfTheDocumentation checks the example of Aliyun's documentation.
func TestV3OfTheDocumentation(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "POST",
		"http://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", http.NoBody)
	for name, value := range map[string]string{
		"x-acs-action": "RunInstances", "x-acs-version": "2014-05-26", "x-acs-date": "2023-10-26T10:22:32Z",
		"x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
		"x-acs-content-sha256":  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"Authorization": "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
			"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
	} {
		r.Header.Set(name, value)
	}
	c, err := newCall(r, "")
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "the action", c.action, "RunInstances")
	check.Equal(t, "AccessKeyId", c.common["AccessKeyId"], "YourAccessKeyId")
	check.Equal(t, "the image", c.params["ImageId"], "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")
	if e := c.signature.wellFormed(); e != nil {
		t.Errorf("not well formed: %+v", e)
	}
	if e := c.signature.verify("YourAccessKeySecret"); e != nil {
		t.Errorf("not verified: %+v", e)
	}
	if e := c.signature.verify("another"); e == nil || !strings.Contains(e.message, "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259") {
		t.Errorf("with another secret: %+v", e)
	}
}

// TestV3OfTheSDK checks signatures that Aliyun's SDK for Node.js has made (openapi-core 1.0.8,
// OpenApiUtil.getAuthorization).
func TestV3OfTheSDK(t *testing.T) {
	const common = "x-acs-date;x-acs-signature-nonce;x-acs-version,Signature="
	tests := map[string]struct {
		host, action, nonce, query, body string
		header                           map[string]string
		authorization                    string
	}{
		"SMS in the query": {
			host: "dysmsapi.aliyuncs.com", action: "SendSms", nonce: "n1",
			query: "PhoneNumbers=13012345678&SignName=%E7%A4%BA%E4%BE%8B%20*~%2B!&TemplateCode=SMS_1&TemplateParam=%7B%22code%22%3A%22123456%22%7D&OutId=",
			authorization: "testid,SignedHeaders=host;x-acs-action;x-acs-content-sha256;" + common +
				"6cdf9e832d0f7b7f5fff36199ebaae938987567aede47dc6a191e86ce089e3d0",
		},
		"mail in a form": {
			host: "dm.aliyuncs.com", action: "SingleSendMail", nonce: "n2",
			body: "AccountName=no-reply%40mail.example.com&AddressType=1&ReplyToAddress=false&ToAddress=alice%40example.com" +
				"&Subject=%E4%BB%A3%E7%A0%81%20%26%20%2B%20*%20~%20'%20(%20)%20!&HtmlBody=%3Cp%3E123456%3C%2Fp%3E",
			header: map[string]string{"content-type": formType},
			authorization: "testid,SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;" + common +
				"6dd3810ec683c9045b764c4dc4146308d850d60084b7fb6bef59e49d1f8cafef",
		},
		"a code with a temporary key": {
			host: "dypnsapi.aliyuncs.com", action: "SendSmsVerifyCode", nonce: "n3",
			query:  "PhoneNumber=13012345678&SignName=%E7%A4%BA%E4%BE%8B&TemplateCode=100001&TemplateParam=%7B%22code%22%3A%221234%22%2C%22min%22%3A%225%22%7D",
			header: map[string]string{"x-acs-credentials-provider": "static_sts", "x-acs-accesskey-id": "STS.a", "x-acs-security-token": "to/ken+=="},
			authorization: "STS.a,SignedHeaders=host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-credentials-provider;" +
				"x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version,Signature=3bcbfc8d5fb62e23e2b8f17e6abff8e5a8058d3bc4732ce7e241bdad34d5f406",
		},
	}
	f := start(t, Options{Keys: []Key{{"testid", "testsecret", ""}, {"STS.a", "testsecret", "to/ken+=="}}})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := f.v3(tt.action, nil)
			r.query, r.body = tt.query, tt.body
			maps.Copy(r.header, tt.header)
			maps.Copy(r.header, map[string]string{
				"host": tt.host, "x-acs-signature-nonce": tt.nonce, "x-acs-date": "2026-11-21T12:00:00Z",
				"x-acs-content-sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(tt.body))),
				"authorization":        "ACS3-HMAC-SHA256 Credential=" + tt.authorization,
			})
			if a := f.send(r); !a.ok() {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	f.wantInbox(3)
	m := f.Inbox("alice@example.com")
	if len(m) != 1 || m[0].Subject != "代码 & + * ~ ' ( ) !" {
		t.Errorf("the mail is %+v", m)
	}
}

// TestV3Everywhere: each action takes its parameters from the query, a form and a JSON object.
func TestV3Everywhere(t *testing.T) {
	f := start(t, Options{})
	for action, p := range goodParams {
		object, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for where, r := range map[string]*signedV3{
			"query":        f.v3(action, p),
			"form":         f.v3(action, nil).in(formType, p.encode()),
			"JSON":         f.v3(action, nil).in("application/json; charset=utf-8", string(object)),
			"query, typed": f.v3(action, p).typed("application/json"),
		} {
			if a := f.send(r.sign()); !a.ok() {
				t.Errorf("%s, %s: %d %s", action, where, a.status, a.body)
			}
		}
		get := f.v3(action, p)
		get.method = "GET"
		if a := f.send(get.sign()); !a.ok() {
			t.Errorf("%s, GET: %d %s", action, a.status, a.body)
		}
	}
	f.wantInbox(15)
	check.Equal(t, "the requests for SendSms", f.Requests()["SendSms"], 5)

	const mail = `{"AccountName":"a@example.com","AddressType":1,"ReplyToAddress":false,"ToAddress":"b@example.com","Subject":"s","TextBody":"t","TagName":null}`
	if a := f.send(f.v3("SingleSendMail", nil).in("application/json", mail).sign()); !a.ok() {
		t.Errorf("numbers and booleans: %d %s", a.status, a.body)
	}
}

// TestV1WithHeaders: Aliyun's SDK sends x-acs-action with signature V1 too.
func TestV1WithHeaders(t *testing.T) {
	f := start(t, Options{})
	p := f.common("SendSms").with(goodParams["SendSms"])
	p = p.with(params{"Signature": sign(stringToSign("POST", p), "testsecret")})
	for where, r := range map[string]*signedV3{"query": {query: p.encode()}, "form": {body: p.encode()}} {
		r.method, r.header = "POST", map[string]string{"content-type": formType, "x-acs-action": "SendSms", "x-acs-version": "2017-05-25"}
		if a := f.send(r); !a.ok() && a.code() != "SignatureNonceUsed" {
			t.Errorf("%s: %d %s", where, a.status, a.body)
		}
	}
	f.wantInbox(1)
}

// TestRepeatedHeader: the values of a header that comes twice are sorted and joined.
func TestRepeatedHeader(t *testing.T) {
	s := v3{header: http.Header{"X-Acs-X": {" b", "a "}}}
	value, ok := s.value("x-acs-x")
	check.Equal(t, "the value", value, "a,b")
	check.Equal(t, "it is there", ok, true)
}

// TestV3Fault: a fault of an action also fails its requests with signature V3.
func TestV3Fault(t *testing.T) {
	f := start(t, Options{})
	f.setFaults(Fault{Action: "SendSms", Code: "isv.AMOUNT_NOT_ENOUGH", Count: 1})
	f.wants(f.send(f.v3("QuerySendDetails", goodParams["QuerySendDetails"]).sign()), 200, "OK")
	f.wants(f.send(f.v3("SendSms", goodParams["SendSms"]).sign()), 200, "isv.AMOUNT_NOT_ENOUGH")
	f.wants(f.send(f.v3("SendSms", goodParams["SendSms"]).sign()), 200, "OK")
}
