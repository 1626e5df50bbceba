package template_test

import (
	"strings"
	"testing"

	dom "golang.org/x/net/html"

	"github.com/codeferry/codeferry/internal/template"
)

// values hold characters that could end or change a URL.
var values = map[string]any{
	"email": "a+b@example.org", "code": "12&34<5", "name": "Ann O'Neil %20 #1?", "cn": "验证",
	"link": "https://l.example/verify?e=a%2Bb&t=1 2", "base": "https://b.example", "app": "myapp://open?t=1&u=2", "script": "javascript:alert(1)",
}

func render(t testing.TB, parsed *template.Template, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := parsed.Render(values)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// href is the first link of an HTML text, as a browser reads it.
func href(t testing.TB, html string) string {
	t.Helper()
	root, err := dom.Parse(strings.NewReader(html))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "href" {
				return a.Val
			}
		}
	}
	t.Fatalf("no link in %s", html)
	return ""
}

// TestTheSameURLInBothParts of a mail, for a placeholder in any place.
func TestTheSameURLInBothParts(t *testing.T) {
	for url, want := range map[string]string{
		"https://a.example/v?email={{email}}&amp;t={{code}}": "https://a.example/v?email=a%2bb%40example.org&t=12%2634%3c5",
		"https://a.example/v?email={{ email }}#{{name}}":     "https://a.example/v?email=a%2bb%40example.org#Ann%20O%27Neil%20%2520%20%231%3f",
		"https://a.example/{{cn}}/x?{{cn}}":                  "https://a.example/%e9%aa%8c%e8%af%81/x?%e9%aa%8c%e8%af%81",
		"{{link}}":                                           "https://l.example/verify?e=a%2Bb&t=1%202",
		"{{base}}/v?email={{email}}":                         "https://b.example/v?email=a%2bb%40example.org",
		"mailto:help@a.example?subject={{name}}":             "mailto:help@a.example?subject=Ann%20O%27Neil%20%2520%20%231%3f",
		"myapp://verify?t={{code}}":                          "myapp://verify?t=12%2634%3c5",
		"/it's?a=&quot;b&#63;&lt;{{code}}":                   "/it's?a=\"b?<12%2634%3c5",
		"https://a.example/?a={{unknown}}&amp;b={{code}}":    "https://a.example/?a=&b=12%2634%3c5",
		"https://a.example/?{{user name}}&amp;b={{code}}":    "https://a.example/?{{user name}}&b=12%2634%3c5",
	} {
		for _, c := range []struct{ html, before, after string }{
			{`<p>Go <a href="` + url + `">there</a>.</p>`, "Go there (", ")."},
			{`<p>Go <a href="` + url + `"><img src="x"></a>.</p>`, "Go ", "."},
			{`<p>Go <a href="` + url + `">` + url + `</a>.</p>`, "Go ", "."},
			{`<a href='` + strings.ReplaceAll(url, "'", "&#39;") + `'>there</a>`, "there (", ")"},
		} {
			parsed, err := template.HTML(c.html)
			if got := href(t, render(t, parsed, err)); got != want {
				t.Errorf("%s: the HTML has %q, want %q", c.html, got, want)
			}
			parsed, err = template.Text(c.html)
			if got := render(t, parsed, err); got != c.before+want+c.after {
				t.Errorf("%s: the text is %q, want %q", c.html, got, c.before+want+c.after)
			}
		}
	}
}

// TestASchemeOfItsOwn: an href does not take another scheme, because it could run a program;
// in text it runs nothing.
func TestASchemeOfItsOwn(t *testing.T) {
	for name, want := range map[string]string{"app": "myapp://open?t=1&u=2", "script": "javascript:alert(1)"} {
		parsed, err := template.Text(`<a href="{{` + name + `}}">x</a>`)
		if got := render(t, parsed, err); got != "x ("+want+")" {
			t.Errorf("%q", got)
		}
	}
}

func TestPlainText(t *testing.T) {
	for src, want := range map[string]string{
		"{{email}}: {{code}}": "a+b@example.org: 12&34<5",
		"Go to https://a.example/v?email={{email}}&t={{ code }}, {{email}}!": "Go to https://a.example/v?email=a%2bb%40example.org&t=12%2634%3c5, a+b@example.org!",
		"请点击https://a.example/?t={{code}}，您的验证码：{{code}}":                    "请点击https://a.example/?t=12%2634%3c5，您的验证码：12&34<5",
		"<https://a.example/?t={{code}}>{{code}}":                            "<https://a.example/?t=12%2634%3c5>12&34<5",
		"HTTPS://a.example/{{name}}":                                         "HTTPS://a.example/Ann%20O%27Neil%20%20%20#1?",
		"mailto:a@b.c?subject={{code}}":                                      "mailto:a@b.c?subject=12%2634%3c5",
		"{{link}} {{app}}":                                                   "https://l.example/verify?e=a%2Bb&t=1 2 myapp://open?t=1&u=2",
		"https://a.example/ {{code}}":                                        "https://a.example/ 12&34<5",
		"no://":                                                              "no://",
		"a: {{code}} // {{code}}":                                            "a: 12&34<5 // 12&34<5",
	} {
		parsed, err := template.PlainText(src)
		if got := render(t, parsed, err); got != want {
			t.Errorf("%q: got %q, want %q", src, got, want)
		}
	}
	if got := render(t, template.Line("https://a.example/?t={{code}}"), nil); got != "https://a.example/?t=12&34<5" {
		t.Errorf("a subject is %q", got) // nothing makes a link of it
	}
}

func TestPrivateCharacters(t *testing.T) {
	if _, err := template.Text("\uE000{{code}}\uE001"); err == nil {
		t.Error("it was parsed")
	}
	parsed, err := template.Text(`<a href="&#xE000;https://a.example/?{{code}}">&#xE001;x&#xE000;</a>`)
	if got := render(t, parsed, err); got != "x (https://a.example/?12%2634%3c5)" {
		t.Errorf("%q", got)
	}
}

// FuzzURL: with any text around a placeholder and in its value, both parts have the same URL.
func FuzzURL(f *testing.F) {
	f.Add("https://a.example/v?email=", "&t=1", "a+b@example.org")
	f.Add("", "", "https://a.example/?x=1 2")
	f.Add("https://a.example/'\"<", "#", "验证\x00\r\n%2")
	f.Add("mailto:", "?subject=x", "a@b.c")
	f.Fuzz(func(t *testing.T, before, after, value string) {
		if strings.ContainsAny(before+after, "{}\uE000\uE001\x00") || strings.Join(strings.Fields(before+"x"+after), "") != before+"x"+after || strings.HasPrefix(before, "#") {
			return // the text has one space between words, and NUL is not HTML
		}
		src := `<a href="` + dom.EscapeString(before) + "{{v}}" + dom.EscapeString(after) + `"><img></a>`
		parsed, err := template.HTML(src)
		if err != nil {
			return
		}
		payload := map[string]any{"v": value}
		html, _, err := parsed.Render(payload)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err = template.Text(src)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		text, _, err := parsed.Render(payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := href(t, html); got != text && !strings.HasPrefix(got, "#ZgotmplZ") {
			t.Fatalf("%q: the HTML has %q, the text %q", src, got, text)
		}
	})
}
