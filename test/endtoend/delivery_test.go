package endtoend_test

import (
	"regexp"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
)

// TestEveryConnectorDelivers: every connector delivers the same message, byte for byte.
func TestEveryConnectorDelivers(t *testing.T) {
	t.Parallel()
	s := system{routes: make(map[string][]string), sides: make(map[string]*side)}
	for _, kind := range kinds {
		s.sides[kind] = newSide(t, kind).up(t)
		s.routes[kind] = []string{kind}
	}
	r := run(t, s)
	mail := arrival{
		To: mailbox, Subject: `登录 48K921 — <&"> 安 🚢`, FromName: `渡船, "A" 🚢`, FromAddress: fromAddress,
		HTML: `<p title="&lt;&amp;&#34;&gt; 安 🚢">你好 &lt;&amp;&#34;&gt; 安 🚢: <b>48K921</b> 🚢</p>`,
		Text: `你好 <&"> 安 🚢: 48K921 🚢`,
	}
	const token = "-[0-9a-f]{24}"
	tests := map[string]struct {
		want arrival
		id   string // a pattern
	}{
		"smtp":           {mail, "^<to-smtp" + token + "@mail[.]example[.]com>$"},
		"sendgrid":       {mail, "^to-sendgrid" + token + "$"},
		"aws-ses":        {mail, "^to-aws-ses" + token + "$"},
		"aliyun-dm":      {mail, "^$"}, // SingleSendMail takes no id
		"aliyun-sms":     {arrival{To: "13800000001", Template: "SMS_1", Params: `{"code":"48K921"}`, Sign: "渡船"}, "^to-aliyun-sms" + token + "$"},
		"aliyun-sms-mas": {arrival{To: "13800000001", Template: "100001", Params: `{"code":"48K921","min":"10"}`, Sign: "渡船"}, "^to-aliyun-sms-mas" + token + "$"},
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			if _, ok := tests[kind]; !ok {
				t.Fatalf("tests, in test/endtoend/delivery_test.go, lacks %s: add the message that arrives, and its name at the provider", kind)
			}
			side, id := s.sides[kind], "to-"+kind
			r.send(t, kind, side.channel(), signIn(id, recipient(side.channel())))
			story := r.story(t, id)
			o := story[len(story)-1]
			check.Equal(t, "the number of outcomes", len(story), 1)
			check.Equal(t, "the status", o.Status, messages.StatusSent)
			check.Equal(t, "the connector", o.Connector, kind)
			check.Equal(t, "the attempt", o.Attempt, 1)
			if t.Failed() {
				t.Fatalf("the outcomes are %+v\n%s", story, r.log.String())
			}
			got := side.arrivals()
			if len(got) != 1 || side.asked() != 1 {
				t.Fatalf("%d arrived by %d requests", len(got), side.asked())
			}
			want := tests[kind].want
			want.ProviderID = o.ProviderID
			// The id at the provider begins with the message's id; the rest belongs to the
			// stored message.
			if name := regexp.MustCompile(tests[kind].id); !name.MatchString(got[0].ID) {
				t.Errorf("its id at the provider is %q, which does not match %s", got[0].ID, name)
			}
			got[0].ID = ""
			if got[0] != want || o.ProviderID == "" {
				t.Errorf("got  %+v\nwant %+v", got[0], want)
			}
		})
	}
}
