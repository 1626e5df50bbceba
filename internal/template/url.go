package template

import (
	"fmt"
	"html"
	htmltemplate "html/template"
	"regexp"
	"strings"
)

// link is a URL with placeholders outside of HTML. It is written as html/template writes it
// into an href, so that both parts of a mail have the same URL.
type link struct {
	t   *htmltemplate.Template
	raw plain
}

const (
	hrefStart = `<a href="`
	hrefEnd   = `">`
)

func parseLink(url string) (link, error) {
	raw := parsePlain(url)
	var b strings.Builder
	b.WriteString(hrefStart)
	for i, name := range raw.name {
		b.WriteString(html.EscapeString(raw.text[i]))
		fmt.Fprintf(&b, "%sindex . %q%s", leftDelim, name, rightDelim)
	}
	b.WriteString(html.EscapeString(raw.text[len(raw.text)-1]) + hrefEnd)
	t, err := parseEscaped(b.String())
	return link{t, raw}, err
}

// refused is html/template's replacement for a URL whose value begins with a scheme that can
// run a program.
const refused = "#ZgotmplZ"

func (l link) write(b *strings.Builder, values map[string]string) error {
	var out strings.Builder
	if err := l.t.Execute(&out, values); err != nil {
		return err
	}
	href := strings.TrimSuffix(strings.TrimPrefix(out.String(), hrefStart), hrefEnd)
	if strings.HasPrefix(href, refused) {
		return l.raw.write(b, values) // text runs nothing, so any scheme is allowed, such as an app's own
	}
	b.WriteString(html.UnescapeString(href))
	return nil
}

// inText matches a URL in plain text: from its scheme up to the first character that no URL
// has (RFC 3986, 2). It includes placeholders.
var inText = regexp.MustCompile(`(?i)\b(?:[a-z][a-z0-9+.-]*://|mailto:)(?:` + placeholder.String() + `|[a-z0-9._~:/?#\[\]@!$&'()*+,;=%-])+`)

// textParts splits a plain text into URLs and other text.
func textParts(src string) (parts []part, err error) {
	at := 0
	for _, m := range inText.FindAllStringIndex(src, -1) {
		if !placeholder.MatchString(src[m[0]:m[1]]) {
			continue
		}
		l, err := parseLink(src[m[0]:m[1]])
		if err != nil {
			return nil, err
		}
		parts = append(parts, parsePlain(src[at:m[0]]), l)
		at = m[1]
	}
	return append(parts, parsePlain(src[at:])), nil
}
