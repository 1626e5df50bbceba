package aliyundm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

const (
	to   = "Alice+x@Example.com"
	code = "Qx7z9K"
)

func signIn() *messages.SendCode { return sendertest.SignIn(to, code) }

func render(t testing.TB, s sender.Sender) *sender.Message { return sendertest.Render(t, s, signIn()) }

func TestConformance(t *testing.T) {
	p := sendertest.AliyunProvider("SingleSendMail", sendertest.MailCodes)
	p.New, p.Message = connectors.New, signIn
	p.Words = []string{"SignIn: ", "您的验证码"}
	sendertest.Conformance(t, p)
}

func TestSend(t *testing.T) {
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	s := connectors.At(t, endpoint)
	receipt, err := s.Send(t.Context(), render(t, s))
	if err != nil {
		t.Fatal(err)
	}
	in := sb.Inbox(to)
	if len(in) != 1 {
		t.Fatalf("%d messages were accepted, want 1", len(in))
	}
	got := in[0]
	want := fakealiyun.Message{
		Action: "SingleSendMail", To: to, Subject: "SignIn: " + code,
		HTMLBody:    `<p title="Ann &#34;&lt;&amp;&gt;&#34; 安">` + code + ` 您的验证码 🚢</p>`,
		TextBody:    code + " 您的验证码 🚢",
		AccountName: "no-reply@mail.example.com", FromAlias: "Example 示例",
		At: got.At, EnvID: got.EnvID, RequestID: got.RequestID,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want := (sender.Receipt{ProviderID: got.EnvID, RequestID: got.RequestID}); receipt != want || receipt.ProviderID == "" || receipt.RequestID == "" {
		t.Errorf("got %+v, want %+v", receipt, want)
	}
}

// TestSendSendsWhatItIsGiven: empty parameters are omitted, and nothing of the message is
// in the URL.
func TestSendSendsWhatItIsGiven(t *testing.T) {
	srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
	c := good()
	c.Endpoint = srv.Endpoint
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), &sender.Message{To: to, Subject: "the subject", Text: "the text"}); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	got := make(map[string]string)
	for name := range r.Body {
		got[name] = r.Body.Get(name)
	}
	if want := map[string]string{
		"AccountName": "no-reply@mail.example.com", "AddressType": "1", "ReplyToAddress": "false",
		"ToAddress": to, "Subject": "the subject", "TextBody": "the text",
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	q := r.URL.Query()
	sendertest.Equal(t, "the Action", q.Get("Action"), "SingleSendMail")
	sendertest.Equal(t, "the Version", q.Get("Version"), "2015-11-23")
	sendertest.Equal(t, "the RegionId", q.Get("RegionId"), "cn-hangzhou")
	sendertest.Hides(t, fmt.Errorf("%s %v", r.URL, r.Header), to, "the subject", "the text", "no-reply")
}

func TestAnAnswerWithoutEnvIdIsDoubt(t *testing.T) {
	for _, body := range []string{`{"RequestId":"R-1"}`, `{"RequestId":"R-1","EnvId":""}`, `{"RequestId":"R-1","EnvId":null}`, `{"RequestId":"R-1","Code":"OK"}`} {
		srv := faulty.Serve(t, faulty.Answer(200, body))
		s := connectors.At(t, srv.Endpoint)
		receipt, err := s.Send(t.Context(), render(t, s))
		e := sendertest.Want(t, err, sender.Unknown)
		sendertest.Equal(t, body+": the RequestID", e.RequestID, "R-1")
		sendertest.Equal(t, body+": the receipt", receipt, sender.Receipt{})
	}
}

func TestCheck(t *testing.T) { connectors.Check(t, "DescAccountSummary", "Forbidden.RAM") }

// TestKeysOfSTS: the token is sent with the request.
func TestKeysOfSTS(t *testing.T) {
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{Keys: []fakealiyun.Key{{ID: "STS.id", Secret: "secret", SecurityToken: "to/ken+=="}}})
	c := good()
	c.Endpoint, c.AccessKeyID, c.AccessKeySecret, c.SecurityToken = endpoint, sender.NewSecret("STS.id"), sender.NewSecret("secret"), sender.NewSecret("to/ken+==")
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), render(t, s)); err != nil {
		t.Error(err)
	}
	sendertest.Equal(t, "the number of messages", len(sb.Inbox(to)), 1)
}

// TestCheckHidesWhatWasSigned, even if a gateway repeats the whole request.
func TestCheckHidesWhatWasSigned(t *testing.T) {
	srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, err := json.Marshal(map[string]string{"message": fmt.Sprint("can't read ", r.URL, " ", r.Form, " ", r.Header)})
		if err != nil {
			t.Error(err)
		}
		faulty.Answer(400, string(text))(w, r)
	})
	c := good()
	c.Endpoint, c.AccessKeyID, c.AccessKeySecret, c.SecurityToken = srv.Endpoint, sender.NewSecret("STS.id"), sender.NewSecret("secret"), sender.NewSecret("to/ken+==of-sts")
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	err = sendertest.Check(t, s)
	e := sendertest.Want(t, err, sender.Misconfigured)
	sendertest.Holds(t, "the detail", e.Detail, "can't read")
	sendertest.Hides(t, err, "to/ken+==of-sts")
}

// TestFromAlias: placeholders are filled in, and a name that gets too long is cut.
func TestFromAlias(t *testing.T) {
	for name, want := range map[string]string{"Acme": "Acme 渡船", "A name of many words": "A name of many"} {
		sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
		c := good()
		c.Endpoint, c.FromAlias = endpoint, "{{user.name}} 渡船"
		if problems := c.Validate(); len(problems) > 0 {
			t.Fatal(problems)
		}
		s, err := c.New()
		if err != nil {
			t.Fatal(err)
		}
		m := signIn()
		m.Payload["user"] = map[string]any{"name": name}
		rendered, err := s.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), rendered); err != nil {
			t.Fatal(err)
		}
		if got := sb.Inbox(to)[0].FromAlias; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
