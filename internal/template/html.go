package template

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strings"
)

// The delimiters of placeholders for html/template. They are private-use characters that no
// mail has, so all braces of the source stay text.
const (
	leftDelim  = "\uE000"
	rightDelim = "\uE001"
)

// HTML parses an HTML text. html/template escapes its values for their place: between tags, in
// an attribute, in a URL, in a style. Comments stay unchanged, because Outlook's conditional
// comments hold content.
func HTML(src string) (*Template, error) {
	if err := checkPrivate(src); err != nil {
		return nil, err
	}
	t := &Template{variables: variables(src), clean: func(s string) string { return s }}
	at := 0
	for _, m := range comment.FindAllStringIndex(src, -1) {
		if !strings.HasPrefix(src[m[0]:], "<!--") {
			continue // a style or a script, which html/template reads
		}
		if err := t.addHTML(src[at:m[0]]); err != nil {
			return nil, err
		}
		if err := t.addComment(src[m[0]:m[1]]); err != nil {
			return nil, err
		}
		at = m[1]
	}
	if err := t.addHTML(src[at:]); err != nil {
		return nil, err
	}
	return t, nil
}

func checkPrivate(src string) error {
	if strings.Contains(src, leftDelim) || strings.Contains(src, rightDelim) {
		return errors.New("holds the private-use characters U+E000 or U+E001")
	}
	return nil
}

var (
	comment     = regexp.MustCompile(`(?is)<style\b.*?</style\s*>|<script\b.*?</script\s*>|<!--.*?-->`)
	conditional = regexp.MustCompile(`(?is)^(<!--\[if\b[^\]]*\]>)(.*)(<!\[endif\]-->)$`)
)

func (t *Template) addComment(src string) error {
	m := conditional.FindStringSubmatch(src)
	if m == nil {
		t.parts = append(t.parts, plain{text: []string{src}})
		return nil
	}
	t.parts = append(t.parts, plain{text: m[1:2]})
	if err := t.addHTML(m[2]); err != nil {
		return err
	}
	t.parts = append(t.parts, plain{text: m[3:4]})
	return nil
}

func (t *Template) addHTML(src string) error {
	if src == "" {
		return nil
	}
	p := parsePlain(src)
	var b strings.Builder
	for i, name := range p.name {
		b.WriteString(p.text[i])
		fmt.Fprintf(&b, "%sindex . %q%s", leftDelim, name, rightDelim)
	}
	b.WriteString(p.text[len(p.text)-1])
	h, err := parseEscaped(b.String())
	if err != nil {
		return err
	}
	t.parts = append(t.parts, htmlPart{h})
	return nil
}

// parseEscaped parses HTML whose placeholders are between our delimiters.
func parseEscaped(src string) (*htmltemplate.Template, error) {
	h, err := htmltemplate.New("").Delims(leftDelim, rightDelim).Parse(src)
	if err == nil {
		// The escaper runs at the first execution. Run it now, to find text that it can't escape.
		err = h.Execute(new(strings.Builder), map[string]string{})
	}
	if err != nil {
		return nil, fmt.Errorf("is not HTML in which a value can be escaped: %s", reason(err))
	}
	return h, nil
}

// reason removes html/template's names of templates, which mean nothing here.
func reason(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, "html/template:"); i >= 0 {
		s = s[i+len("html/template:"):]
	}
	return strings.TrimLeft(s, `:"0123456789 `)
}

type htmlPart struct{ t *htmltemplate.Template }

func (h htmlPart) write(b *strings.Builder, values map[string]string) error {
	return h.t.Execute(b, values)
}
