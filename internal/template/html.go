package template

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strings"
)

// The delimiters under which a placeholder is handed to html/template, so that
// any brace of the source stays text: private-use characters that no mail has.
const (
	leftDelim  = "\uE000"
	rightDelim = "\uE001"
)

// HTML parses an HTML text whose values are escaped for where they stand:
// between tags, in an attribute, in a URL, in a style. The escaping is
// html/template's. Comments are kept as they are, since Outlook's conditional
// ones carry content.
func HTML(src string) (*Template, error) {
	if strings.Contains(src, leftDelim) || strings.Contains(src, rightDelim) {
		return nil, errors.New("holds the private-use characters U+E000 or U+E001")
	}
	t := &Template{variables: variables(src), clean: func(s string) string { return s }}
	at := 0
	for _, m := range comment.FindAllStringIndex(src, -1) {
		if !strings.HasPrefix(src[m[0]:], "<!--") {
			continue // a style or a script: html/template's to read
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
	h, err := htmltemplate.New("").Delims(leftDelim, rightDelim).Parse(b.String())
	if err == nil {
		// The escaper runs at the first execution; what it can't escape is to be
		// found now.
		err = h.Execute(new(strings.Builder), map[string]string{})
	}
	if err != nil {
		return fmt.Errorf("is no HTML in which a value could be escaped: %s", reason(err))
	}
	t.parts = append(t.parts, html{h})
	return nil
}

// reason leaves away how html/template names templates, which means nothing here.
func reason(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, "html/template:"); i >= 0 {
		s = s[i+len("html/template:"):]
	}
	return strings.TrimLeft(s, `:"0123456789 `)
}

type html struct{ t *htmltemplate.Template }

func (h html) write(b *strings.Builder, values map[string]string) error {
	return h.t.Execute(b, values)
}
