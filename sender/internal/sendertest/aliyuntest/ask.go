package aliyuntest

import (
	"fmt"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// Ask calls a connector's Ask.
func Ask(t testing.TB, s sender.Sender, m *sender.Message, since time.Time) (r sender.Receipt, found bool, err error) {
	t.Helper()
	a, ok := s.(sender.Asker)
	if !ok {
		t.Fatalf("%T is not a sender.Asker", s)
	}
	return a.Ask(t.Context(), m, since)
}

// WantFound tests whether a connector finds a message.
func WantFound(t testing.TB, name string, s sender.Sender, m *sender.Message, since time.Time, want bool) sender.Receipt {
	t.Helper()
	r, found, err := Ask(t, s, m, since)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if found != want {
		t.Errorf("%s: found is %t, want %t", name, found, want)
	}
	return r
}

// FindsAmongMany tests that a connector finds its message among more messages to the same
// number than one page lists. message makes a message with an ID to Digits.
func (c Connector[C]) FindsAmongMany(t *testing.T, action string, message func(id string) *sender.Message) {
	t.Helper()
	const many = 120
	fake, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	s := c.At(t, endpoint)
	began := time.Now()
	for i := range many {
		if _, err := s.Send(t.Context(), message(fmt.Sprintf("id-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{"id-0": true, "id-60": true, "id-119": true, "id-120": false, "": false, "id": false} {
		r := WantFound(t, fmt.Sprintf("%q", id), s, message(id), began, want)
		if (r.RequestID != "") != want {
			t.Errorf("%q: the receipt is %+v, want a RequestID only if the message is found", id, r)
		}
	}
	other := message("id-0")
	other.To = "13012345679"
	WantFound(t, "another number", s, other, time.Time{}, false)
	requests := fake.Requests()
	if n := requests["QuerySendDetails"]; n > 40 {
		t.Errorf("%d queries were made, want 40 at most", n)
	}
	if n := requests[action]; n != many {
		t.Errorf("%d requests of %s were made, want %d", n, action, many)
	}
	if len(requests) != 2 {
		t.Errorf("the requests are %v, want only QuerySendDetails and %s", requests, action)
	}
}

// AskFails tests that Ask returns an error, and does not find the message, if the provider
// fails: in the ways that all products can fail, and in more.
func (c Connector[C]) AskFails(t *testing.T, more ...fakealiyun.Fault) {
	t.Helper()
	fake, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	s := c.At(t, endpoint)
	faults := []fakealiyun.Fault{
		{Code: "isp.SYSTEM_ERROR"}, {HTTPStatus: 502}, {Drop: fakealiyun.DropBefore}, {Body: new(`{"Code":"OK"`)}, {Body: new("")},
	}
	for _, f := range append(faults, more...) {
		if err := fake.SetFaults([]fakealiyun.Fault{f}); err != nil {
			t.Fatal(err)
		}
		_, found, err := Ask(t, s, &sender.Message{ID: "x", To: Digits}, time.Now())
		if found {
			t.Errorf("%+v: the message was found", f)
		}
		if err == nil {
			t.Errorf("%+v: there is no error", f)
			continue
		}
		sendertest.Want(t, err, sender.AsError(err).Class)
		sendertest.Hides(t, err, Digits)
	}
}
