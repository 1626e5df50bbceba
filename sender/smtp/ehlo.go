package smtp

import (
	"net"
	"slices"
	"strings"
)

// offers are the extensions that a server named in its reply to EHLO: keywords in upper
// case, with their parameters. Keywords are case-insensitive (RFC 5321, 2.4 and 4.1.1.1).
type offers map[string][]string

// has reports whether the server offers an extension.
func (o offers) has(keyword string) bool {
	_, ok := o[keyword]
	return ok
}

// parseOffers reads the lines of a reply to EHLO, without their codes. The first line is
// the server's name. A keyword that occurs twice has the parameters of both lines.
// AUTH=LOGIN is the form of AUTH LOGIN before RFC 2554, and some servers still send it.
func parseOffers(lines []string) offers {
	all := make(offers)
	for i, line := range lines {
		words := strings.Fields(line)
		if i == 0 || len(words) == 0 {
			continue
		}
		keyword := capitals(words[0])
		params := words[1:]
		if strings.HasPrefix(keyword, oldAuth) {
			keyword, params = "AUTH", append([]string{words[0][len(oldAuth):]}, params...)
		}
		all[keyword] = append(all[keyword], params...)
	}
	for keyword, params := range all {
		all[keyword] = distinct(params)
	}
	return all
}

const oldAuth = "AUTH="

// distinct removes empty words, and duplicates without regard to case.
func distinct(words []string) (out []string) {
	for _, w := range words {
		if w != "" && !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, w) }) {
			out = append(out, w)
		}
	}
	return out
}

// listener is a connection that also parses the server's reply to EHLO. go-mail's client
// finds only keywords in upper case. It would miss a starttls in lower case and go on
// unencrypted, so the listener gives it all keywords in upper case. The client does not
// report what it found; offers does.
type listener struct {
	net.Conn
	// ahead is read before anything from the server.
	ahead string
	// hears is set from EHLO to the last line of its reply.
	hears bool
	line  []byte   // the line that is being read
	past  bool     // the line's keyword has ended
	lines []string // the lines before it, without their codes
}

// offers returns what the server offered in its last reply to EHLO; nothing if it
// refused.
func (l *listener) offers() offers { return parseOffers(l.lines) }

func (l *listener) Write(b []byte) (int, error) {
	if verb := string(b[:min(len(b), 5)]); verb == "EHLO " || verb == "HELO " {
		l.hears, l.line, l.past, l.lines = verb == "EHLO ", nil, false, nil
	}
	return l.Conn.Write(b)
}

func (l *listener) Read(b []byte) (n int, err error) {
	if l.ahead != "" {
		n = copy(b, l.ahead)
		l.ahead = l.ahead[n:]
		return n, nil
	}
	n, err = l.Conn.Read(b)
	for i := 0; i < n && l.hears; i++ {
		b[i] = l.hear(b[i])
	}
	return n, err
}

// lineStart is the length of a reply's code and the character after it, which is a hyphen
// if another line follows (RFC 5321, 4.2.1).
const lineStart = len("250-")

// hear reads a byte of a reply and returns it, in upper case if it belongs to a keyword.
func (l *listener) hear(c byte) byte {
	if c == '\n' {
		l.endLine()
		return c
	}
	if len(l.lines) > 0 && len(l.line) >= lineStart && !l.past {
		l.past = notKeyword(c)
		c = upper(c)
	}
	l.line = append(l.line, c)
	return c
}

// capitals returns a word in upper case, without changing bytes that keywords do not
// have.
func capitals(word string) string {
	b := []byte(word)
	for i, c := range b {
		b[i] = upper(c)
	}
	return string(b)
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// notKeyword reports whether a byte ends a keyword (RFC 5321, 4.1.1.1).
func notKeyword(c byte) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
}

func (l *listener) endLine() {
	line := strings.TrimRight(string(l.line), "\r")
	l.line, l.past = l.line[:0], false
	if len(line) >= lineStart && strings.HasPrefix(line, "250") {
		l.lines = append(l.lines, line[lineStart:])
	}
	if len(line) < lineStart || line[lineStart-1] != '-' {
		l.hears = false
	}
}
