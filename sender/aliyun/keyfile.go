package aliyun

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// keyFile returns a source of the keys in a file.
func keyFile(path string) source {
	return func(context.Context) (*keys, *sender.Error) {
		text, err := readFile(path)
		if err != nil {
			return nil, noKeys(sender.Unavailable, "the file with the keys can't be read: "+err.Error())
		}
		k, err := parseKeys(text)
		if err != nil {
			return nil, noKeys(sender.AccountDown, fmt.Sprintf("the file with the keys, %s, %v", path, err))
		}
		return k, nil
	}
}

// maxFile bounds the size of a file with keys or a token, in bytes.
const maxFile = 1 << 20

// readFile reads a small regular file. Reading anything else, such as a pipe, might never
// end. Its error shows nothing of the file's content.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path) //nolint:gosec // the configuration names it
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path) //nolint:gosec // likewise
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		return nil, fmt.Errorf("%s is too large", path)
	}
	return text, err
}

// absent reports whether an error means that a file does not exist.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// parseKeys reads JSON, such as {"accessKeyId": "…", "accessKeySecret": "…"}, or lines of
// name = value. It ignores case and underscores in the names, so it can also read answers
// of STS and files of the SDK. Its error shows nothing of the text.
func parseKeys(text []byte) (*keys, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	values := make(map[string]string)
	if bytes.HasPrefix(text, []byte("{")) {
		var all map[string]any
		if json.Unmarshal(text, &all) != nil {
			return nil, errors.New("is not JSON")
		}
		for name, v := range all {
			s, _ := v.(string)
			values[plainName(name)] = s
		}
	} else {
		sections, err := parseINI(text)
		if err != nil {
			return nil, err
		}
		values = sections[""]
		if len(values) == 0 {
			values = sections["default"]
		}
	}
	id, secret := values["accesskeyid"], values["accesskeysecret"]
	if id == "" || secret == "" {
		return nil, errors.New("lacks accessKeyId or accessKeySecret")
	}
	k := newKeys("file", id, secret, cmp.Or(values["securitytoken"], values["ststoken"]))
	k.local = true
	if e := values["expiration"]; e != "" {
		var err error
		if k.expires, err = time.Parse(time.RFC3339, e); err != nil {
			return nil, errors.New("has an expiration that is not a time such as 2006-01-02T15:04:05Z")
		}
	}
	return k, nil
}

// plainName returns accesskeyid for AccessKeyId and access_key_id.
func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// parseINI reads sections of name = value. Lines before the first section belong to the
// section "". # and ; begin a comment, on a line of its own or after a space. Its error
// shows nothing of the text.
func parseINI(text []byte) (map[string]map[string]string, error) {
	values := make(map[string]string)
	sections := map[string]map[string]string{"": values}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, ok = strings.Cut(name, "]")
			if !ok {
				return nil, fmt.Errorf("has a section without its ] in line %d", n)
			}
			name = strings.TrimSpace(name)
			if sections[name] == nil {
				sections[name] = make(map[string]string)
			}
			values = sections[name]
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("is neither JSON nor lines of name = value: see line %d", n)
		}
		values[plainName(strings.TrimSpace(name))] = iniValue(strings.TrimSpace(value))
	}
	return sections, nil
}

// iniValue removes the quotes or the comment from a value.
func iniValue(v string) string {
	if v == "" {
		return v
	}
	if q := v[0]; q == '"' || q == '\'' {
		if quoted, _, ok := strings.Cut(v[1:], string(rune(q))); ok {
			return quoted
		}
	}
	for i := 1; i < len(v); i++ {
		if (v[i] == '#' || v[i] == ';') && (v[i-1] == ' ' || v[i-1] == '\t') {
			return strings.TrimSpace(v[:i])
		}
	}
	return v
}
