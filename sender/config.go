package sender

import (
	"github.com/codeferry/codeferry/messages"
)

// Config is a provider's part of the configuration, field for field that of
// Logto's connector. Its fields carry yaml tags; Secret, TextFile, FilePath and
// Ignored are read as their comments say, and a field tagged ",inline" lends its own fields.
type Config interface {
	// Channel is what the connector sends.
	Channel() messages.Channel
	// Validate reports everything that is wrong.
	Validate() []Problem
	// New makes the connector. Validate must have found nothing. The error names
	// what could not be made.
	New() (Sender, error)
}

// Warner is a Config that can be right and yet hold what is hardly meant.
type Warner interface {
	// Warnings reports it. Validate must have found nothing.
	Warnings() []Problem
}

// Ignored is a field of Logto's that means nothing here. It takes any value, and
// the configuration warns that it was given.
type Ignored struct{}

// Problem is something wrong in a configuration.
type Problem struct {
	// Path is the field's, such as templates[2].usageType.
	Path string
	// Text says what is wrong and what would be right.
	Text string
}

// TextFile is a file's text. In a configuration it is the file's path,
// relative to the configuration's own folder.
type TextFile string

// FilePath is a file's path. In a configuration it is relative to the
// configuration's own folder. The file is read when it is needed, and may change.
type FilePath string

// Required returns a problem for each of the named values that is empty. The
// pairs are a path and its value.
func Required(pairs ...string) []Problem {
	var out []Problem
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			out = append(out, Problem{pairs[i], "is required"})
		}
	}
	return out
}
