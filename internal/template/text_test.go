package template_test

import (
	"os"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/template"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, html, want string }{
		{"nothing", "", ""},
		{"text alone", " Your code is {{code}}. ", "Your code is 12&34."},
		{"inline", "<p>Hello <b>{{user.name}}</b>, it is<i>{{code}}</i>!</p>", "Hello Ann <a@b>, it is12&34!"},
		{"blocks", "<h1>A</h1><p>b<br>c<br/><br/><br/>d</p><div>e</div><div>f</div>", "A\n\nb\nc\n\nd\n\ne\nf"},
		{"entities", "<p>&lt;&amp;&copy;&nbsp;x</p>", "<&© x"},
		{"a list", "<p>x</p><ul><li>one</li><li>two <b>three</b></li></ul>y", "x\n\n- one\n- two three\n\ny"},
		{"a table", "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>", "a b\nc"},
		{"a link", `<a href="https://x.example.com/?a=1&amp;c={{ code }}">Go on</a> now`, "Go on (https://x.example.com/?a=1&c=12%2634) now"},
		{"a link that says where", `<a href="{{link}}">{{link}}</a>, <a href="mailto:a@b.c">a@b.c</a>`, "https://l.example.com/?x=1, a@b.c"},
		{"a picture's link", `<a href="https://x.example.com"><img src="y" alt="z"></a>`, "https://x.example.com"},
		{"a link to nowhere", `<a>a</a> <a href="#top">b</a>`, "a b"},
		{"what nobody reads", "<head><title>t</title><style>p{}</style></head><!-- c --><script>s()</script><p>x</p>", "x"},
		{"other scripts", "<p>您的验证码：{{code}} 🚢</p>", "您的验证码：12&34 🚢"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := template.Text(c.html)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := text.Render(map[string]any{
				"code": "12&34", "link": "https://l.example.com/?x=1", "user": map[string]any{"name": "Ann <a@b>"},
			})
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestTextOfTheSeedsTemplate(t *testing.T) {
	src, err := os.ReadFile("testdata/sign-up.html")
	if err != nil {
		t.Fatal(err)
	}
	text, err := template.Text(string(src))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := text.Render(map[string]any{"code": "482913", "domain": "example.com", "token": "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n482913\n", "https://www.example.com/account/verify?token=t", "The code will remain active for 10 minutes."} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	if strings.ContainsAny(got, "<>{}") || strings.Contains(got, "\n\n\n") {
		t.Errorf("%s", got)
	}
}

func TestMistakes(t *testing.T) {
	for src, want := range map[string][]string{
		"{{code}} {{ user.name }}":        nil,
		"body{color:red} @media{p{a:b}}":  nil,
		"Your code is {{code}":            {"{{code}"},
		"{{user name}} and {{co-de}}":     {"{{user name}}", "{{co-de}}"},
		"{{" + strings.Repeat("x", 100):   {"{{" + strings.Repeat("x", 28) + "…"},
		"{{}}":                            {"{{}}"},
		"{{code}} is {{code }and{{code}}": {"{{code }and{{code}}"},
	} {
		got := template.Mistakes(src)
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: got %q, want %q", src, got, want)
		}
	}
}
