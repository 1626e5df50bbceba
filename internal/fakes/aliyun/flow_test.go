package aliyun

import (
	"fmt"
	"testing"
	"time"
)

func (f *fixture) wantLimit(a answer, message string) {
	f.t.Helper()
	f.wants(a, 200, "isv.BUSINESS_LIMIT_CONTROL")
	if a.json["Message"] != message {
		f.t.Errorf("message %q, want %q", a.json["Message"], message)
	}
}

func (f *fixture) wantSent(change params) {
	f.t.Helper()
	f.wants(f.call("SendSms", change), 200, "OK")
}

func TestFlowControlOfASignature(t *testing.T) {
	f := start(t, Options{FlowControl: true})
	f.wantSent(nil)
	f.clock.advance(time.Minute - time.Nanosecond)
	for _, form := range []string{"13012345678", "+8613012345678", "008613012345678", "8613012345678"} {
		f.wantLimit(f.call("SendSms", params{"PhoneNumbers": form}), "触发分钟级流控Permits:1")
	}
	f.wantLimit(f.call("SendSmsVerifyCode", params{"SignName": "示例"}), "触发分钟级流控Permits:1")
	f.wantSent(params{"SignName": "another"})
	f.wantSent(params{"PhoneNumbers": "13012345679"})

	// Refused requests do not count: five an hour are still possible.
	f.clock.advance(time.Nanosecond)
	for range 4 {
		f.wantSent(nil)
		f.clock.advance(time.Minute)
	}
	f.wantLimit(f.call("SendSms", nil), "触发小时级流控Permits:5")

	f.clock.advance(time.Hour)
	for range 5 {
		f.wantSent(nil)
		f.clock.advance(time.Minute)
	}
	f.clock.advance(time.Hour)
	f.wantLimit(f.call("SendSms", nil), "触发天级流控Permits:10")

	// The day is a sliding window: 24 hours after the first one, one more is possible.
	f.clock.t = newClock().t.Add(24*time.Hour - time.Nanosecond)
	f.wantLimit(f.call("SendSms", nil), "触发天级流控Permits:10")
	f.clock.advance(time.Nanosecond)
	f.wantSent(nil)
}

func TestFlowControlOfANumber(t *testing.T) {
	f := start(t, Options{FlowControl: true})
	for i := range 40 {
		f.wantSent(params{"SignName": fmt.Sprint("sign", i)})
	}
	f.wantLimit(f.call("SendSms", params{"SignName": "one more"}), "触发号码天级流控Permits:40")
	f.clock.advance(24 * time.Hour)
	f.wantSent(params{"SignName": "one more"})
}

// TestInterval: SendSmsVerifyCode has its own limit, for each scheme and number.
func TestInterval(t *testing.T) {
	f := start(t, Options{FlowControl: true})
	send := func(status int, code string, change params) {
		t.Helper()
		f.wants(f.call("SendSmsVerifyCode", change), status, code)
	}
	send(200, "OK", nil)
	f.clock.advance(time.Minute - time.Nanosecond)
	send(200, "biz.FREQUENCY", nil)
	send(200, "biz.FREQUENCY", params{"SignName": "another"})
	send(200, "OK", params{"SchemeName": "another", "SignName": "another"})
	send(200, "OK", params{"PhoneNumber": "13012345679"})
	f.wantSent(params{"SignName": "a third"}) // SendSms does not have this limit
	f.clock.advance(time.Nanosecond)
	send(200, "OK", nil)
	f.wantInbox(5)

	// A longer interval limits for longer; a shorter one meets the carriers' limit of a minute.
	f.Reset()
	send(200, "OK", nil)
	f.clock.advance(time.Minute)
	send(200, "biz.FREQUENCY", params{"Interval": "61"})
	f.Reset()
	send(200, "OK", nil)
	f.clock.advance(2 * time.Second)
	send(200, "isv.BUSINESS_LIMIT_CONTROL", params{"Interval": "1"})
	f.SetFlowControl(false)
	send(200, "OK", nil)
}

func TestFlowControlScope(t *testing.T) {
	f := start(t, Options{})
	twice := func(change params) answer {
		f.wantSent(change)
		return f.call("SendSms", change)
	}
	f.wants(twice(nil), 200, "OK") // off
	f.SetFlowControl(true)
	f.wants(twice(params{"PhoneNumbers": "85212345678"}), 200, "OK") // overseas
	f.wantLimit(twice(nil), "触发分钟级流控Permits:1")
	f.SetFlowControl(false)
	f.wantSent(nil)
	f.SetFlowControl(true)
	f.wantLimit(f.call("SendSms", nil), "触发分钟级流控Permits:1")
	f.Reset()
	f.wantSent(nil)

	// One number over its limit refuses the whole list and counts nothing.
	f.Reset()
	f.wantSent(nil)
	f.wantLimit(f.call("SendSms", params{"PhoneNumbers": "13000000001,13000000002,13012345678"}), "触发分钟级流控Permits:1")
	f.wantInbox(1)
	f.wantSent(params{"PhoneNumbers": "13000000001,13000000002"})
	f.wantLimit(f.call("SendSms", params{"PhoneNumbers": "13000000003,13000000003"}), "触发分钟级流控Permits:1")
}

func TestFlowControlForgets(t *testing.T) {
	var f flow
	f.on.Store(true)
	now := newClock().now()
	for i := range 1000 {
		if e := f.take([]string{fmt.Sprint(i % 500)}, send{sign: fmt.Sprint("sign", i), at: now}); e != nil {
			t.Fatal(e.message)
		}
	}
	f.take([]string{"x"}, send{sign: "sign", at: now.Add(flowMemory)})
	if len(f.sends) != 1 || f.log.len() != 1 {
		t.Errorf("%d numbers and %d sends are kept", len(f.sends), f.log.len())
	}
}
