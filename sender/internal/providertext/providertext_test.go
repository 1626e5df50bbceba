package providertext_test

import (
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender/internal/providertext"
)

var tooFast = regexp.MustCompile(`\brate\b|too many|limit`)

// TestOf: whether tooFast matches the provider's own words in a text about a message.
func TestOf(t *testing.T) {
	for _, c := range []struct {
		name, text, to string
		content        []string
		want           bool
	}{
		{"its own", "Rate limited", "a@example.org", nil, true},
		{"its own, over two lines", "too\r\n many", "a@example.org", nil, true},
		{"its own, to nobody", "rate", "", nil, true},
		{"the address", "<rate-limit@too-many.example>: no", "rate-limit@too-many.example", nil, false},
		{"another address", "<rate-limit@too-many.example>: no", "a@example.org", nil, false},
		{"a host", "mx.rate.example[192.0.2.1] says no to limit.example", "a@example.org", nil, false},
		{"a page", "see https://example.net/rate/limit?too-many", "a@example.org", nil, false},
		{"the local part", "user Rate-Limit is unknown", "rate-limit@example.org", nil, false},
		{"a piece of it", "user rate is unknown", "rate+limit@example.org", nil, false},
		{"as long a word", "user limitation is unknown", "limitation@example.org", nil, false},
		{"a longer word", "limited", "limit@example.org", nil, true},
		{"the domain", "no host limit", "a@limit", nil, false},
		{"in Punycode", "bücher-limit.example is unknown; xn--bcher-limit-thb.example too", "a@bücher-limit.example", nil, false},
		{"out of Punycode", "bücher-limit.example is unknown", "a@xn--bcher-limit-thb.example", nil, false},
		{"in a URL", "no rate-limit%40too-many.example", "rate-limit@too-many.example", nil, false},
		{"quoted", `<"too many"@example.org> is unknown; TOO MANY`, `"too many"@example.org`, nil, false},
		{"quoted, with quotes", `too many "b" rates`, `"too many \"b\" rates"@example.org`, nil, false},
		{"quoted, with quotes, whole", `<"too many \"b\" rates"@example.org>: no`, `"too many \"b\" rates"@example.org`, nil, false},
		{"around it", "too <a@example.org> many", "a@example.org", nil, true},
		{"around one with a quotation mark", "too o'hara@example.org many", "o'hara@example.org", nil, true},
		{"around another's with a quotation mark", "too 'o'hara@example.org' many", "a@example.org", nil, true},
		{"the content", "the subject 'Too  many' is spam", "a@example.org", []string{"", "Your too\nmany codes"}, false},
		{"a word of the content", "rate", "a@example.org", []string{"the rate of"}, false},
		{"no word of the content", "rate", "a@example.org", []string{"separate"}, true},
		{"beside the content", "too many, rate", "a@example.org", []string{"the rate of"}, true},
		{"no text at all", "\xff\xfe", "\xff@\xfe", []string{"\xff"}, false},
		{"nothing", "", "", nil, false},
	} {
		w := providertext.Of(c.text, c.to, c.content...)
		if got := w.Match(tooFast); got != c.want {
			t.Errorf("%s: %q to %s: got %t, want %t", c.name, c.text, c.to, got, c.want)
		}
		phrase := w.Say("rate") || w.Say("too many") || w.Say("limit")
		if phrase != c.want {
			t.Errorf("%s: by phrase, %q to %s: got %t, want %t", c.name, c.text, c.to, phrase, c.want)
		}
		if !w.Say("") {
			t.Errorf("%s: nothing is not said", c.name)
		}
	}
}

// TestAPhraseIsLookedForToTheEnd: a phrase from the message can come before the same
// phrase in the provider's own words.
func TestAPhraseIsLookedForToTheEnd(t *testing.T) {
	w := providertext.Of("limit and limits", "a@example.org", "the limit")
	if !w.Say("limit") || !w.Match(tooFast) {
		t.Error("the second one is the provider's own")
	}
}

// domain matches a host's name.
var domain = regexp.MustCompile(`^[\pL\pN]+([.-][\pL\pN]+)*$`)

// FuzzOf: a recipient between two words changes nothing, in any spelling.
func FuzzOf(f *testing.F) {
	f.Add("too many", "rate-limit@too-many.example", 1)
	f.Add("no such user", `"too many"@example.org`, 2)
	f.Add("bücher", "a@bücher.example", 0)
	f.Fuzz(func(t *testing.T, text, to string, where int) {
		words := strings.Fields(text)
		at := strings.LastIndexByte(to, '@')
		a, err := mail.ParseAddress(to)
		if len(words) == 0 || err != nil || a.Address != to || !domain.MatchString(to[at+1:]) || len(text)+len(to) > 1000 {
			return
		}
		i := max(where, -where-1) % (len(words) + 1)
		want := providertext.Of(text, to).Match(tooFast)
		for _, v := range []string{to, "<" + to + ">", strings.ToUpper(to), to[:at], to[at+1:]} {
			if strings.Join(strings.Fields(v), " ") != v || !strings.EqualFold(strings.ToLower(v), v) {
				continue // it is not what stands in spellings
			}
			with := strings.Join(words[:i], " ") + " " + v + " " + strings.Join(words[i:], " ")
			if got := providertext.Of(with, to).Match(tooFast); got != want {
				t.Fatalf("%q to %q: %t with it, %t without", with, to, got, want)
			}
		}
	})
}
