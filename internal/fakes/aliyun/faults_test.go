package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func (f *fixture) setFaults(list ...Fault) {
	f.t.Helper()
	if err := f.SetFaults(list); err != nil {
		f.t.Fatal(err)
	}
}

// wantCut expects that the connection is cut with no answer.
func (f *fixture) wantCut(action string) {
	f.t.Helper()
	a, err := f.post(f.t.Context(), f.common(action).with(goodParams[action]))
	if err == nil {
		f.t.Errorf("answered %d %s", a.status, a.body)
	}
}

// TestFaultCodes: every code of the catalogue is answered in its form.
func TestFaultCodes(t *testing.T) {
	f := start(t, Options{})
	for code, known := range catalogue {
		f.setFaults(Fault{Code: code, Count: 1})
		a := f.call("SendSms", nil)
		f.wants(a, known.status, code)
		if a.json["Message"] != known.message {
			t.Errorf("%s: message %q", code, a.json["Message"])
		}
	}
	f.wantInbox(0)

	for _, tt := range []struct {
		fault   Fault
		status  int
		message string
	}{
		{Fault{Code: "isv.NEW_ONE"}, 200, "isv.NEW_ONE"},
		{Fault{Code: "NewOne", Message: "because"}, 400, "because"},
		{Fault{Code: "Throttling.User", HTTPStatus: 503}, 503, catalogue["Throttling.User"].message},
		{Fault{Code: "isv.BUSINESS_LIMIT_CONTROL", Message: "触发小时级流控Permits:5"}, 200, "触发小时级流控Permits:5"},
	} {
		f.setFaults(tt.fault)
		a := f.call("SendSms", nil)
		f.wants(a, tt.status, tt.fault.Code)
		if a.json["Message"] != tt.message {
			t.Errorf("%+v: the message is %q, want %q", tt.fault, a.json["Message"], tt.message)
		}
	}
}

func TestFaultOrderAndCount(t *testing.T) {
	f := start(t, Options{})
	f.setFaults(
		Fault{Action: "SingleSendMail", Code: "InvalidBody"},
		Fault{Action: "SendSms", Count: 1}, // lets one pass
		Fault{Action: "SendSms", Code: "isp.SYSTEM_ERROR", Count: 2},
		Fault{Code: "Throttling", Count: 1},
	)
	got := make([]string, 5)
	for i := range got {
		got[i] = f.call("SendSms", nil).code()
	}
	if want := []string{"OK", "isp.SYSTEM_ERROR", "isp.SYSTEM_ERROR", "Throttling", "OK"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for range 3 { // without a count it stays until it is replaced
		f.wants(f.call("SingleSendMail", nil), 400, "InvalidBody")
	}
	if a := f.control("GET", "/faults", ""); a.body != `[{"action":"SingleSendMail","code":"InvalidBody"}]`+"\n" {
		t.Errorf("left: %s", a.body)
	}
	f.setFaults()
	if a := f.call("SingleSendMail", nil); !a.ok() {
		t.Errorf("%s", a.body)
	}
}

func TestFaultRawAnswers(t *testing.T) {
	f := start(t, Options{})
	const jsonType, htmlType = "application/json;charset=utf-8", "text/html; charset=utf-8"
	for name, tt := range map[string]struct {
		fault       string
		status      int
		contentType string
		body        string
	}{
		"an empty 200":          {`{"body":""}`, 200, jsonType, ""},
		"an empty 200, shorter": {`{"httpStatus":200}`, 200, jsonType, ""},
		"HTML":                  {`{"body":"<p>502</p>","httpStatus":502}`, 502, htmlType, "<p>502</p>"},
		"a numeric Code":        {`{"body":"{\"Code\":5}","httpStatus":400}`, 400, jsonType, `{"Code":5}`},
		"a type of its own":     {`{"body":"<a/>","contentType":"text/xml"}`, 200, "text/xml", "<a/>"},
		"body before code":      {`{"body":"x","code":"Throttling"}`, 200, jsonType, "x"},
	} {
		f.control("PUT", "/faults", "["+tt.fault+"]")
		a := f.call("SendSms", nil)
		if a.status != tt.status || a.header.Get("Content-Type") != tt.contentType || a.body != tt.body {
			t.Errorf("%s: %d %s %q", name, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
	f.control("PUT", "/faults", `[{"httpStatus":502}]`)
	a := f.call("SendSms", nil)
	if a.status != 502 || a.header.Get("Content-Type") != htmlType || !strings.Contains(a.body, "<h1>502 Bad Gateway</h1>") {
		t.Errorf("a gateway's page: %d %s", a.status, a.body)
	}
	f.wantInbox(0)
}

func TestFaultDropBeforeAndAfter(t *testing.T) {
	f := start(t, Options{})
	f.setFaults(Fault{Drop: DropBefore, Code: "Throttling", Count: 2}, Fault{Drop: DropAfter, Code: "Throttling"})
	f.wantCut("SendSms")
	f.wantCut("SingleSendMail")
	f.wantInbox(0)
	f.wantCut("SendSms")
	f.wantCut("SingleSendMail")
	f.wantCut("SendSmsVerifyCode")
	f.wantCut("QuerySendDetails")
	f.wantInbox(3)

	// The request is still checked.
	if _, err := f.post(t.Context(), f.common("SendSms").with(params{"PhoneNumbers": "1"})); err == nil {
		t.Error("answered")
	}
	f.wantInbox(3)
}

// watched starts a server that signals when a request comes in and when its handler has
// returned.
func watched(t *testing.T) (f *fixture, in, out chan struct{}) {
	t.Helper()
	f = start(t, Options{})
	in, out = make(chan struct{}, 1), make(chan struct{}, 1)
	f.http.Close()
	f.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		defer func() { out <- struct{}{} }()
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(f.http.Close)
	t.Cleanup(f.Server.Close)
	return f, in, out
}

func TestFaultsThatWaitEnd(t *testing.T) {
	for name, fault := range map[string]Fault{
		"hang":             {Drop: DropHang},
		"latency":          {Latency: time.Hour},
		"latency and hang": {Latency: time.Nanosecond, Drop: DropHang},
		"latency and code": {Latency: time.Hour, Code: "Throttling"},
	} {
		t.Run(name+", the client goes away", func(t *testing.T) {
			f, in, out := watched(t)
			f.setFaults(fault)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-in; cancel() }()
			if _, err := f.post(ctx, f.common("SendSms").with(goodParams["SendSms"])); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			<-out
			f.wantInbox(0)
		})
		t.Run(name+", the server is closed", func(t *testing.T) {
			f, in, out := watched(t)
			f.setFaults(fault)
			go func() { <-in; f.Server.Close() }()
			f.wantCut("SendSms")
			<-out
			f.wantInbox(0)
			f.Server.Close() // again

			// A closed server still answers requests that do not wait.
			f.setFaults()
			f.wants(f.call("SendSms", nil), 200, "OK")
			<-in
			<-out
		})
	}
}

func TestFaultLatencyAlone(t *testing.T) {
	f := start(t, Options{})
	const latency = 30 * time.Millisecond
	f.setFaults(Fault{Latency: latency})
	began := time.Now()
	f.wants(f.call("SendSms", nil), 200, "OK")
	if took := time.Since(began); took < latency {
		t.Errorf("took %v", took)
	}
	f.wantInbox(1)
}

func TestFaultsAreStrict(t *testing.T) {
	f := start(t, Options{})
	const kept = `[{"action":"SendSms","code":"isp.SYSTEM_ERROR","message":"m","httpStatus":200,"count":2,"latency":"50ms"},` +
		`{"drop":"hang"},{"body":"","contentType":"text/plain"}]`
	if a := f.control("PUT", "/faults", kept); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for body, names := range map[string]string{
		``:                                   "list",
		`{}`:                                 "list",
		`null`:                               "list",
		`[] x`:                               "list",
		`[null]`:                             "fault 1",
		`[{"drop":"hang"},5]`:                "fault 2",
		`[{"drop":"hang"},{"latnecy":"1s"}]`: "latnecy",
		`[{"latency":"fast"}]`:               "latency",
		`[{"latency":50}]`:                   "latency",
		`[{"latency":"-1s"}]`:                "latency",
		`[{"drop":"later"}]`:                 "drop",
		`[{"count":-1}]`:                     "count",
		`[{"count":"1"}]`:                    "count",
		`[{"httpStatus":99}]`:                "httpStatus",
		`[{"httpStatus":600}]`:               "httpStatus",
		`[{"action":"SendSMS"}]`:             "action",
		`[{"message":"m"}]`:                  "message",
		`[{"contentType":"text/html"}]`:      "contentType",
	} {
		if a := f.control("PUT", "/faults", body); a.status != 400 || !strings.Contains(a.body, names) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := f.control("GET", "/faults", ""); a.body != kept+"\n" {
		t.Errorf("got  %swant %s", a.body, kept)
	}
	if a := f.control("PUT", "/faults", "[]"); a.status != 204 {
		t.Errorf("%d", a.status)
	}
	if a := f.control("GET", "/faults", ""); a.body != "[]\n" {
		t.Errorf("%s", a.body)
	}
	if err := f.SetFaults([]Fault{{}, {Drop: "later"}}); err == nil || !strings.Contains(err.Error(), "fault 2: drop") {
		t.Errorf("error %v", err)
	}
}

func TestFaultJSON(t *testing.T) {
	want := Fault{"SendSms", 1, time.Minute, DropAfter, "c", "m", 500, new("b"), "t"}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Fault
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if *got.Body != "b" {
		t.Errorf("body %q", *got.Body)
	}
	got.Body = want.Body
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
