package sender

import (
	"fmt"
	"strings"

	"github.com/codeferry/codeferry/messages"
)

// Config is a provider's part of the configuration, field for field that of Logto's
// connector. Its fields carry yaml tags; Secret, TextFile, FilePath and Ignored are read
// as their comments say, and a field tagged ",inline" contributes its own fields.
type Config interface {
	// Channel returns the channel that the connector sends to.
	Channel() messages.Channel
	// Validate returns all problems, and nil if there are none.
	Validate() []Problem
	// New makes the connector. Validate must have found nothing. The error names
	// what could not be made.
	New() (Sender, error)
}

// Warner is a Config that can be valid and still hold probable mistakes.
type Warner interface {
	// Warnings returns the probable mistakes. Validate must have found nothing.
	Warnings() []Problem
}

// Ignored is a field of Logto's that has no effect here. It takes any value, and the
// configuration warns if it is set.
type Ignored struct{}

// Problem is something wrong in a configuration.
type Problem struct {
	// Path is the field's path, such as templates[2].usageType.
	Path string
	// Text says what is wrong and what is allowed.
	Text string
}

// TextFile is a file's text. In a configuration it is the file's path,
// relative to the configuration's own folder.
type TextFile string

// FilePath is a file's path. In a configuration it is relative to the
// configuration's own folder. The file is read when it is needed, and may change.
type FilePath string

// Required returns a problem for each empty value. The arguments are pairs of a path and
// its value.
func Required(pairs ...string) []Problem {
	var out []Problem
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			out = append(out, Problem{pairs[i], "is required"})
		}
	}
	return out
}

// ReadOneOf sets v to the value that equals text. It is for UnmarshalText methods, and
// takes at least two values. If text equals none of them, v does not change and the error
// names the values.
func ReadOneOf[T ~string](v *T, text []byte, values ...T) error {
	names := make([]string, len(values))
	for i, value := range values {
		if string(text) == string(value) {
			*v = value
			return nil
		}
		names[i] = string(value)
	}
	last := len(names) - 1
	return fmt.Errorf("%q is not one of %s and %s", text, strings.Join(names[:last], ", "), names[last])
}
