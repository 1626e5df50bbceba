package messages

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// eachMember calls f with each member of a JSON object, in its order. A name can come
// twice. encoding/json would make a map first, which costs several times as much as all
// other work on a message. If data is not JSON, eachMember returns encoding/json's error
// and does not call f.
func eachMember(data []byte, f func(name string, value json.RawMessage) error) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	return eachMemberOf(data, f)
}

// checkJSON returns encoding/json's error if data is not JSON.
func checkJSON(data []byte) error {
	if json.Valid(data) {
		return nil
	}
	var v any
	return json.Unmarshal(data, &v)
}

// eachMemberOf is eachMember for data that is valid JSON: it checks no bounds.
func eachMemberOf(data []byte, f func(name string, value json.RawMessage) error) error {
	rest := skipSpace(data)
	if rest[0] != '{' {
		return errNoObject
	}
	rest = skipSpace(rest[1:])
	for rest[0] != '}' {
		n := valueLength(rest)
		name, err := memberName(rest[:n])
		if err != nil {
			return err
		}
		rest = skipSpace(skipSpace(rest[n:])[1:]) // the colon
		n = valueLength(rest)
		if err := f(name, json.RawMessage(rest[:n:n])); err != nil {
			return err
		}
		if rest = skipSpace(rest[n:]); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return nil
}

// memberName returns the text of a member's name, without an allocation for a usual name.
func memberName(value []byte) (string, error) {
	if name, ok := usualNames[string(value[1:len(value)-1])]; ok {
		return name, nil
	}
	return text(value)
}

// usualNames are the names of a message's fields and of most payloads' members.
var usualNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range []string{
		"code", "createdAt", "expiresAt", "id", "ip", "link", "locale", "payload", "sealed", "to", "type", "uiLocales",
	} {
		names[name] = name
	}
	return names
}()

var errNoObject = errors.New("not a JSON object")

func skipSpace(data []byte) []byte { return bytes.TrimLeft(data, " \t\r\n") }

// valueLength returns the length of the first value of valid JSON.
func valueLength(data []byte) int { //nolint:gocognit // a case for each character that means something
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of a number or a word
				return i
			}
			depth--
			if depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(data)
}

// text decodes a JSON string.
func text(value []byte) (s string, err error) {
	if n := len(value); n > 1 && value[0] == '"' && bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) {
		return string(value[1 : n-1]), nil
	}
	err = json.Unmarshal(value, &s)
	return s, err
}
