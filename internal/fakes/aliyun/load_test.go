package aliyun

import (
	"fmt"
	"sync"
	"testing"
)

// TestConcurrent is for the race detector, and checks the counts.
func TestConcurrent(t *testing.T) {
	f := start(t, Options{FlowControl: true, MaxInbox: 500})
	const workers, each = 16, 60
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				to := fmt.Sprintf("130%04d%04d", w, i)
				if a := f.call("SendSms", params{"PhoneNumbers": to}); !a.ok() {
					t.Errorf("%d %s", a.status, a.body)
				}
				switch i % 6 {
				case 0:
					f.call("QuerySendDetails", params{"PhoneNumber": to})
				case 1:
					f.call("SingleSendMail", nil)
				case 2:
					f.getInbox("?to=" + to)
				case 3:
					f.setFaults(Fault{Action: "DescAccountSummary", Code: "Throttling", Count: 1})
				case 4:
					f.SetFlowControl(i%2 == 0)
					f.Inbox("")
				case 5:
					f.call("DescAccountSummary", nil)
				}
			}
		})
	}
	wg.Wait()
	if got := f.Requests()["SendSms"]; got != workers*each {
		t.Errorf("%d requests", got)
	}
	f.wantInbox(500)
}

// TestConcurrentOnce: of many requests at once with one nonce, or to one number with one
// signature, one succeeds.
func TestConcurrentOnce(t *testing.T) {
	f := start(t, Options{FlowControl: true})
	for name, change := range map[string]params{
		"SignatureNonceUsed":         {"SignatureNonce": "once", "PhoneNumbers": "85212345678"},
		"isv.BUSINESS_LIMIT_CONTROL": {},
	} {
		f.Reset()
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if a := f.call("SendSms", change); !a.ok() && a.code() != name {
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
		f.wantInbox(1)
	}
}

func BenchmarkSendSms(b *testing.B) {
	s := New(Options{})
	f := &fixture{Server: s, clock: newClock()}
	s.now = f.clock.now
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p := f.common("SendSms").with(goodParams["SendSms"])
			c := &call{params: p, common: p, signature: v1{"POST", p}, action: "SendSms", now: f.clock.now()}
			p["Signature"] = sign(stringToSign("POST", p), "testsecret")
			if _, e := s.do(c); e != nil {
				b.Error(e.code)
			}
		}
	})
}
