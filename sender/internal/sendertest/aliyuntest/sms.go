package aliyuntest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// The recipient and the code of SignIn. Aliyun writes the recipient as Digits.
const (
	To     = "+86 130-1234-5678"
	Digits = "13012345678"
	Code   = "Qx7z9K"
)

// SignIn makes a message with Code to To.
func SignIn() *messages.SendCode { return sendertest.SignIn(To, Code) }

// Render renders SignIn.
func Render(t testing.TB, s sender.Sender) *sender.Message {
	t.Helper()
	return sendertest.Render(t, s, SignIn())
}

// SMS returns Aliyun for the conformance suite of a connector that sends SMS by an action,
// which answers with these codes beside the gateway's.
func (c Connector[C]) SMS(action string, codes ...map[string]sendertest.Meaning) *sendertest.Provider {
	p := sendertest.AliyunProvider(action, codes...)
	p.New, p.Message, p.Private = c.New, SignIn, []string{Digits}
	return p
}

// Limited tests that a second message to the same number within a minute is refused with
// a code.
func (c Connector[C]) Limited(t *testing.T, code string) {
	t.Helper()
	fake, endpoint := sendertest.Aliyun(t, fakealiyun.Options{FlowControl: true})
	s := c.At(t, endpoint)
	m := Render(t, s)
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	_, err := s.Send(t.Context(), m)
	e := sendertest.Want(t, err, sender.RecipientLimited)
	if e.RetryAfter != time.Minute {
		t.Errorf("RetryAfter is %s, want a minute", e.RetryAfter)
	}
	if e.Code != code {
		t.Errorf("the code is %q, want %q", e.Code, code)
	}
	if in := fake.Inbox(Digits); len(in) != 1 {
		t.Errorf("%d messages were accepted, want 1", len(in))
	}
}

// Codes tests which codes a connector takes: 4 to longest letters or digits.
func (c Connector[C]) Codes(t *testing.T, longest int) {
	t.Helper()
	s := c.At(t, "http://127.0.0.1:1")
	takes := fmt.Sprintf("; Aliyun takes 4 to %d letters or digits (A-Z a-z 0-9)", longest)
	badLength := func(n int) string { return fmt.Sprintf("payload.code has %d characters", n) + takes }
	badForm := "payload.code has a character that is neither a letter nor a digit" + takes
	const none = "the template for SignIn uses ${code} and the payload has no code"
	for _, test := range []struct {
		payload messages.Payload
		want    string // the error's detail; empty for none
	}{
		{messages.Payload{"code": "1234"}, ""},
		{messages.Payload{"code": "abXY09zZ12"[:longest]}, ""},
		{messages.Payload{"code": "735"}, badLength(3)},
		{messages.Payload{"code": strings.Repeat("7", longest+1)}, badLength(longest + 1)},
		{messages.Payload{"code": "##code##"}, badForm}, // Aliyun would make a code of its own for it
		{messages.Payload{"code": "73-519"}, badForm},
		{messages.Payload{"code": "7351 9"}, badForm},
		{messages.Payload{"code": "73519\n"}, badForm},
		{messages.Payload{"code": "７３５１"}, badForm},
		{messages.Payload{"code": "é351"}, badForm},
		{messages.Payload{"code": ""}, none},
		{messages.Payload{"code": json.Number("7351")}, none},
		{messages.Payload{"link": "https://example.com"}, none},
		{nil, none},
	} {
		message := SignIn()
		message.Payload = test.payload
		_, err := s.Render(message)
		if test.want == "" {
			if err != nil {
				t.Errorf("%v: %v", test.payload, err)
			}
			continue
		}
		e := sendertest.Want(t, err, sender.Permanent)
		if e.Detail != test.want {
			t.Errorf("%v: got detail %q, want %q", test.payload, e.Detail, test.want)
		}
		if e.Code != sender.CodeInvalid {
			t.Errorf("%v: got code %q, want %q", test.payload, e.Code, sender.CodeInvalid)
		}
		if code := test.payload.Text("code"); code != "" && strings.Contains(err.Error(), strings.TrimSpace(code)) {
			t.Errorf("the error holds the code: %v", err)
		}
	}
}
