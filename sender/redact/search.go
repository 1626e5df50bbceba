package redact

import (
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLayers bounds how many decodings of a text are searched. A text with every form,
// some of them twice, has about that many. A text with more is not shown at all.
const maxLayers = 128

// search looks for values in all decodings of a text.
type search struct {
	*wanted
	text  string
	forms form
	// others is true to also search for other addresses.
	others bool
	pieces []span
}

// find returns the pieces of a text that must not be shown. complete is false if the text
// has too many decodings.
func (r *Redactor) find(text string) (pieces []span, complete bool) { return r.search(text, true) }

func (r *Redactor) search(text string, others bool) (pieces []span, complete bool) {
	if len(text) < Shortest {
		return nil, true
	}
	if r.wanted == nil {
		r.wanted = r.values.wants(r.forms)
	}
	s := &search{wanted: r.wanted, text: text, forms: r.forms, others: others}
	complete = s.all()
	return s.pieces, complete
}

// all searches the text and its decodings, those with the fewest steps first. Each
// decoding is shorter than the text before it.
func (s *search) all() (complete bool) {
	queue := []layer{{text: s.text}}
	seen := make(map[string]bool)
	for i := 0; i < len(queue); i++ {
		if i == maxLayers {
			return false
		}
		l := &queue[i]
		if i > 0 || s.forms&asIs != 0 {
			s.look(l, true)
		}
		s.lookIntoPacked(l)
		for next := range s.unescaped(l) {
			if !seen[next.text] {
				seen[next.text] = true
				queue = append(queue, next)
			}
		}
	}
	return true
}

// unescaped yields, for each form, the layer without that form's escapes.
func (s *search) unescaped(l *layer) iter.Seq[layer] {
	from := *l
	return func(yield func(layer) bool) {
		for _, e := range escapes {
			if e.form&s.forms == 0 || from.forms&e.form != 0 && s.forms&twice == 0 {
				continue
			}
			if next, ok := unescaped(&from, e.form, e.sign, e.undo); ok && !yield(next) {
				return
			}
		}
	}
}

// lookIntoPacked searches what digits stand for, and the decodings of that.
func (s *search) lookIntoPacked(l *layer) {
	if len(s.anywhere)+len(s.alone) == 0 && !s.others {
		return
	}
	for _, p := range packings {
		if p.forms&s.forms == 0 {
			continue
		}
		runs := p.digits(l, s.forms)
		for skip := range p.starts {
			u := p.unpacked(runs, skip, l.forms|p.forms)
			s.look(&u, false)
			for next := range s.unescaped(&u) {
				s.look(&next, false)
			}
		}
	}
}

// look finds the values and other addresses. isText is false for a layer read from
// digits, which may be noise.
func (s *search) look(l *layer, isText bool) {
	if len(l.text) < Shortest {
		return
	}
	f := fold(l, s.forms)
	var g grams
	g.add(f.text)
	for _, v := range s.anywhere {
		if g.has(v) {
			s.each(&f, v, func(from, to int) { s.redact(f.source(from, to)) })
		}
	}
	for _, v := range s.alone {
		if g.has(v) {
			s.each(&f, v, func(from, to int) {
				if isAlone(f.text, from, to) {
					s.redact(f.source(from, to))
				}
			})
		}
	}
	if isText {
		s.lookForNumbers(&f)
	}
	switch {
	case s.others && isText:
		s.lookForOthers(l, mail)
	case s.others:
		s.lookForOthers(l, surelyMail)
	}
}

// each calls found for each occurrence of a value.
func (s *search) each(f *layer, value string, found func(from, to int)) {
	for at := 0; ; {
		i := strings.Index(f.text[at:], value)
		if i < 0 {
			return
		}
		at += i + len(value)
		found(at-len(value), at)
	}
}

// redact removes a piece from the text, but not the spaces around it.
func (s *search) redact(piece span) {
	for piece.from < piece.to && isSpace(s.text[piece.from]) {
		piece.from++
	}
	for piece.to > piece.from && isSpace(s.text[piece.to-1]) {
		piece.to--
	}
	if piece.from < piece.to {
		s.pieces = append(s.pieces, piece)
	}
}

// isAlone reports whether a piece of a text is not part of a longer word.
func isAlone(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	return !isLetter(before) && !isLetter(after)
}

func isLetter(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// separators are the characters that can separate the digits of a number.
const separators = " -.()/"

// lookForNumbers finds numbers with any separators between their digits. It also hides
// the digits directly before and after them.
func (s *search) lookForNumbers(f *layer) {
	if s.forms&grouped == 0 || len(s.numbers) == 0 {
		return
	}
	d := joined(f)
	for _, n := range s.numbers {
		s.each(&d, n, func(from, to int) {
			for from > 0 && isDigit(d.text[from-1]) && d.pieces[from-1].to == d.pieces[from].from {
				from--
			}
			for to < len(d.text) && isDigit(d.text[to]) && d.pieces[to].from == d.pieces[to-1].to {
				to++
			}
			s.redact(d.source(from, to))
		})
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// joined returns a layer without the separators between digits.
func joined(f *layer) layer {
	b := newBuilder(f)
	for i := 0; i < len(f.text); i++ {
		if strings.IndexByte(separators, f.text[i]) >= 0 && isDigit(b.last()) {
			rest := strings.TrimLeft(f.text[i:], separators)
			if rest != "" && isDigit(rest[0]) {
				i = len(f.text) - len(rest)
			}
		}
		b.add(f.text[i], f.source(i, i+1))
	}
	return b.layer(f.forms)
}

var (
	// mail matches what looks like an email address.
	mail = regexp.MustCompile(`(?:"[^"]*"|[^\s<>()\[\]:;,"'=&?/\\@]+)@(?:\[[^\]\s]*\]|[\pL\pN_-]+(?:\.[\pL\pN_-]+)*)`)
	// surelyMail matches an address that is not there by chance, since decoded digits are
	// mostly noise.
	surelyMail = regexp.MustCompile(`[A-Za-z0-9._%+-]{2,}@(?:[A-Za-z0-9-]{2,}\.)+[A-Za-z0-9-]{2,}`)
	// phone matches what looks like a phone number.
	phone = regexp.MustCompile(`\+[0-9](?:[ ().-]{0,2}[0-9]){8,16}\b|\b[0-9]{9,17}\b`)
	// groups matches numbers with digits in groups.
	groups = regexp.MustCompile(`[0-9]+(?:[ -][0-9]+)+`)
)

// lookForOthers finds everything that looks like an address, since a provider can name a
// recipient other than the message's.
func (s *search) lookForOthers(l *layer, mail *regexp.Regexp) {
	if strings.IndexByte(l.text, '@') >= 0 {
		for _, at := range mail.FindAllStringIndex(l.text, -1) {
			if !s.isOwn(l.text[at[0]:at[1]]) {
				s.redact(l.source(at[0], at[1]))
			}
		}
	}
	for _, at := range phone.FindAllStringIndex(l.text, -1) {
		s.redact(l.source(at[0], at[1]))
	}
}

// isOwn reports whether an address may be shown.
func (s *search) isOwn(found string) bool {
	return slices.Contains(s.own, foldString(found, s.forms))
}

// grams is a set of all short sequences of bytes in a text.
type grams [1 << 10]uint64

// add adds every piece of a text that is as long as the shortest value.
func (g *grams) add(text string) {
	for i := range len(text) - Shortest + 1 {
		n := hash(text[i:])
		g[n>>6] |= 1 << (n & 63)
	}
}

// has reports whether the text can hold a value. If has returns false, the text does not
// hold it.
func (g *grams) has(value string) bool {
	n := hash(value)
	return g[n>>6]&(1<<(n&63)) != 0
}

// hash returns a number of 16 bits for the first bytes of a text.
func hash(text string) uint32 {
	return (uint32(text[0]) | uint32(text[1])<<8 | uint32(text[2])<<16 | uint32(text[3])<<24) * 2654435761 >> 16
}
