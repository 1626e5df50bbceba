package redact

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender/internal/address"
)

const (
	// shortestLine is the length of the shortest line of a content that is searched for,
	// in bytes. Shorter lines are common phrases.
	shortestLine = 2 * Shortest
	// shortestNumber is the length of the shortest number that is searched for with
	// separators, such as 481 516. Shorter ones occur in dates and times.
	shortestNumber = 6
	// national is how many digits are enough to identify a phone number.
	national = 9
	// domestic is the maximum length of a number without its country code.
	domestic = 11
)

// wanted holds the values to search for, folded.
type wanted struct {
	// anywhere is also found inside a word; alone is not.
	anywhere, alone []string
	// numbers are digits alone, which are also found with separators between them.
	numbers []string
	// own are the addresses that may be shown.
	own []string
}

// wants makes the list of values to search for.
func (v *Values) wants(forms form) *wanted {
	w := new(wanted)
	add := func(to *[]string, value string, shortest int) {
		if value = strings.TrimSpace(value); len(value) < Shortest {
			return
		}
		if folded := foldString(value, forms); len(folded) >= max(shortest, Shortest) {
			*to = append(*to, folded)
		}
	}
	number := func(value string) {
		if d := wire.Digits(value); len(d) >= shortestNumber && strings.Trim(value, digitsAndSigns) == "" {
			w.numbers = append(w.numbers, d)
		}
	}
	local, domain, isMail := cutLast(v.Recipient, '@')
	switch {
	case isMail:
		for _, d := range address.Domains(domain) {
			add(&w.anywhere, local+"@"+d, 0)
			add(&w.anywhere, local+"="+d, 0) // in the address for bounces
		}
		add(&w.alone, strings.Trim(local, `"`), 0)
	case v.Recipient != "":
		add(&w.anywhere, v.Recipient, 0)
		digits := wire.Digits(v.Recipient)
		for _, n := range []int{len(digits), domestic, national} {
			tail := digits[max(0, len(digits)-n):]
			add(&w.anywhere, tail, 0)
			number(tail)
		}
	}
	for _, s := range v.Secrets {
		add(&w.anywhere, s, 0)
		number(s)
	}
	for _, c := range v.Content {
		add(&w.anywhere, c, 0)
		for l := range strings.Lines(c) {
			add(&w.anywhere, l, shortestLine)
		}
		words := codes(c)
		slices.Sort(words)
		for _, word := range slices.Compact(words) {
			add(&w.anywhere, word, 0)
			number(word)
		}
	}
	for _, own := range v.Own {
		w.own = append(w.own, foldString(own, forms))
	}
	for _, list := range []*[]string{&w.anywhere, &w.alone, &w.numbers} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return w
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// digitsAndSigns are the characters of a number.
const digitsAndSigns = "0123456789" + separators

// codes returns the words of a content that can be a code, since the content does not say
// which word is: words with a digit, or with a capital letter after the first letter, and
// numbers with digits in groups. In text without spaces between words, such as Chinese, a
// code can be inside a word.
func codes(content string) []string {
	out := groups.FindAllString(content, -1)
	for _, letter := range []func(rune) bool{isLetter, isASCIILetter} {
		words := strings.FieldsFunc(content, func(r rune) bool { return !letter(r) })
		out = append(out, slices.DeleteFunc(words, func(w string) bool { return !mayBeCode(w) })...)
	}
	return out
}

func isASCIILetter(r rune) bool { return r < utf8.RuneSelf && isLetter(r) }

func mayBeCode(word string) bool {
	for i, r := range word {
		if unicode.IsDigit(r) || i > 0 && unicode.IsUpper(r) {
			return true
		}
	}
	return false
}
