package sender

import "fmt"

// Secret is a text that is never printed by mistake. Its methods print a mask; code that
// prints a value without its methods finds only a memory address. Reveal returns the
// text. The zero Secret is empty.
type Secret struct{ text *string }

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

const masked = "[secret]"

// Reveal returns the secret text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// MarshalText returns a mask, for JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Format writes a mask whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(masked)) }

// String returns a mask.
func (s Secret) String() string { return masked }
