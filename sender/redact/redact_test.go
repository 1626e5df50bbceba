package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"mime"
	"mime/quotedprintable"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// kinds are texts that must not be shown, and the Values that name them.
var kinds = []struct {
	name, value string
	values      Values
}{
	{"a code", "481516", Values{Secrets: []string{"481516"}}},
	{"a code of four", "Qx7z", Values{Secrets: []string{"Qx7z"}}},
	{"a code within a mail", "Qx7z9K", Values{Content: []string{"Sign in", "<p>Your code is <b>Qx7z9K</b></p>"}}},
	{"a code in Chinese", "481516", Values{Content: []string{"您的验证码481516，5分钟"}}},
	{"a number", "13012345678", Values{Recipient: "+8613012345678"}},
	{"a number with its country", "+8613012345678", Values{Recipient: "+8613012345678"}},
	{"an address", "Alice+x@Example.com", Values{Recipient: "Alice+x@Example.com"}},
	{"an international address", "anna@bücher.example", Values{Recipient: "anna@bücher.example"}},
	{"the same in Punycode", "anna@xn--bcher-kva.example", Values{Recipient: "anna@bücher.example"}},
	{"the same out of Punycode", "anna@bücher.example", Values{Recipient: "anna@xn--bcher-kva.example"}},
	{"a name", `Mårked "Persön" & 安 <x>`, Values{Secrets: []string{`Mårked "Persön" & 安 <x>`}}},
	{"a key", "wJalr/XUtnFE+MI=K7MDENG", Values{Secrets: []string{"wJalr/XUtnFE+MI=K7MDENG"}}},
	{"a link", "https://example.com/t/a_b?token=41%2BaB3dE6&u=a+b", Values{Secrets: []string{"https://example.com/t/a_b?token=41%2BaB3dE6&u=a+b"}}},
}

// writing is a way to write a value, which only some forms find.
type writing struct {
	name string
	// needs are the forms of which at least one is needed to find the value.
	needs form
	write func(string) string
	// fits reports whether a value can be written in this way.
	fits func(string) bool
}

// shifted is base64 of a value that begins n bytes after what is encoded does, from the
// first digit that is of the value to the last one.
func shifted(e *base64.Encoding, n int) func(string) string {
	return func(v string) string { return e.EncodeToString([]byte("xyz"[:n] + v + "&")) }
}

func quoted(v string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(v))
	_ = w.Close()
	return b.String()
}

// each writes every byte of a value by f, or as it is.
func each(keep func(byte) bool, f func(byte) string) func(string) string {
	return func(v string) string {
		var b strings.Builder
		for i := range len(v) {
			if keep(v[i]) {
				b.WriteByte(v[i])
			} else {
				b.WriteString(f(v[i]))
			}
		}
		return b.String()
	}
}

func never(byte) bool { return false }

func hasEscapes(sub string, write func(string) string) func(string) bool {
	return func(v string) bool { return strings.Contains(write(v), sub) }
}

func jsonText(v string) string {
	b, _ := json.Marshal(v)
	return string(b[1 : len(b)-1])
}

// ascii is JSON without any character beyond ASCII.
func ascii(v string) string {
	var b strings.Builder
	for _, r := range v {
		fmt.Fprintf(&b, `\u%04X`, r)
	}
	return b.String()
}

func isNumber(v string) bool { return strings.Trim(v, "+0123456789") == "" && len(v) >= 6 }

func mixed(v string) string {
	out := []rune(strings.ToLower(v))
	for i := range out {
		if i%2 == 0 {
			out[i] = []rune(strings.ToUpper(string(out[i])))[0]
		}
	}
	return string(out)
}

var anything = func(string) bool { return true }

var writings = []writing{
	{"as it is", asIs, func(v string) string { return v }, anything},
	{"upper case", anyCase, strings.ToUpper, func(v string) bool { return strings.ToUpper(v) != v }},
	{"lower case", anyCase, strings.ToLower, func(v string) bool { return strings.ToLower(v) != v }},
	{"mixed case", anyCase, mixed, func(v string) bool { return mixed(v) != v }},
	{"+ for a space", plusForSpace, func(v string) string { return strings.ReplaceAll(v, " ", "+") }, func(v string) bool { return strings.Contains(v, " ") }},
	{"query-escaped", percent, url.QueryEscape, hasEscapes("%", url.QueryEscape)},
	{"query-escaped, lower case", percent, func(v string) string { return strings.ToLower(url.QueryEscape(v)) }, hasEscapes("%", url.QueryEscape)},
	{"query-escaped, %20", percent, func(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }, hasEscapes("%", url.QueryEscape)},
	{"path-escaped", percent, url.PathEscape, hasEscapes("%", url.PathEscape)},
	{"all of it escaped", percent, each(never, func(b byte) string { return fmt.Sprintf("%%%02x", b) }), anything},
	{"query-escaped twice", twice, func(v string) string { return url.QueryEscape(url.QueryEscape(v)) }, hasEscapes("%", url.QueryEscape)},
	{"path-escaped twice", twice, func(v string) string { return url.PathEscape(url.PathEscape(v)) }, hasEscapes("%", url.PathEscape)},
	{"HTML", htmlEscapes, html.EscapeString, hasEscapes("&#", html.EscapeString)},
	{"HTML's numbers", htmlEscapes, func(v string) string {
		var b strings.Builder
		for i, r := range v {
			fmt.Fprintf(&b, []string{"&#%d;", "&#x%X;", "&#%04d;"}[i%3], r)
		}
		return b.String()
	}, anything},
	{"HTML twice", twice, func(v string) string { return html.EscapeString(html.EscapeString(v)) }, hasEscapes("&#", html.EscapeString)},
	{"JSON", backslashes, jsonText, hasEscapes(`\`, jsonText)},
	{"JSON in ASCII", backslashes, ascii, anything},
	{"Go", backslashes, func(v string) string { return strings.Trim(strings.ReplaceAll(fmt.Sprintf("%+q", v), `\U`, `\u`), `"`) }, func(v string) bool { return strings.Contains(fmt.Sprintf("%+q", v), `\`) }},
	{"octal", backslashes, each(func(b byte) bool { return b < 0x80 && b != '\\' }, func(b byte) string { return fmt.Sprintf(`\%03o`, b) }), func(v string) bool { return strings.ContainsAny(v, "åöü") }},
	{`\x`, backslashes, each(never, func(b byte) string { return fmt.Sprintf(`\x%02X`, b) }), anything},
	{"quoted-printable", quotedPrintable, quoted, hasEscapes("=", quoted)},
	{"quoted-printable, all", quotedPrintable, each(never, func(b byte) string { return fmt.Sprintf("=%02X", b) }), anything},
	{"a soft line break", softBreak, func(v string) string { return v[:1] + "=\r\n" + v[1:] }, anything},
	{"a soft line break that became a space", softBreak, func(v string) string { return v[:1] + "= " + v[1:] }, anything},
	{"quoted-printable, in lines", quotedPrintable, func(v string) string { return quoted(v[:len(v)/2]) + "=\n" + quoted(v[len(v)/2:]) }, hasEscapes("=", quoted)},
	{"a header, Q", quotedPrintable, func(v string) string { return mime.QEncoding.Encode("utf-8", v) }, hasEscapes("=?", func(v string) string { return mime.QEncoding.Encode("utf-8", v) })},
	{"a header, B", base64Std, func(v string) string { return mime.BEncoding.Encode("utf-8", v) }, hasEscapes("=?", func(v string) string { return mime.BEncoding.Encode("utf-8", v) })},
	{"base64", base64Std | base64URL, shifted(base64.StdEncoding, 0), anything},
	{"base64, one byte in", base64Std | base64URL, shifted(base64.StdEncoding, 1), anything},
	{"base64, two bytes in", base64Std | base64URL, shifted(base64.StdEncoding, 2), anything},
	{"base64 without padding", base64Std | base64URL, func(v string) string { return base64.RawStdEncoding.EncodeToString([]byte(v)) }, anything},
	{"base64 of URLs alone", base64URL, shifted(base64.URLEncoding, 0), func(v string) bool { return strings.ContainsAny(shifted(base64.URLEncoding, 0)(v), "-_") }},
	{"base64 of URLs", base64Std | base64URL, shifted(base64.URLEncoding, 0), anything},
	{"base64 of URLs, one byte in", base64Std | base64URL, shifted(base64.RawURLEncoding, 1), anything},
	{"base64 of URLs, two bytes in", base64Std | base64URL, shifted(base64.RawURLEncoding, 2), anything},
	{"base64 of the lower case", anyCase, func(v string) string { return base64.StdEncoding.EncodeToString([]byte(strings.ToLower(v))) }, func(v string) bool { return strings.ToLower(v) != v }},
	{"base64 in lines", base64Std | base64URL, func(v string) string {
		s := base64.StdEncoding.EncodeToString([]byte(v))
		return s[:3] + "\r\n" + s[3:]
	}, anything},
	{"base64 in JSON", base64Std, func(v string) string {
		return strings.ReplaceAll(jsonText(base64.StdEncoding.EncodeToString([]byte(v))), "/", `\/`)
	}, anything},
	{"base64 in a URL", base64Std | base64URL, func(v string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(v))) }, anything},
	{"a URL in base64", base64Std | base64URL, func(v string) string { return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(v))) }, anything},
	{"hex", hexDigits, func(v string) string { return hex.EncodeToString([]byte(v)) }, anything},
	{"HEX", hexDigits, func(v string) string { return fmt.Sprintf("%X", v) }, anything},
	{"hex, byte by byte", hexDigits, func(v string) string { return fmt.Sprintf("% x", v) }, anything},
	{"hex with colons", hexDigits, func(v string) string { return strings.ReplaceAll(fmt.Sprintf("% x", v), " ", ":") }, anything},
	{"digits in groups", grouped, func(v string) string { return v[:len(v)-4] + " " + v[len(v)-4:] }, isNumber},
	{"digits with hyphens", grouped, func(v string) string { return v[:3] + "-" + v[3:] }, isNumber},
	{"JSON escaped twice for a URL", percent, func(v string) string { return url.QueryEscape(url.QueryEscape(`{"k":"` + jsonText(v) + `"}`)) }, hasEscapes("%", url.QueryEscape)},
	{"HTML in JSON", backslashes, func(v string) string { return ascii(html.EscapeString(v)) }, anything},
}

// around are texts that can surround a value.
var around = []struct{ before, after string }{{"refused: ", "."}, {"", ""}, {"x", "y"}, {"(", ")!"}, {`{"k":"`, `"}`}, {"a=b&c=", "&d=e"}}

// TestForms: every value in every form is removed, by that form alone.
func TestForms(t *testing.T) {
	for _, k := range kinds {
		for _, w := range writings {
			if !w.fits(k.value) {
				continue
			}
			written := w.write(k.value)
			for _, a := range around {
				if line := New(k.values).Line(a.before + written + a.after); contains(line, written) || !strings.Contains(line, Marker) {
					t.Errorf("%s, %s: %q is %q", k.name, w.name, a.before+written+a.after, line)
				}
				if !New(k.values).Shows(a.before + written + a.after) {
					t.Errorf("%s, %s: not seen in %q", k.name, w.name, a.before+written+a.after)
				}
			}
		}
	}
}

// contains reports whether a line shows what was written, in any case.
func contains(line, written string) bool {
	fields := strings.Join(strings.Fields(written), " ")
	return strings.Contains(strings.ToLower(line), strings.ToLower(fields))
}

// TestEachFormIsNeeded: the other forms do not find what is written in one form, so
// TestForms fails if a form is missing.
func TestEachFormIsNeeded(t *testing.T) {
	var needed form
	for _, w := range writings {
		missed := 0
		for _, k := range kinds {
			r := New(k.values)
			r.forms &^= w.needs
			if w.fits(k.value) && !r.Shows("refused: "+w.write(k.value)+".") {
				missed++
			}
		}
		if missed == 0 {
			t.Errorf("%s: every value is found without the form", w.name)
			continue
		}
		if w.needs&(w.needs-1) == 0 {
			needed |= w.needs
		}
	}
	for f := asIs; f < allForms; f <<= 1 {
		if needed&f == 0 {
			t.Errorf("form %b is needed by nothing", f)
		}
	}
}

// TestLine: on the left is a provider's text, on the right the line that remains.
func TestLine(t *testing.T) {
	values := Values{
		Recipient: "alice+x@example.com", Secrets: []string{"s3cret-key", "Li"}, Own: []string{"no-reply@example.com"},
		Content: []string{"SignIn: 481516", "Your code is 481516\nthis line is looked for, too\nbye now"},
	}
	for text, want := range map[string]string{
		"": "", "OK": "OK", "User unknown": "User unknown",
		"<ALICE+X@example.com>: no":                              "<[hidden]>: no",
		"ALICE+X has no mailbox":                                 "[hidden] has no mailbox",
		"malice+xerox":                                           "malice+xerox",
		"other@example.net, no-reply@example.com":                "[hidden], no-reply@example.com",
		"No-Reply%40Example.com":                                 "No-Reply%40Example.com",
		"other b3RoZXJAZXhhbXBsZS5uZXQ=, 3133393132333435363738": "other [hidden], [hidden]",
		"to=other%40example.net&x":                               "to=[hidden]&x",
		"alice.":                                                 "alice.",
		"<other@example.net>.":                                   "<[hidden]>.",
		`"a b"@example.net is gone`:                              "[hidden] is gone",
		"call 13012345678 or +49 (30) 123-45678":                 "call [hidden] or [hidden]",
		"at 2026-11-22 10:15:00, 554811":                         "at 2026-11-22 10:15:00, 554811",
		"id 4XyZ1B2c3Dz9rxP 01JDCT5Z6Q0000000000":                "id 4XyZ1B2c3Dz9rxP 01JDCT5Z6Q0000000000",
		"481516 481516 481 516":                                  "[hidden] [hidden] [hidden]",
		"481516481516":                                           "[hidden]",
		"bye now, this line is looked for, too":                  "bye now, [hidden]",
		"Li":                                                     "Li",
		"two\nlines\r\n\tand \x1b[31mred\u202e":                  "two lines and [31mred",
		"4815\u200b16":                                           "[hidden]",
		"\xff\xfe":                                               "\uFFFD",
		"４８１５１６ ａｌｉｃｅ＋ｘ＠ｅｘａｍｐｌｅ．ｃｏｍ": "[hidden] [hidden]",
		"key:S3CRET-KEY;[hidden]":                                "key:[hidden];[hidden]",
		"[hidden]s3cret-key[hidden][hidden]":                     "[hidden]",
		strings.Repeat("é", 300):                                 strings.Repeat("é", 200) + "…",
		strings.Repeat("x", 195) + " s3cret-key":                 strings.Repeat("x", 195) + " …",
		strings.Repeat("x", 192) + "[s3cret-key":                 strings.Repeat("x", 192) + "[…",
		"AUTH PLAIN AHVAZXhhbXBsZS5jb20AczNjcmV0LWtleQ== failed": "AUTH PLAIN [hidden] failed",
	} {
		if got := New(values).Line(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestValuesThatArePatternsOrMarkers are removed like others.
func TestValuesThatArePatternsOrMarkers(t *testing.T) {
	for _, v := range []string{"a.*(b", "\xff\xfe\xfdxyz", "$1$0{}", "[a-z]+", "hidden", Marker, "[hidden] [hidden]", "en] a", "%41%42%43%44", "&amp;&lt;", "====", `\u0041\u0042`} {
		r := New(Values{Secrets: []string{v}})
		text := "refused: " + v + "."
		line := r.Line(text)
		if want := "refused: [hidden]."; line != want {
			t.Errorf("%q: %q", v, line)
		}
		if again := r.Line(line); again != line {
			t.Errorf("%q: %q, and again %q", v, line, again)
		}
	}
}

// TestTheEndOfALongText: no half of a value stays at the end of the part that is read.
func TestTheEndOfALongText(t *testing.T) {
	const value = "https://example.com/t/0123456789"
	r := New(Values{Secrets: []string{value, strings.Repeat("y", 100)}})
	for _, edge := range []int{maxRead - margin, maxRead} {
		for n := edge - len(value) - 1; n <= edge; n += 4 {
			for _, filler := range []string{" ", "y"} {
				line := r.Line(strings.Repeat(filler, n) + value + strings.Repeat("z", 100))
				if strings.Contains(line, value[:8]) {
					t.Fatalf("after %d of %q: %q", n, filler, line)
				}
			}
		}
	}
}

// hostile returns texts that take much work.
func hostile(size int) map[string]string {
	out := make(map[string]string)
	for name, piece := range map[string]string{
		"percents": "%25", "percents of percents": "%2525252525", "ampersands": "&amp;amp;", "entities": "&#38;#38;", "backslashes": `\\`, "equals": "=3D3D",
		"base64": "NDgxNTE2", "hex": "343831353136", "digits": "481516 ", "a": "a", "at": "a@a.", "quotes": `"@`, "spaces": " ", "all": `%26&#61;\u0025=25`,
		"ones of each": "%41&#65;\\x41=41 ", "numbers": "+1 ", "nuls": "\x00", "no UTF-8": "\xff", "wide": "\uff10", "markers": Marker, "parts": "[hidden",
	} {
		out[name] = strings.Repeat(piece, size/len(piece)+1)[:size]
	}
	return out
}

// much returns a message with many values that begin alike.
func much() Values {
	v := Values{Recipient: "a@aaaa.example", Secrets: []string{"481516", "aaaaaaaa"}}
	var mail strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&mail, "<td>aaaa%dB</td>\n", i)
	}
	v.Content = []string{mail.String()}
	return v
}

// TestHostileTexts end, in one short line.
func TestHostileTexts(t *testing.T) {
	for name, text := range hostile(1 << 20) {
		r := New(much())
		line := r.Line(text)
		if err := wrong(line); err != "" {
			t.Errorf("%s: %s: %q", name, err, line)
		}
	}
}

// wrong returns what is wrong with a line; empty if nothing is.
func wrong(line string) string {
	switch {
	case !utf8.ValidString(line):
		return "it is no UTF-8"
	case utf8.RuneCountInString(line) > MaxLine+1:
		return "it is too long"
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u202e' }):
		return "it has control characters"
	}
	return ""
}

// FuzzLine: a value in any form, with any text around it, is not in the line. Line does
// not change its own result.
func FuzzLine(f *testing.F) {
	for i := range writings {
		f.Add("refused: ", ".", i, i)
		f.Add("%", "=", i, i+1)
	}
	f.Add("\xff\\", "&#", 3, 4)
	f.Add(strings.Repeat("x ", 3000), strings.Repeat("y", 3000), 1, 2)
	f.Fuzz(func(t *testing.T, before, after string, kind, writing int) {
		k := kinds[uint(kind)%uint(len(kinds))]
		w := writings[uint(writing)%uint(len(writings))]
		if !w.fits(k.value) {
			return
		}
		r := New(k.values)
		text := before + w.write(k.value) + after
		line := r.Line(text)
		if err := wrong(line); err != "" {
			t.Fatalf("%s: %q of %q", err, line, text)
		}
		if r.Shows(line) {
			t.Fatalf("%s, %s: %q shows it", k.name, w.name, line)
		}
		if written := w.write(k.value); contains(line, written) {
			t.Fatalf("%s, %s: %q holds %q", k.name, w.name, line, written)
		}
		if again := r.Line(line); again != line {
			t.Fatalf("%q, and again %q", line, again)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	v := Values{
		Recipient: "alice@example.com", Secrets: []string{"SG.key.secret"},
		Content: []string{"SignIn: Qx7z9K", "Your code is Qx7z9K", strings.Repeat("<p style=\"color:#1a2b3c\">Your code is Qx7z9K</p>\n", 40)},
	}
	for name, text := range map[string]string{
		"OK": "OK", "nothing secret": "The template is not approved for this account", "the address": "<alice@example.com>: Recipient address rejected: User unknown",
		"escaped": "to=alice%2540example.com&code=Qx7z9K &#64;",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(v).Line(text)
			}
		})
	}
	for name, text := range hostile(1 << 20) {
		r := New(much())
		b.Run("hostile/"+name, func(b *testing.B) {
			for b.Loop() {
				r.Line(text)
			}
		})
	}
}
