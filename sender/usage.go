package sender

import (
	"fmt"
	"strings"

	"golang.org/x/text/language"

	"github.com/codeferry/codeferry/messages"
)

// RequiredTypes lists the four usage types for which every connector must have a
// template, as in Logto. The other types fall back to Generic.
func RequiredTypes() []messages.Type {
	return []messages.Type{messages.Register, messages.SignIn, messages.ForgotPassword, messages.Generic}
}

// TemplateKey says which messages a template is for.
type TemplateKey struct {
	UsageType messages.Type
	// Locale is the template's language, a BCP 47 tag such as zh-CN. It is empty for the
	// template of all users whose language no other template has.
	Locale string
}

func (k TemplateKey) String() string {
	if k.Locale == "" {
		return string(k.UsageType)
	}
	return string(k.UsageType) + " in " + k.Locale
}

// Templates holds a connector's templates by usage type and language. The zero value is
// empty. Once it is filled, many goroutines can read it at once.
type Templates[T any] struct {
	byType map[messages.Type]*languages[T]
}

// languages are the templates of one usage type.
type languages[T any] struct {
	// fallback is the template without a language or, if there is none, the first one.
	fallback T
	plain    bool
	tags     []language.Tag
	values   []T
	matcher  language.Matcher
}

// Add adds a template. CheckTemplates must have found no problem.
func (t *Templates[T]) Add(k TemplateKey, v T) {
	if t.byType == nil {
		t.byType = make(map[messages.Type]*languages[T])
	}
	usage := k.UsageType.Canonical()
	l := t.byType[usage]
	if l == nil {
		l = &languages[T]{fallback: v}
		t.byType[usage] = l
	}
	if k.Locale == "" {
		l.fallback, l.plain = v, true
		return
	}
	l.tags, l.values = append(l.tags, language.Make(k.Locale)), append(l.values, v)
	l.matcher = language.NewMatcher(l.tags)
}

// For returns the template for a message. It is a template of the message's usage type
// or, if there is none, of Generic. Among these it is the one whose language fits
// payload.locale best, then payload.uiLocales, then the default one. ok is false if there
// is no template of either type.
func (t *Templates[T]) For(m *messages.SendCode) (v T, ok bool) {
	l, ok := t.byType[m.Type.Canonical()]
	if !ok {
		if l, ok = t.byType[messages.Generic]; !ok {
			return v, false
		}
	}
	if len(l.values) == 0 || len(l.values) == 1 && !l.plain {
		return l.fallback, true
	}
	for _, tag := range wanted(m.Payload) {
		if _, i, confidence := l.matcher.Match(tag); confidence > language.No {
			return l.values[i], true
		}
	}
	return l.fallback, true
}

// maxWanted bounds how many languages of a message are read, and maxTag their length: the
// time to read one grows with the square of its length.
const (
	maxWanted = 8
	maxTag    = 64
)

// wanted returns a message's languages, the best first. uiLocales is OpenID Connect's
// ui_locales: tags separated by spaces, or a list of tags.
func wanted(p messages.Payload) []language.Tag {
	names := append([]string{p.Text("locale")}, strings.Fields(p.Text("uiLocales"))...)
	if list, ok := p["uiLocales"].([]any); ok {
		for _, v := range list {
			name, _ := v.(string)
			names = append(names, name)
		}
	}
	var tags []language.Tag
	for _, name := range names[:min(len(names), maxWanted)] {
		if len(name) > maxTag {
			continue
		}
		if tag, err := language.Parse(name); err == nil && tag != language.Und {
			tags = append(tags, tag)
		}
	}
	return tags
}

// CheckTemplates reports unknown usage types, required ones that are missing, invalid
// languages, and duplicates. The keys are those of a connector's templates, in order.
func CheckTemplates(keys []TemplateKey) []Problem {
	var out []Problem
	first := make(map[TemplateKey]int)
	have := make(map[messages.Type]bool)
	for i, k := range keys {
		path := fmt.Sprintf("templates[%d].", i)
		if k.UsageType == "" {
			out = append(out, Problem{path + "usageType", "is required"})
			continue
		}
		if !k.UsageType.Valid() {
			out = append(out, Problem{path + "usageType", fmt.Sprintf("%q is not a usage type; it is one of %s", k.UsageType, join(messages.Types()))})
			continue
		}
		have[k.UsageType.Canonical()] = true
		same := TemplateKey{UsageType: k.UsageType.Canonical()}
		if k.Locale != "" {
			tag, err := language.Parse(k.Locale)
			if err != nil || tag == language.Und {
				out = append(out, Problem{path + "locale", fmt.Sprintf("%q is not a language tag such as zh-CN (BCP 47)", k.Locale)})
				continue
			}
			same.Locale = tag.String()
		}
		if j, dup := first[same]; dup {
			out = append(out, Problem{path + "usageType", fmt.Sprintf("%s has a template already: templates[%d]", k, j)})
			continue
		}
		first[same] = i
	}
	var missing []messages.Type
	for _, t := range RequiredTypes() {
		if !have[t] {
			missing = append(missing, t)
		}
	}
	if len(missing) > 0 {
		out = append(out, Problem{"templates", fmt.Sprintf("has no template for %s; %s are required", join(missing), join(RequiredTypes()))})
	}
	return out
}

func join(types []messages.Type) string {
	s := make([]string, len(types))
	for i, t := range types {
		s[i] = string(t)
	}
	return strings.Join(s, ", ")
}
