package address_test

import (
	"errors"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender/internal/address"
)

func TestBare(t *testing.T) {
	for s, want := range map[string]struct {
		addr string
		utf8 bool
	}{
		"a@example.com":       {"a@example.com", false},
		"Alice+x@Example.com": {"Alice+x@Example.com", false},
		"a@bücher.example":    {"a@xn--bcher-kva.example", false},
		"a@BÜCHER.example":    {"a@xn--bcher-kva.example", false},
		"a@例子。com":            {"a@xn--fsqu00a.com", false}, // a full stop of another script
		"用户@例子.com":           {"用户@xn--fsqu00a.com", true},
		"a@[192.0.2.1]":       {"a@[192.0.2.1]", false},
	} {
		a, err := address.Bare(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := (address.Address{Addr: want.addr, UTF8: want.utf8}); a != want {
			t.Errorf("%q: got %+v, want %+v", s, a, want)
		}
		again, err := address.Bare(a.Addr)
		if err != nil || again != a {
			t.Errorf("%q, read again: got %+v and error %v, want %+v", a.Addr, again, err, a)
		}
		if ascii, err := a.ASCII(); (err == nil) == want.utf8 || err == nil && ascii != a.Addr || err != nil && !errors.Is(err, address.ErrLocal) {
			t.Errorf("%q in ASCII: got %q and error %v, want an error: %t", s, ascii, err, want.utf8)
		}
	}
	for _, s := range []string{"", "alice", "A <a@example.com>", "a@b, c@d", "a@-ü.example", "a@example.com\r\n", "a@ü\u200b .example", "ü@", "a@。", "用户@。", "a@ü。", "a@。ü", "a@ü。。example"} {
		if a, err := address.Bare(s); err == nil {
			t.Errorf("%q is read as %+v, want an error", s, a)
		} else if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error holds the address: %v", err)
		}
	}
}

func TestParse(t *testing.T) {
	a, err := address.Parse("Hilfe für Sie <help@bücher.example>")
	if err != nil {
		t.Fatal(err)
	}
	if want := (address.Address{Name: "Hilfe für Sie", Addr: "help@xn--bcher-kva.example"}); a != want {
		t.Errorf("got %+v, want %+v", a, want)
	}
	list, err := address.ParseList("A <a@bücher.example>, 用户@example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []address.Address{{Name: "A", Addr: "a@xn--bcher-kva.example"}, {Addr: "用户@example.com", UTF8: true}}
	if !slices.Equal(list, want) {
		t.Errorf("got %+v, want %+v", list, want)
	}
	for _, s := range []string{"nobody", "a@b.c, d@-ü.example"} {
		if list, err := address.ParseList(s); err == nil {
			t.Errorf("%q is read as %+v, want an error", s, list)
		}
	}
}

func TestHeader(t *testing.T) {
	for value, want := range map[string]string{
		"a@example.com":                     "a@example.com",
		"anything  at all, <mailto:x":       "anything  at all, <mailto:x",
		"ops@bücher.example":                "<ops@xn--bcher-kva.example>",
		"Hilfe für Sie <ops@example.com>":   "=?utf-8?q?Hilfe_f=C3=BCr_Sie?= <ops@example.com>",
		"a@example.com, <b@bücher.example>": "<a@example.com>, <b@xn--bcher-kva.example>",
		"用户@bücher.example":                 "<用户@xn--bcher-kva.example>", // SMTPUTF8
		"<mailto:leave@bücher.example?subject=ade%20für>, <https://bücher.example:8443/ü?a=ü&b=%20#ü>": "<mailto:leave@xn--bcher-kva.example?subject=ade%20f%C3%BCr>, <https://xn--bcher-kva.example:8443/%C3%BC?a=%C3%BC&b=%20#%C3%BC>",
		"<mailto:用户@example.com,b@bücher.example>":                                                     "<mailto:%E7%94%A8%E6%88%B7@example.com,b@xn--bcher-kva.example>",
		"zwei 二 @ eins": "zwei 二 @ eins",
	} {
		got, utf8, err := address.Header(value)
		if err != nil || got != want || utf8 != strings.HasPrefix(value, "用户") {
			t.Errorf("%q: %q %t %v, want %q", value, got, utf8, err, want)
		}
	}
	for _, value := range []string{"a@-ü.example", "<mailto:a@-ü.example>", "<https://-ü.example/>", "<https://ü:x/>", "<https://bücher@example.com/>"} {
		if got, _, err := address.Header(value); err == nil {
			t.Errorf("%q: %q", value, got)
		}
	}
}

// FuzzBare: an address that was read has an ASCII domain, and reading it again changes
// nothing.
func FuzzBare(f *testing.F) {
	f.Add("a@bücher.example")
	f.Add("用户@例子。com")
	f.Add("a@ü。")
	f.Add("a@[IPv6:::1]")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := address.Bare(s)
		if err != nil {
			return
		}
		if domain := a.Addr[strings.LastIndexByte(a.Addr, '@'):]; !address.IsASCII(domain) || a.UTF8 == address.IsASCII(a.Addr) {
			t.Fatalf("%q: %+v", s, a)
		}
		if again, err := address.Bare(a.Addr); err != nil || again != a {
			t.Fatalf("%q: %+v, once more %+v %v", s, a, again, err)
		}
		if p, err := mail.ParseAddress(a.Mail().String()); err != nil || p.Address != a.Addr {
			t.Fatalf("%q: its header reads %v %v", s, p, err)
		}
	})
}

// FuzzHeader: a value never gets more lines. If it holds addresses or URLs that can be
// ASCII, it becomes ASCII.
func FuzzHeader(f *testing.F) {
	f.Add("<mailto:leave@bücher.example?subject=für>, <https://bücher.example:8443/ü>")
	f.Add("Hilfe für Sie <ops@bücher.example>, 用户@example.com")
	f.Fuzz(func(t *testing.T, value string) {
		got, utf8, err := address.Header(value)
		if err != nil {
			return
		}
		if strings.Count(got, "\n") > strings.Count(value, "\n") || strings.Count(got, "\r") > strings.Count(value, "\r") {
			t.Fatalf("%q became %q", value, got)
		}
		if again, _, err := address.Header(got); !utf8 && (err != nil || again != got) {
			t.Fatalf("%q became %q, and then %q %v", value, got, again, err)
		}
	})
}
