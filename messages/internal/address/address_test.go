package address_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/codeferry/codeferry/messages/internal/address"
)

func TestDigits(t *testing.T) {
	for to, want := range map[string]string{
		"": "", "123": "123", "+86 (130) 1-2": "8613012", "a1b2": "12",
		"１２０９": "1209", "＋８６　１３": "8613", "٠١٢٣٤٥٦٧٨٩": "0123456789", "۰۱۲۳۴۵۶۷۸۹": "0123456789", "०९": "09", "𝟎𝟗𝟘𝟡": "0909", "Ⅷ②": "",

		// Mexico's old mobile numbers.
		"+5215512345678": "525512345678", "5215512345678": "525512345678", "005215512345678": "00525512345678",
		"+52 1 (55) 1234-5678": "525512345678", "＋５２１５５１２３４５６７８": "525512345678",
		// What only looks like one.
		"+525512345678": "525512345678", "+521551234567": "521551234567", "+52155123456789": "52155123456789",
		"+5211512345678": "5211512345678", "+5115512345678": "5115512345678", "115215512345678": "115215512345678",
		"521": "521",
	} {
		if got := address.Digits(to); got != want {
			t.Errorf("Digits(%q) = %q, want %q", to, got, want)
		}
	}
}

// TestDigitsOfUnicode: Digits reads every decimal digit of Unicode, and no other character.
func TestDigitsOfUnicode(t *testing.T) {
	read := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		got := address.Digits(string(r))
		if unicode.IsDigit(r) != (got != "") {
			t.Errorf("Digits(%U) = %q; a digit of Unicode: %t", r, got, unicode.IsDigit(r))
		}
		if got == "" {
			continue
		}
		read++
		if r > unicode.MaxASCII && got == "9" && unicode.IsDigit(r+1) && address.Digits(string(r+1)) != "0" {
			t.Errorf("%U is a 9, and the next digit is %q, want 0", r, address.Digits(string(r+1)))
		}
		if before := address.Digits(string(r - 1)); before != "" && (got[0]-'0') != (before[0]-'0'+1)%10 {
			t.Errorf("Digits(%U) = %q, but the digit before it is %q", r, got, before)
		}
	}
	if read < 600 || read%10 != 0 {
		t.Errorf("Digits reads %d digits, want 600 or more, and a multiple of 10", read)
	}
}

func TestShows(t *testing.T) {
	for _, c := range []struct {
		text, to string
		want     bool
	}{
		{"", "", false},
		{"user-1", "", false},
		{"a@b", "", true},
		{"13012345678", "", true},
		{"20261122", "", true},
		{"for-Foo@example.com-1", "foo@Example.com", true},
		{"for-foo", "foo@example.com", false},
		{"", "foo@example.com", false},
		{"", "13012345678", false},
		{"user-1", "13012345678", false},
		{"20261122", "13012345678", false},
		{"SignIn-+8613012345678-123456", "13012345678", true},
		{"k+86-130-1234-5678", "0086 13012345678", true},
		{"１３０１２３４５６７８", "+8613012345678", true},
		{"3012345678", "+8613012345678", true},
		{"01234567", "+8613012345678", false},
		{"u-12345", "12345", true},
		{"u-123456", "12345", false},
		{"u", "abc", false},
		{"+52 55 1234 5678", "+5215512345678", true},
		{strings.Repeat("x", 300) + "13012345678", "13012345678", true},
	} {
		if got := address.Shows(c.text, c.to); got != c.want {
			t.Errorf("Shows(%q, %q) = %t, want %t", c.text, c.to, got, c.want)
		}
	}
	if n := testing.AllocsPerRun(10, func() { address.Shows("F655A8D5-B967-440B-8683-DAD6FF8DE990", "+86 130 1234 5678") }); n > 0 {
		t.Errorf("Shows allocates %v times, want none", n)
	}
}
