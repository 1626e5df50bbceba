package aliyun

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// shortestCode is the shortest code that Aliyun's templates take, in characters.
const shortestCode = 4

// PayloadCode returns the code of a message whose SMS template takes one of shortestCode
// to longest letters or digits. Its error is of class Permanent and does not hold the code.
func PayloadCode(m *messages.SendCode, longest int) (string, error) {
	code := m.Payload.Text("code")
	if code == "" {
		return "", sender.Invalid("the template for %s uses ${code} and the payload has no code", m.Type)
	}
	what := ""
	switch n := utf8.RuneCountInString(code); {
	case strings.ContainsFunc(code, isNeitherLetterNorDigit):
		what = "has a character that is neither a letter nor a digit"
	case n < shortestCode, n > longest:
		what = fmt.Sprintf("has %d characters", n)
	}
	if what != "" {
		return "", sender.Invalid("payload.code %s; Aliyun takes %d to %d letters or digits (A-Z a-z 0-9)", what, shortestCode, longest)
	}
	return code, nil
}

func isNeitherLetterNorDigit(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}
