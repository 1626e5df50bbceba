package template_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/template"
)

func payload(t *testing.T, s string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		name, src, payload, want string
		missing                  []string
	}{
		{"a code", "Your code is {{code}}.", `{"code":"012345"}`, "Your code is 012345.", nil},
		{"spaces in the braces", "{{ code }}|{{\tcode\n}}", `{"code":"1"}`, "1|1", nil},
		{"a path", "{{user.name}} of {{organization.names.1}}", `{"user":{"name":"Ann"},"organization":{"names":["A","B"]}}`, "Ann of B", nil},
		{"no escaping in plain text", "{{name}}", `{"name":"<b>&"}`, "<b>&", nil},
		{"numbers as they were written", "{{n}} {{b}}", `{"n":1.50,"b":true}`, "1.50 true", nil},
		{"a missing value is nothing", "[{{name}}]", `{}`, "[]", []string{"name"}},
		{"null and objects are nothing", "[{{a}}{{b}}{{c}}]", `{"a":null,"b":{"x":1},"c":[1]}`, "[]", []string{"a", "b", "c"}},
		{"a list's end", "[{{a.7}}{{a.x}}]", `{"a":["0"]}`, "[]", []string{"a.7", "a.x"}},
		{"other braces are text", "{{#if x}}{{ a b }}{{}}{{a..b}}{code}", `{"code":"1"}`, "{{#if x}}{{ a b }}{{}}{{a..b}}{code}", nil},
		{"a value with braces is not read again", "{{a}}", `{"a":"{{code}}"}`, "{{code}}", nil},
		{"empty", "", `{}`, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, missing, err := template.Plain(c.src).Render(payload(t, c.payload))
			if err != nil || got != c.want || !slices.Equal(missing, c.missing) {
				t.Errorf("got %q, missing %q, error %v; want %q, %q", got, missing, err, c.want, c.missing)
			}
		})
	}
}

func TestMissingCodeOrLink(t *testing.T) {
	h, err := template.HTML(`<a href="{{link}}">go</a>`)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		t       *template.Template
		payload map[string]any
		want    string
	}{
		"no code":    {template.Plain("{{code}}"), map[string]any{}, "code"},
		"empty code": {template.Plain("{{code}}"), map[string]any{"code": ""}, "code"},
		"an object":  {template.Plain("{{code}}"), map[string]any{"code": map[string]any{}}, "code"},
		"no link":    {h, map[string]any{"code": "1"}, "link"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.t.Render(c.payload)
			var m *template.MissingError
			if !errors.As(err, &m) || m.Name != c.want {
				t.Fatalf("got %v, want a missing %s", err, c.want)
			}
		})
	}
}

func TestLineStaysOneLine(t *testing.T) {
	got, _, err := template.Line("Hello {{name}}").Render(map[string]any{"name": "a\r\nBcc: b\u2028c\x00"})
	if want := "Hello a  Bcc: b c "; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestHTMLEscapesForThePlace(t *testing.T) {
	const evil = `"><script>alert('1')</script>&`
	for _, c := range []struct{ name, src, value, want string }{
		{"text", `<p>{{v}}</p>`, evil, `<p>&#34;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;</p>`},
		{"attribute", `<p title="{{v}}">x</p>`, evil, `<p title="&#34;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;">x</p>`},
		{"unquoted attribute", `<p title={{v}}>x</p>`, `a b`, `<p title=a&#32;b>x</p>`},
		{"query", `<a href="https://example.com/?token={{v}}&x=1">x</a>`, `a b&c="d"`, `<a href="https://example.com/?token=a%20b%26c%3d%22d%22&x=1">x</a>`},
		{"a whole URL", `<a href="{{v}}">x</a>`, `https://example.com/a?b=1&c=2`, `<a href="https://example.com/a?b=1&amp;c=2">x</a>`},
		{"no scripts in a URL", `<a href="{{v}}">x</a>`, `javascript:alert(1)`, `<a href="#ZgotmplZ">x</a>`},
		{"style", `<p style="color: {{v}}">x</p>`, `red; background: url(x)`, `<p style="color: ZgotmplZ">x</p>`},
		{"other braces", `<p>{{#x}} {{v}}</p>`, `1`, `<p>{{#x}} 1</p>`},
		{"a comment is kept", `<p>a<!-- {{v}} -->{{v}}</p>`, `1`, `<p>a<!-- {{v}} -->1</p>`},
		{"Outlook's comment has values", `<!--[if mso]><v:rect href="https://e.com/?t={{v}}"><![endif]--><p>{{v}}</p>`, `a&b`, `<!--[if mso]><v:rect href="https://e.com/?t=a%26b"><![endif]--><p>a&amp;b</p>`},
		{"all but Outlook", `<!--[if !mso]><!--><p>{{v}}</p><!--<![endif]-->`, `<`, `<!--[if !mso]><!--><p>&lt;</p><!--<![endif]-->`},
		{"unicode", `<p>您的验证码：{{v}} 🚢</p>`, `é`, `<p>您的验证码：é 🚢</p>`},
		{"no HTML at all", `Your code is {{v}}.`, `12<34`, `Your code is 12&lt;34.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := template.HTML(c.src)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := tmpl.Render(map[string]any{"v": c.value})
			if err != nil || got != c.want {
				t.Errorf("got %q, %v\nwant %q", got, err, c.want)
			}
		})
	}
}

func TestHTMLRefusesWhatItCannotEscape(t *testing.T) {
	for name, src := range map[string]string{
		"an open tag":       `<a href="{{link}}`,
		"private use":       "a\uE000b",
		"a tag in a string": `<p title="a`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := template.HTML(src); err == nil {
				t.Error("accepted")
			} else if strings.Contains(err.Error(), "html/template") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not for people: %v", err)
			}
		})
	}
}

// TestSeed renders the documented sign-up mail: a large table whose link has one variable as
// its host and one in its query.
func TestSeed(t *testing.T) {
	src, err := os.ReadFile("testdata/sign-up.html")
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := template.HTML(string(src))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tmpl.Variables(), []string{"code", "domain", "token"}; !slices.Equal(got, want) {
		t.Errorf("variables %q, want %q", got, want)
	}
	got, missing, err := tmpl.Render(map[string]any{"code": "<012345>", "domain": "example.com", "token": `a&b="c" d`})
	if err != nil || len(missing) > 0 {
		t.Fatal(err, missing)
	}
	want := strings.NewReplacer(
		"{{code}}", "&lt;012345&gt;",
		"{{domain}}", "example.com",
		"{{token}}", "a%26b%3d%22c%22%20d",
	).Replace(string(src))
	if got != want {
		t.Errorf("rendered:\n%s", got)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("Your code is {{code}}.", "123456")
	f.Add(`<a href="https://www.{{domain}}/?t={{token}}">x</a>`, `"><script>`)
	f.Add(`<!--[if mso]>{{x}}<![endif]--><style>a{b:{{x}}}</style>`, "</style>")
	f.Fuzz(func(t *testing.T, src, value string) {
		values := make(map[string]any)
		line := template.Line(src)
		for _, name := range append(line.Variables(), "code", "link") {
			values[name] = value + "x"
		}
		if _, _, err := line.Render(values); err != nil {
			t.Fatalf("line: %v", err)
		}
		tmpl, err := template.HTML(src)
		if err != nil {
			return
		}
		if _, _, err := tmpl.Render(values); err != nil {
			t.Fatalf("a parsed template can't be rendered: %v", err)
		}
	})
}

func BenchmarkSeed(b *testing.B) {
	src, err := os.ReadFile("testdata/sign-up.html")
	if err != nil {
		b.Fatal(err)
	}
	tmpl, err := template.HTML(string(src))
	if err != nil {
		b.Fatal(err)
	}
	values := map[string]any{"code": "012345", "domain": "example.com", "token": "abc"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := tmpl.Render(values); err != nil {
			b.Fatal(err)
		}
	}
}
