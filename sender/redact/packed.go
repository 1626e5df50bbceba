package redact

// packing is a form that writes all bytes of a text as digits of a fixed number of bits.
type packing struct {
	forms form
	// width is the number of bits of a digit. starts is the number of different digits at
	// which a byte can begin.
	width, starts int
	digit         func(c byte, forms form) (bits byte, ok bool)
	// between reports whether a byte can separate digits.
	between func(c byte) bool
}

var packings = []packing{
	{base64Std | base64URL, 6, 4, base64Digit, isSpace},
	{hexDigits, 4, 2, func(c byte, _ form) (byte, bool) { return hexDigit(c) }, func(c byte) bool { return isSpace(c) || c == ':' || c == '-' }},
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// base64Digit reads a digit of the base64 alphabets in forms.
func base64Digit(c byte, forms form) (bits byte, ok bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A', true
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26, true
	case c >= '0' && c <= '9':
		return c - '0' + 52, true
	case c == '+' && forms&base64Std != 0, c == '-' && forms&base64URL != 0:
		return 62, true
	case c == '/' && forms&base64Std != 0, c == '_' && forms&base64URL != 0:
		return 63, true
	}
	return 0, false
}

// digit is a digit of a packed text.
type digit struct {
	bits byte
	// word is the word that holds it. If a part of a packed word is hidden, the rest is
	// useless, so the whole word is hidden.
	word span
}

// digits returns the runs of digits in a text that are long enough to hold a value.
func (p *packing) digits(l *layer, forms form) [][]digit {
	var runs [][]digit
	run := make([]digit, 0, len(l.text))
	end := func() {
		if len(run)*p.width/8 >= Shortest {
			runs = append(runs, run)
		}
		run = run[len(run):]
	}
	for i := 0; i < len(l.text); {
		if _, ok := p.digit(l.text[i], forms); !ok {
			if !p.between(l.text[i]) {
				end()
			}
			i++
			continue
		}
		first := len(run)
		from := i
		for i < len(l.text) {
			bits, ok := p.digit(l.text[i], forms)
			if !ok {
				break
			}
			run = append(run, digit{bits: bits})
			i++
		}
		to := i
		for p.width == 6 && to < len(l.text) && l.text[to] == '=' {
			to++ // the padding
		}
		for j := range run[first:] {
			run[first+j].word = l.source(from, to)
		}
	}
	end()
	return runs
}

// unpacked returns what runs of digits stand for if the first byte begins after skip
// digits.
func (p *packing) unpacked(runs [][]digit, skip int, forms form) layer {
	b := new(builder)
	for _, run := range runs {
		b.add(0xff, run[0].word) // a byte that belongs to no run
		var bits, n uint
		first := skip
		for i := skip; i < len(run); i++ {
			bits = bits<<p.width | uint(run[i].bits)
			if n += uint(p.width); n < 8 {
				continue
			}
			n -= 8
			b.add(byte(bits>>n), span{run[first].word.from, run[i].word.to}) //nolint:gosec // its last 8 bits
			bits &= 1<<n - 1
			if first = i; n == 0 {
				first = i + 1
			}
		}
	}
	return b.layer(forms)
}
