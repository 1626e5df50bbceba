package skeleton_test

import (
	"slices"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/skeleton"
)

func textTemplates() []skeleton.TextTemplate {
	var all []skeleton.TextTemplate
	for _, usage := range sender.RequiredTypes() {
		all = append(all, skeleton.TextTemplate{UsageType: usage, TemplateCode: "T-" + string(usage)})
	}
	return all
}

func parseTexts(t *testing.T, all []skeleton.TextTemplate) *skeleton.Texts {
	t.Helper()
	texts, problems := skeleton.ParseTexts(all)
	if len(problems) > 0 {
		t.Fatalf("the templates are wrong: %v", problems)
	}
	return texts
}

func TestTextsRender(t *testing.T) {
	all := textTemplates()
	all[slices.Index(sender.RequiredTypes(), messages.SignIn)].Vars = map[string]string{"code": "{{code}}", "name": "{{user.name}}", "no": "{{nothing}}"}
	texts := parseTexts(t, all)
	for _, test := range []struct{ name, to, want string }{
		{"a mainland number", "13800000001", "+8613800000001"},
		{"a mainland number with its country code", "008613800000001", "+8613800000001"},
		{"another country's", "+4915112345678", "+4915112345678"},
	} {
		m, err := texts.Render(sendertest.SignIn(test.to, "Qx7z9K"))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if m.To != test.want {
			t.Errorf("%s is rendered as %q, want %q", test.name, m.To, test.want)
		}
		if m.ID != "id-1" || m.TemplateCode != "T-SignIn" || m.Template != "T-SignIn" {
			t.Errorf("ID %q, TemplateCode %q, Template %q; want id-1, and T-SignIn twice", m.ID, m.TemplateCode, m.Template)
		}
		if want := `{"code":"Qx7z9K","name":"Ann \"\u003c\u0026\u003e\" 安","no":""}`; m.TemplateParam != want {
			t.Errorf("TemplateParam is %s, want %s", m.TemplateParam, want)
		}
		if want := []string{"nothing"}; !slices.Equal(m.Missing, want) {
			t.Errorf("Missing is %q, want %q", m.Missing, want)
		}
	}
}

func TestTextsRefuse(t *testing.T) {
	texts := parseTexts(t, textTemplates())
	for name, change := range map[string]func(*messages.SendCode){
		"a number that is too long": func(m *messages.SendCode) { m.To = "+86138000000012345" },
		"no code":                   func(m *messages.SendCode) { m.Payload = nil },
	} {
		t.Run(name, func(t *testing.T) {
			code := sendertest.SignIn("+8613800000001", "Qx7z9K")
			change(code)
			_, err := texts.Render(code)
			if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid {
				t.Errorf("the code is %q, want %q", e.Code, sender.CodeInvalid)
			}
			sendertest.Hides(t, err, code.To, "138000000012345")
		})
	}
}

func TestTextsProblems(t *testing.T) {
	all := textTemplates()
	all[1].TemplateCode = ""
	all = append(all[:3], skeleton.TextTemplate{UsageType: "SingIn", TemplateCode: "T"})
	var paths []string
	_, problems := skeleton.ParseTexts(all)
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	for _, want := range []string{"templates[1].templateCode", "templates[3].usageType"} {
		if !slices.Contains(paths, want) {
			t.Errorf("the problems are of %q, want one of %s: %v", paths, want, problems)
		}
	}
}
