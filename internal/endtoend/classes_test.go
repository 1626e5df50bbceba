package endtoend_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// refusal is a way in which a provider does not take a message.
type refusal struct {
	kind, name string
	// refuse sets the connector or its stand-in up for it, before it is up.
	refuse func(t *testing.T, s *side)
	class  sender.Class
	code   string
	// says is in the detail, for a person.
	says string
}

// Ways to set a stand-in up.

// logto sets a field of Logto's JSON.
func logto(field string, value any) func(*testing.T, *side) {
	return func(_ *testing.T, s *side) { s.logto[field] = value }
}

// answer has the sandbox refuse everything.
func answer(code, message string) func(*testing.T, *side) {
	return func(t *testing.T, s *side) {
		t.Helper()
		if err := s.box.SetFaults([]sandbox.Fault{{Code: code, Message: message}}); err != nil {
			t.Fatal(err)
		}
	}
}

func smtpReply(word, reply string) func(*testing.T, *side) {
	return func(_ *testing.T, s *side) { s.script.Replies = map[string]string{word: reply} }
}

const wrongSecret = "wr0ng/Secret+x="

// refusals are, for each provider, a wrong key, a sender that it does not know and
// a recipient that it refuses.
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
			s.overSendGrid(&standin.SendGrid{Refuse: func(m standin.SendGridMail) standin.SendGridRefusal {
				to := m.Personalizations[0].To[0].Email
				return standin.SendGridRefusal{Status: 400, Field: "personalizations.0.to.0.email", Message: "Does not contain a valid address: " + to}
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
		"aws-ses", "sandbox", sesRefuses("MessageRejected", standin.SESUnverified+mailbox),
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
		s.overSES(&standin.SES{RefuseMail: func(standin.SESMail) standin.SESRefusal {
			return standin.SESRefusal{Code: code, Message: message}
		}})
	}
}

// TestClasses: what a provider refuses is classed, told of in words that hold
// nothing private, and not asked for again.
func TestClasses(t *testing.T) {
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
			story := send(name, name)
			letter := r.letter(t, name)
			c.check(t, story, letter)
			if shown, err := json.Marshal([]any{story, letter}); err != nil {
				t.Error(err)
			} else {
				private(t, string(shown))
			}

			// A route's other connector serves: that one has been asked enough, or
			// was right to refuse.
			for i := range 5 {
				id := fmt.Sprintf("%s-other-%d", name, i)
				story := send(name+"-or-other", id)
				o := story[len(story)-1]
				switch {
				case c.class == sender.Permanent && (o.Status != messages.StatusDead || o.Connector != name || o.Attempt != 1),
					c.class != sender.Permanent && (o.Status != messages.StatusSent || o.Connector == name || o.Attempt != 1),
					len(story) != 1:
					t.Errorf("%+v", story)
				}
			}
			want := 1
			if c.class == sender.Permanent {
				want += 5 // one for each message
			}
			if n := side.asked(); n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
	private(t, r.log.String())
}

// check holds what is told of a message against what was to be told.
func (c *refusal) check(t *testing.T, story []messages.Outcome, letter messages.DeadLetter) {
	t.Helper()
	// An hour's pause is longer than the code is good for.
	reason := messages.ReasonExpired
	if c.class == sender.Permanent {
		reason = messages.ReasonRejected
	}
	o := story[len(story)-1]
	if len(story) != 1 || o.Status != messages.StatusDead || o.Reason != reason || o.Class != c.class.String() || o.Code != c.code || o.Attempt != 1 {
		t.Errorf("%+v", story)
	}
	if letter.Reason != reason || letter.Code != c.code || letter.Connector != o.Connector || len(letter.Attempts) != 1 {
		t.Fatalf("%+v", letter)
	}
	a := letter.Attempts[0]
	if a.Class != c.class.String() || a.Code != c.code || !strings.Contains(a.Detail, c.says) {
		t.Errorf("class %s, code %s: %s", a.Class, a.Code, a.Detail)
	}
	if !strings.Contains(letter.Detail, c.code) || !strings.Contains(letter.Detail, c.says) || !strings.Contains(o.Detail, c.says) {
		t.Errorf("the letter says %q, the outcome %q", letter.Detail, o.Detail)
	}
}

// private fails the test where a text holds what nobody is to read.
func private(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{
		code, mailbox, "alice", mobile, mobile[3:], "13800000001", "安", "🚢", "你好", "登录",
		smtpPass, wrongSecret, authLine(smtpPass), authLine(wrongSecret), standin.SendGridKey, standin.SESKeySecret, standin.SESKeyID, sandbox.DefaultKeySecret, "KeyOfNobody",
	} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("it holds %q: …%q…", secret, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// authLine is how AUTH PLAIN says a password.
func authLine(pass string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + smtpUser + "\x00" + pass))
}

// TestParking: a message whose connector is at fault waits for it, is tried once
// in a pause, and goes out when that is mended.
func TestParking(t *testing.T) {
	s := system{routes: make(map[string][]string), sides: make(map[string]*side), worker: "accountPause: 100ms, retry: {initialInterval: 20ms}"}
	var tests []refusal
	once := func(kind string, class sender.Class, code string, refuse func(t *testing.T, s *side)) {
		tests = append(tests, refusal{kind: kind, refuse: refuse, class: class, code: code})
	}
	once("smtp", sender.AccountDown, "535 5.7.8", func(_ *testing.T, s *side) {
		var refused atomic.Bool
		s.script.On = map[string]func(*standin.SMTPTalk, string) bool{"AUTH": func(k *standin.SMTPTalk, line string) bool {
			if refused.CompareAndSwap(false, true) {
				return k.Say("535 5.7.8 Error: authentication failed")
			}
			return k.Usual("AUTH", line)
		}}
	})
	once("sendgrid", sender.AccountDown, "no-credits", func(_ *testing.T, s *side) {
		var refused atomic.Bool
		s.overSendGrid(&standin.SendGrid{Refuse: func(standin.SendGridMail) (no standin.SendGridRefusal) {
			if refused.CompareAndSwap(false, true) {
				no = standin.SendGridRefusal{Status: 401, Message: "Maximum credits exceeded"}
			}
			return no
		}})
	})
	once("aws-ses", sender.AccountDown, "SendingPausedException", func(_ *testing.T, s *side) {
		var refused atomic.Bool
		s.overSES(&standin.SES{RefuseMail: func(standin.SESMail) (no standin.SESRefusal) {
			if refused.CompareAndSwap(false, true) {
				no = standin.SESRefusal{Code: "SendingPausedException", Message: "Email sending is disabled"}
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
			if err := s.box.SetFaults([]sandbox.Fault{{Code: fault.code, Count: 1}}); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, c := range tests {
		side := newSide(t, c.kind)
		c.refuse(t, side)
		s.sides[c.kind], s.routes[c.kind] = side.up(t), []string{c.kind}
	}
	r := run(t, s)
	for _, c := range tests {
		t.Run(c.kind, func(t *testing.T) {
			side, id := s.sides[c.kind], "waits-for-"+c.kind
			r.send(t, c.kind, side.channel(), signIn(id, recipient(side.channel())))
			story := r.story(t, id)
			if len(story) != 2 || story[0].Status != messages.StatusRetrying || story[0].RetryAt == nil ||
				story[0].Class != c.class.String() || story[0].Code != c.code || story[1].Status != messages.StatusSent || story[1].Attempt != 2 {
				t.Errorf("%+v", story)
			}
			if side.asked() != 2 || len(side.arrivals()) != 1 {
				t.Errorf("%d requests, %d arrived", side.asked(), len(side.arrivals()))
			}
		})
	}
}
