package redact

// layer is a text that was decoded from the redacted text. For each of its bytes it knows
// the piece of the redacted text that the byte was decoded from.
type layer struct {
	text string
	// pieces is nil if the text is the redacted text itself.
	pieces []span
	// forms are the forms that were decoded to get it.
	forms form
}

// source returns the piece that the bytes in [from, to) were decoded from.
func (l *layer) source(from, to int) span {
	if l.pieces == nil {
		return span{from, to}
	}
	return span{l.pieces[from].from, l.pieces[to-1].to}
}

// builder makes a layer.
type builder struct {
	text   []byte
	pieces []span
	// textOnly is true for a layer whose pieces are not needed.
	textOnly bool
}

// newBuilder returns a builder for about as many bytes as l has.
func newBuilder(l *layer) *builder {
	return &builder{text: make([]byte, 0, len(l.text)), pieces: make([]span, 0, len(l.text))}
}

func (b *builder) add(c byte, from span) {
	b.text = append(b.text, c)
	if !b.textOnly {
		b.pieces = append(b.pieces, from)
	}
}

func (b *builder) addString(s string, from span) {
	for i := range len(s) {
		b.add(s[i], from)
	}
}

// extend extends the piece of the last byte to end at to.
func (b *builder) extend(to int) {
	if !b.textOnly {
		b.pieces[len(b.pieces)-1].to = to
	}
}

// last returns the last byte that was added; 0 if there is none.
func (b *builder) last() byte {
	if len(b.text) == 0 {
		return 0
	}
	return b.text[len(b.text)-1]
}

func (b *builder) layer(forms form) layer {
	return layer{text: string(b.text), pieces: b.pieces, forms: forms}
}
