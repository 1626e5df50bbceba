package endtoend_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	fakesmtp "github.com/codeferry/codeferry/internal/fakes/smtp"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// refusal is a way in which a provider refuses a message.
type refusal struct {
	kind, name string
	// refuse prepares the connector or its fake for the refusal, before the fake is up.
	refuse func(t *testing.T, s *side)
	class  sender.Class
	code   string
	// says is a text in the detail, for people.
	says string
}

// ofRecipient reports whether the refusal speaks of the recipient, so that no circuit breaker
// opens.
func (c *refusal) ofRecipient() bool { return c.name == "sandbox" }

// Ways to set a fake up.

// logto sets a field in Logto's JSON.
func logto(field string, value any) func(*testing.T, *side) {
	return func(_ *testing.T, s *side) { s.logto[field] = value }
}

// answer makes the sandbox refuse everything.
func answer(code, message string) func(*testing.T, *side) {
	return func(t *testing.T, s *side) {
		t.Helper()
		if err := s.box.SetFaults([]fakealiyun.Fault{{Code: code, Message: message}}); err != nil {
			t.Fatal(err)
		}
	}
}

func smtpReply(word, reply string) func(*testing.T, *side) {
	return func(_ *testing.T, s *side) { s.script.Replies = map[string]string{word: reply} }
}

const wrongSecret = "wr0ng/Secret+x="

// refusals are, for each provider, a wrong key, an unknown sender and a refused recipient.
var refusals = []refusal{
	{
		"smtp", "password", logto("auth", map[string]string{"user": smtpUser, "pass": wrongSecret}),
		sender.AccountDown, "535 5.7.8", "did not sign us in: Error: authentication failed",
	},
	{
		"smtp", "sender", smtpReply("MAIL", "553 5.7.1 <"+fromAddress+">: Sender address rejected: not owned by user "+smtpUser),
		sender.Misconfigured, "553 5.7.1", "did not take the sender: <[hidden]>: Sender address rejected",
	},
	{
		"smtp", "recipient", smtpReply("RCPT", "550 5.1.1 <"+mailbox+">: Recipient address rejected: User unknown in local recipient table"),
		sender.Permanent, "550 5.1.1", "did not take the recipient: <[hidden]>: Recipient address rejected: User unknown",
	},
	{
		"sendgrid", "password", logto("apiKey", "SG.another."+wrongSecret),
		sender.AccountDown, "bad-key", "authorization grant is invalid",
	},
	{
		"sendgrid", "sender", logto("fromEmail", "other@mail.example.com"),
		sender.Misconfigured, "unverified-sender", "does not match a verified Sender Identity",
	},
	{
		"sendgrid", "recipient", func(_ *testing.T, s *side) {
			s.overSendGrid(&fakesendgrid.Server{Refuse: func(m fakesendgrid.Mail) fakesendgrid.Refusal {
				to := m.Personalizations[0].To[0].Email
				return fakesendgrid.Refusal{Status: 400, Field: "personalizations.0.to.0.email", Message: "Does not contain a valid address: " + to}
			}})
		}, sender.Permanent, "bad-recipient", "Does not contain a valid address: [hidden]",
	},
	{
		"aws-ses", "password", logto("accessKeySecret", wrongSecret), // the answer repeats the request
		sender.AccountDown, "InvalidSignatureException", "its secret or the session token is wrong",
	},
	{
		"aws-ses", "sender", logto("emailAddress", "no-reply@other.example.com"),
		sender.Misconfigured, "MessageRejected", "not verified in this region",
	},
	{
		"aws-ses", "recipient", sesRefuses("MessageRejected", "Address "+mailbox+" is on the suppression list for your account"),
		sender.Permanent, "MessageRejected", "[hidden] is on the suppression list",
	},
	{
		"aws-ses", "sandbox", sesRefuses("MessageRejected", fakeses.Unverified+mailbox),
		sender.AccountDown, "MessageRejected", "still in the SES sandbox",
	},
	{
		"aliyun-dm", "password", logto("accessKeySecret", wrongSecret),
		sender.AccountDown, "SignatureDoesNotMatch", "signature is not matched",
	},
	{
		"aliyun-dm", "sender", answer("InvalidMailAddress.NotFound", ""),
		sender.Misconfigured, "InvalidMailAddress.NotFound", "mailAddress does not exist",
	},
	{
		"aliyun-dm", "recipient", answer("InvalidToAddress.Spam", "The address "+mailbox+" is invalid"),
		sender.Permanent, "InvalidToAddress.Spam", "The address [hidden] is invalid",
	},
	{
		"aliyun-sms", "password", logto("accessKeyId", "LTAIanother"+"KeyOfNobody"),
		sender.AccountDown, "InvalidAccessKeyId.NotFound", "access key is not found",
	},
	{
		"aliyun-sms", "sender", answer("isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名"),
		sender.Misconfigured, "isv.SMS_SIGNATURE_ILLEGAL", "找不到对应签名",
	},
	{
		"aliyun-sms", "recipient", answer("isv.MOBILE_NUMBER_ILLEGAL", mobile[3:]+"invalid mobile number"),
		sender.Permanent, "isv.MOBILE_NUMBER_ILLEGAL", "[hidden]invalid mobile number",
	},
	{
		"aliyun-sms-mas", "password", logto("accessKeySecret", wrongSecret),
		sender.AccountDown, "SignatureDoesNotMatch", "signature is not matched",
	},
	{
		"aliyun-sms-mas", "sender", answer("INVALID_PARAMETERS", "非法参数 code: "+code),
		sender.Misconfigured, "INVALID_PARAMETERS", "非法参数 code: [hidden]",
	},
	{
		"aliyun-sms-mas", "recipient", answer("MOBILE_NUMBER_ILLEGAL", "号码 "+mobile[3:]+" 不合法"),
		sender.Permanent, "MOBILE_NUMBER_ILLEGAL", "号码 [hidden] 不合法",
	},
}

func sesRefuses(code, message string) func(*testing.T, *side) {
	return func(_ *testing.T, s *side) {
		s.overSES(&fakeses.Server{RefuseMail: func(fakeses.Mail) fakeses.Refusal {
			return fakeses.Refusal{Code: code, Message: message}
		}})
	}
}

// TestEveryConnectorRefuses: there is a refusal of each kind for each type of connector, and
// its secret is looked for in what is shown of them.
func TestEveryConnectorRefuses(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, name := range []string{"password", "sender", "recipient"} {
			if !slices.ContainsFunc(refusals, func(r refusal) bool { return r.kind == kind && r.name == name }) {
				t.Errorf("refusals, in test/endtoend/classes_test.go, lacks %s %q", kind, name)
			}
		}
		if !slices.ContainsFunc(onces(), func(r refusal) bool { return r.kind == kind }) {
			t.Errorf("onces, in test/endtoend/classes_test.go, lacks %s: a refusal of the first request alone", kind)
		}
		if fields := fmt.Sprint(newSide(t, kind).logto); !slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(fields, s) }) {
			t.Errorf("secrets, in test/endtoend/classes_test.go, lacks the one of %s", kind)
		}
	}
}

// TestClasses: a provider's refusal gets its class, is reported without private data, and is
// not requested again.
func TestClasses(t *testing.T) {
	t.Parallel()
	s := system{
		routes: make(map[string][]string), worker: "accountPause: 1h",
		sides: map[string]*side{"mail": newSide(t, "aliyun-dm").up(t), "texts": newSide(t, "aliyun-sms").up(t)},
	}
	for _, c := range refusals {
		name := c.kind + "-" + c.name
		side := newSide(t, c.kind)
		c.refuse(t, side)
		s.sides[name] = side.up(t)
		other := map[messages.Channel]string{messages.Email: "mail", messages.SMS: "texts"}[side.channel()]
		s.routes[name], s.routes[name+"-or-other"] = []string{name}, []string{name, other}
	}
	r := run(t, s)
	for _, c := range refusals {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			name := c.kind + "-" + c.name
			side := s.sides[name]
			send := func(app, id string) []messages.Outcome {
				r.send(t, app, side.channel(), signIn(id, recipient(side.channel())))
				return r.story(t, id)
			}
			c.check(t, r, name, func() {
				r.send(t, name, side.channel(), signIn(name, recipient(side.channel())))
			})

			// The other connector of a route takes over, unless the refusal is permanent.
			attempt := 1
			if c.ofRecipient() {
				attempt = 2 // the first connector is tried, because it may take another recipient
			}
			for i := range 5 {
				id := fmt.Sprintf("%s-other-%d", name, i)
				story := send(name+"-or-other", id)
				o := story[len(story)-1]
				check.Equal(t, "the number of outcomes of "+id, len(story), 1)
				if c.class == sender.Permanent {
					check.Equal(t, "the status of "+id, o.Status, messages.StatusDead)
					check.Equal(t, "the connector of "+id, o.Connector, name)
					check.Equal(t, "the attempt of "+id, o.Attempt, 1)
				} else {
					check.Equal(t, "the status of "+id, o.Status, messages.StatusSent)
					check.True(t, "the other connector sent "+id, o.Connector != name, o.Connector)
					check.Equal(t, "the attempt of "+id, o.Attempt, attempt)
				}
			}
			want := 1
			if c.class == sender.Permanent {
				want += 5 // one for each message
			}
			if n := side.asked(); n != want && !c.ofRecipient() {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
	private(t, r.log.String())
}

// check sends a message, and compares its outcome with the expected one. A permanent refusal
// makes a dead letter; any other message waits for an operator.
func (c *refusal) check(t *testing.T, r *rig, id string, send func()) {
	t.Helper()
	send()
	o := r.first(t, id)
	status, reason := messages.StatusRetrying, messages.Reason("")
	if c.class == sender.Permanent {
		status, reason = messages.StatusDead, messages.ReasonRejected
	}
	check.Equal(t, "the outcome's status", o.Status, status)
	check.Equal(t, "the outcome's reason", o.Reason, reason)
	check.Equal(t, "the outcome's class", o.Class, c.class.String())
	check.Equal(t, "the outcome's code", o.Code, c.code)
	check.Equal(t, "the outcome's attempt", o.Attempt, 1)
	check.True(t, fmt.Sprintf("the outcome's detail has %q", c.says), strings.Contains(o.Detail, c.says), o.Detail)
	c.private(t, o)
	if c.class != sender.Permanent {
		return
	}
	letter := r.letter(t, id)
	c.private(t, letter)
	check.Equal(t, "the dead letter's reason", letter.Reason, reason)
	check.Equal(t, "the dead letter's code", letter.Code, c.code)
	check.Equal(t, "the dead letter's connector", letter.Connector, o.Connector)
	if len(letter.Attempts) != 1 {
		t.Fatalf("the dead letter's attempts are %+v, want 1", letter.Attempts)
	}
	a := letter.Attempts[0]
	check.Equal(t, "the attempt's class", a.Class, c.class.String())
	check.Equal(t, "the attempt's code", a.Code, c.code)
	check.True(t, fmt.Sprintf("the attempt's detail has %q", c.says), strings.Contains(a.Detail, c.says), a.Detail)
	if !strings.Contains(letter.Detail, c.code) || !strings.Contains(letter.Detail, c.says) {
		t.Errorf("the dead letter's detail is %q, want one with %q and %q", letter.Detail, c.code, c.says)
	}
}

// private checks a value that shows a message.
func (c *refusal) private(t *testing.T, shown any) {
	t.Helper()
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	private(t, string(text))
}

// secrets are the passwords and keys of the sides, at least one for each type of connector.
var secrets = []string{smtpPass, fakesendgrid.Key, fakeses.KeySecret, fakealiyun.DefaultKeySecret}

// private fails the test if a text holds private data.
func private(t *testing.T, text string) {
	t.Helper()
	for _, secret := range append([]string{
		code, mailbox, "alice", mobile, mobile[3:], "13800000001", "安", "🚢", "你好", "登录",
		wrongSecret, authLine(smtpPass), authLine(wrongSecret), fakeses.KeyID, "KeyOfNobody",
	}, secrets...) {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("it holds %q: …%q…", secret, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// authLine is a password in the form of AUTH PLAIN.
func authLine(pass string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + smtpUser + "\x00" + pass))
}

// onces has a refusal for each type of connector, for which the connector is at fault, and only
// once.
func onces() []refusal {
	var tests []refusal
	once := func(kind string, class sender.Class, code string, refuse func(t *testing.T, s *side)) {
		tests = append(tests, refusal{kind: kind, refuse: refuse, class: class, code: code})
	}
	once("smtp", sender.AccountDown, "535 5.7.8", func(_ *testing.T, s *side) {
		var refused atomic.Bool
		s.script.On = map[string]func(*fakesmtp.Talk, string) bool{"AUTH": func(k *fakesmtp.Talk, line string) bool {
			if refused.CompareAndSwap(false, true) {
				return k.Say("535 5.7.8 Error: authentication failed")
			}
			return k.Usual("AUTH", line)
		}}
	})
	once("sendgrid", sender.AccountDown, "no-credits", func(_ *testing.T, s *side) {
		var refused atomic.Bool
		s.overSendGrid(&fakesendgrid.Server{Refuse: func(fakesendgrid.Mail) (no fakesendgrid.Refusal) {
			if refused.CompareAndSwap(false, true) {
				no = fakesendgrid.Refusal{Status: 401, Message: "Maximum credits exceeded"}
			}
			return no
		}})
	})
	once("aws-ses", sender.AccountDown, "SendingPausedException", func(_ *testing.T, s *side) {
		var refused atomic.Bool
		s.overSES(&fakeses.Server{RefuseMail: func(fakeses.Mail) (no fakeses.Refusal) {
			if refused.CompareAndSwap(false, true) {
				no = fakeses.Refusal{Code: "SendingPausedException", Message: "Email sending is disabled"}
			}
			return no
		}})
	})
	for kind, fault := range map[string]struct {
		class sender.Class
		code  string
	}{
		"aliyun-dm":      {sender.Misconfigured, "InvalidMailAddressStatus.Malformed"},
		"aliyun-sms":     {sender.AccountDown, "isv.AMOUNT_NOT_ENOUGH"},
		"aliyun-sms-mas": {sender.AccountDown, "FUNCTION_NOT_OPENED"},
	} {
		once(kind, fault.class, fault.code, func(t *testing.T, s *side) {
			if err := s.box.SetFaults([]fakealiyun.Fault{{Code: fault.code, Count: 1}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	return tests
}

// TestParking: a message whose connector is at fault waits for it, is tried once after each
// pause, and goes out when the fault is fixed.
func TestParking(t *testing.T) {
	t.Parallel()
	s := system{routes: make(map[string][]string), sides: make(map[string]*side), worker: "accountPause: 100ms, retry: {initialInterval: 20ms}"}
	tests := onces()
	for _, c := range tests {
		side := newSide(t, c.kind)
		c.refuse(t, side)
		s.sides[c.kind], s.routes[c.kind] = side.up(t), []string{c.kind}
	}
	r := run(t, s)
	for _, c := range tests {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			side, id := s.sides[c.kind], "waits-for-"+c.kind
			r.send(t, c.kind, side.channel(), signIn(id, recipient(side.channel())))
			story := r.story(t, id)
			if len(story) != 2 {
				t.Fatalf("the outcomes are %+v, want 2", story)
			}
			check.Equal(t, "the first status", story[0].Status, messages.StatusRetrying)
			check.True(t, "retryAt is set", story[0].RetryAt != nil, story[0])
			check.Equal(t, "the first class", story[0].Class, c.class.String())
			check.Equal(t, "the first code", story[0].Code, c.code)
			check.Equal(t, "the second status", story[1].Status, messages.StatusSent)
			check.Equal(t, "the second attempt", story[1].Attempt, 2)
			check.Equal(t, "the number of requests", side.asked(), 2)
			check.Equal(t, "the number of arrivals", len(side.arrivals()), 1)
		})
	}
}
