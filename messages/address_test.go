package messages_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestCheckAddress(t *testing.T) {
	tests := []struct {
		channel   messages.Channel
		good, bad []string
	}{
		{
			channel: messages.Email,
			good: []string{
				"foo@example.com", "a@b", "first.last+tag@sub.example.com", "o'hara@example.com", "用户@例子.中国",
				strings.Repeat("a", 64) + "@" + strings.Repeat("d", 185) + ".com",
			},
			bad: []string{
				"", "foo", "@", "foo@", "@example.org", "a@b@c", "foo@example.com,bar@example.com", "foo@example.com ",
				" foo@example.com", "Foo <foo@example.com>", "<foo@example.com>", "foo@example.com\r\nBcc: x@example.com",
				"foo bar@example.com", `"foo"@example.com`, "foo@example.com (home)", "foo..bar@example.com", "foo@.com", "foo@example.com.",
				"fo\x00o@example.com", "fo\u2028o@example.com", "fo\u202eo@example.com", "fo\u3000o@example.com", "fo\xffo@example.com",
				strings.Repeat("a", 243) + "@example.com", "+8613012345678",
			},
		},
		{
			channel: messages.SMS,
			good: []string{
				"+8613012345678", "8613012345678", "008613012345678", "13012345678", "+1 (415) 555-2671", "12345", "+12345",
				"12345678901234567", "0012345678901234567", "+12345678901234567", "020-1234-5678",
				"１３０１２３４５６７８", "＋８６１３０１２３４５６７８", "＋８６　（１３０）　１２３４－５６７８", "٠١٢٣٤٥٦٧٨٩", "+۹۸۹۱۲۱۲۳۴۵۶۷", "१२३४५६७८९०", "𝟏𝟐𝟑𝟒𝟓",
				strings.Repeat("１", 17),
			},
			bad: []string{
				"", "+", "1234", "+1234", "001234", "123456789012345678", "+123456789012345678", "00123456789012345678", "++8613012345678",
				"86+13012345678", "130123a5678", "13012345678;", "tel:13012345678", "1３0１1Ⅷ2②3", "１３０１２３＋４５６７８", "１３０．１２３４．５６７８", "一三〇一二三四五六七八", "1301\n2345678",
				"13012345678,13112345678", "foo@example.com", "12345" + strings.Repeat(" ", 60),
			},
		},
	}
	for _, tt := range tests {
		for _, to := range tt.good {
			if err := messages.CheckAddress(tt.channel, to); err != nil {
				t.Errorf("%s %q: %v", tt.channel, to, err)
			}
		}
		for _, to := range tt.bad {
			err := messages.CheckAddress(tt.channel, to)
			wantField(t, err, "to")
			if len(to) > 4 && strings.Contains(err.Error(), to) {
				t.Errorf("the error shows the address: %v", err)
			}
		}
	}
	wantField(t, messages.CheckAddress("fax", "13012345678"), "channel")
}

func TestMask(t *testing.T) {
	for to, want := range map[string]string{
		"+8613012345678":    "+86130****5678",
		"8613012345678":     "86130****5678",
		"+86 130-1234-5678": "+86130****5678",
		"13012345678":       "130****5678",
		"+14155552671":      "+141****2671",
		"1234567890":        "1234****90",
		"12345678":          "12****78",
		"1234567":           "123****",
		"12345":             "1****",
		"＋８６１３０１２３４５６７８":     "+86130****5678",
		"+٨٦١٣٠١٢٣٤٥٦٧٨":     "+86130****5678",
		"+525512345678":      "+5255****5678",
		"+5215512345678":     "+5255****5678",
		"+12345678901234567": "+12345****4567",
		"foo@example.com":    "f***@example.com",
		"a@b":                "a***@b",
		"用户@例子.中国":           "用***@例子.中国",

		"":                              "****",
		"1234":                          "****",
		"code 123456":                   "****",
		"abc12345":                      "****",
		"123456789012345678":            "****",
		"@":                             "****",
		"@example.com":                  "****",
		"13012345678@":                  "****",
		"foo@bar@13012345678":           "****",
		"Foo Bar <foo@example.com>":     "****",
		"foo@example.com, a@b":          "****",
		"foo@example.com code 123456":   "****",
		"https://example.com/?c=123456": "****",
	} {
		if got := messages.Mask(to); got != want {
			t.Errorf("Mask(%q) = %q, want %q", to, got, want)
		}
	}
}

// TestMaskHidesEnough: Mask hides at least four digits of each number, and the name of each
// email address except its first character.
func TestMaskHidesEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const alphabet = "0123456789012345678901234567890123456789+-() @.abcé<>,"
	runes := []rune(alphabet)
	for range 200_000 {
		var b strings.Builder
		for range r.IntN(24) {
			b.WriteRune(runes[r.IntN(len(runes))])
		}
		to := b.String()
		masked := messages.Mask(to)
		if masked == "****" {
			continue
		}
		if name, domain, ok := strings.Cut(to, "@"); ok {
			if want := string([]rune(name)[:1]) + "***@" + domain; masked != want {
				t.Fatalf("Mask(%q) = %q, want %q", to, masked, want)
			}
			continue
		}
		if hidden := len(wire.Digits(to)) - len(wire.Digits(masked)); hidden < 4 {
			t.Fatalf("Mask(%q) = %q hides %d digits", to, masked, hidden)
		}
	}
}

// FuzzNumber: two forms of a number with the same digits have the same mask, and the mask of
// each number hides at least four digits.
func FuzzNumber(f *testing.F) {
	for _, to := range []string{"+8613012345678", "＋８６１３０１２３４５６７８", "+5215512345678", "005215512345678", "٠١٢٣٤٥٦٧٨٩", "+1 (415) 555-2671", "", "521", "+"} {
		f.Add(to)
	}
	f.Fuzz(func(t *testing.T, to string) {
		digits := wire.Digits(to)
		if strings.Trim(digits, "0123456789") != "" {
			t.Fatalf("Digits(%q) = %q, want only digits", to, digits)
		}
		if again := wire.Digits(digits); again != digits {
			t.Errorf("Digits(%q) = %q, but Digits of that is %q", to, digits, again)
		}
		if messages.CheckAddress(messages.SMS, to) != nil {
			return
		}
		masked := messages.Mask(to)
		sign := ""
		if strings.HasPrefix(to, "+") || strings.HasPrefix(to, "＋") {
			sign = "+"
		}
		if plain := messages.Mask(sign + digits); plain != masked {
			t.Errorf("Mask(%q) = %q, but Mask(%q) = %q", to, masked, sign+digits, plain)
		}
		if hidden := len(digits) - len(wire.Digits(masked)); hidden < 4 {
			t.Errorf("Mask(%q) = %q hides %d digits", to, masked, hidden)
		}
	})
}

func ExampleMask() {
	fmt.Println(messages.Mask("+8613012345678"))
	fmt.Println(messages.Mask("foo@example.com"))
	// Output:
	// +86130****5678
	// f***@example.com
}
