package endtoend_test

import (
	"testing"

	"github.com/codeferry/codeferry/messages"
)

// TestEveryConnectorDelivers the same message, byte for byte.
func TestEveryConnectorDelivers(t *testing.T) {
	s := system{routes: make(map[string][]string), sides: make(map[string]*side)}
	for _, kind := range kinds {
		s.sides[kind] = newSide(t, kind).up(t)
		s.routes[kind] = []string{kind}
	}
	r := run(t, s)
	mail := arrival{
		To: mailbox, Subject: `登录 483921 — <&"> 安 🚢`, FromName: `渡船, "A" 🚢`, FromAddress: fromAddress,
		HTML: `<p title="&lt;&amp;&#34;&gt; 安 🚢">你好 &lt;&amp;&#34;&gt; 安 🚢: <b>483921</b> 🚢</p>`,
		Text: `你好 <&"> 安 🚢: 483921 🚢`,
	}
	tests := map[string]struct {
		want arrival
		id   string
	}{
		"smtp":           {mail, "<to-smtp@mail.example.com>"},
		"sendgrid":       {mail, "to-sendgrid"},
		"aws-ses":        {mail, "to-aws-ses"},
		"aliyun-dm":      {mail, ""}, // SingleSendMail takes no id
		"aliyun-sms":     {arrival{To: "13800000001", Template: "SMS_1", Params: `{"code":"483921"}`, Sign: "渡船"}, "to-aliyun-sms"},
		"aliyun-sms-mas": {arrival{To: "13800000001", Template: "100001", Params: `{"code":"483921","min":"10"}`, Sign: "渡船"}, "to-aliyun-sms-mas"},
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			side, id := s.sides[kind], "to-"+kind
			r.send(t, kind, side.channel(), signIn(id, recipient(side.channel())))
			story := r.story(t, id)
			o := story[len(story)-1]
			if len(story) != 1 || o.Status != messages.StatusSent || o.Connector != kind || o.Attempt != 1 {
				t.Fatalf("%+v\n%s", story, r.log.String())
			}
			got := side.arrivals()
			if len(got) != 1 || side.asked() != 1 {
				t.Fatalf("%d arrived by %d requests", len(got), side.asked())
			}
			want := tests[kind].want
			want.ID, want.ProviderID = tests[kind].id, o.ProviderID
			if got[0] != want || o.ProviderID == "" {
				t.Errorf("got  %+v\nwant %+v", got[0], want)
			}
		})
	}
}
