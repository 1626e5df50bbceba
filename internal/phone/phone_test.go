package phone

import (
	"errors"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages/wire"
)

func TestParseNumber(t *testing.T) {
	for _, c := range []struct {
		to    string
		want  string // the form that is sent
		china bool
		err   error
	}{
		// The mainland, in every form, and sent as 11 digits.
		{to: "+8613012345678", want: "13012345678", china: true},
		{to: "008613012345678", want: "13012345678", china: true},
		{to: "8613012345678", want: "13012345678", china: true},
		{to: "+86 130-1234-5678", want: "13012345678", china: true},
		{to: "0086 (130) 1234 5678", want: "13012345678", china: true},
		{to: "86-130-1234-5678", want: "13012345678", china: true},
		{to: "+8619912345678", want: "19912345678", china: true},
		{to: "+8612012345678", want: "12012345678", china: true}, // not in use yet

		// Hong Kong, Macao and Taiwan have country codes of their own.
		{to: "+85291234567", want: "85291234567"},
		{to: "0085291234567", want: "85291234567"},
		{to: "85291234567", want: "85291234567"},
		{to: "+852 9123 4567", want: "85291234567"},
		{to: "+85366123456", want: "85366123456"},
		{to: "85366123456", want: "85366123456"},
		{to: "+886912345678", want: "886912345678"},
		{to: "00886912345678", want: "886912345678"},
		{to: "+8860912345678", want: "886912345678"}, // without the trunk 0

		// All others.
		{to: "+13012345678", want: "13012345678"},
		{to: "0013012345678", want: "13012345678"},
		{to: "+1 (415) 555-2671", want: "14155552671"},
		{to: "+447911123456", want: "447911123456"},
		{to: "+4407911123456", want: "447911123456"},
		{to: "+6581234567", want: "6581234567"},
		{to: "+390612345678", want: "390612345678"}, // Italy's 0 stays

		// The digits of any script, and full-width signs.
		{to: "＋８６１３０１２３４５６７８", want: "13012345678", china: true},
		{to: "００８６　１３０－１２３４－５６７８", want: "13012345678", china: true},
		{to: "+٨٦١٣٠١٢٣٤٥٦٧٨", want: "13012345678", china: true},
		{to: "+۹۸ ۹۱۲ ۱۲۳ ۴۵۶۷", want: "989121234567"},
		{to: "＋１　（４１５）　５５５－２６７１", want: "14155552671"},
		{to: "＋００８６１３０１２３４５６７８", err: ErrNoNumber},

		// Old numbering plans: Mexico's 1, which no longer exists, and Argentina's 15 after the
		// area code, which is a 9 before it in calls from abroad.
		{to: "+5215512345678", want: "525512345678"},
		{to: "+52 1 55 1234 5678", want: "525512345678"},
		{to: "005215512345678", want: "525512345678"},
		{to: "5215512345678", want: "525512345678"},
		{to: "+525512345678", want: "525512345678"},
		{to: "+5211551234567", err: ErrImpossible}, // no Mexican number begins with 1
		{to: "+52155123456789", err: ErrImpossible},
		{to: "+54 11 15 1234 5678", want: "5491112345678"},
		{to: "+54 9 11 1234 5678", want: "5491112345678"},
		{to: "+54 11 1234 5678", want: "541112345678"}, // it can be a landline
		{to: "+55 11 1234 5678", want: "551112345678"}, // Brazil's ninth digit is not added

		// Numbers that begin with 86 and are not mainland mobile numbers.
		{to: "+861012345678", err: ErrNotMobile}, // Beijing's landlines
		{to: "861012345678", err: ErrNotMobile},
		{to: "+862112345678", err: ErrNotMobile},
		{to: "+86130123456", err: ErrNotMobile},
		{to: "+861301234567", err: ErrNotMobile},
		{to: "+86130123456789", err: ErrNotMobile},
		{to: "86130123456789", err: ErrNotMobile},
		{to: "+8623012345678", err: ErrNotMobile},
		{to: "86123456789", err: ErrNotMobile},
		{to: "+8686130123456", err: ErrNotMobile},

		// Texts that are not numbers.
		{to: "", err: ErrNoNumber},
		{to: "+", err: ErrNoNumber},
		{to: "00", err: ErrNoNumber},
		{to: "hello", err: ErrNoNumber},
		{to: "01012345678", err: ErrNoNumber},
		{to: "+008613012345678", err: ErrNoNumber},
		{to: "+99912345678", err: ErrNoNumber},
		{to: "+8529123", err: ErrImpossible},
		{to: "12345", err: ErrImpossible},
		{to: "+1415555267", err: ErrImpossible},
		{to: "+141555526711", err: ErrImpossible},
		{to: "91234567", err: ErrImpossible}, // a number of Hong Kong without its country code is not a number of India
		{to: strings.Repeat("9", 40), err: ErrNoNumber},
	} {
		for _, strict := range []bool{false, true} {
			n, err := Parse(c.to, strict)
			if n != (Number{c.want, c.china}) || !errors.Is(err, c.err) {
				t.Errorf("%q, strict %t: got %+v, %v; want %q, mainland %t, %v", c.to, strict, n, err, c.want, c.china, c.err)
			}
		}
	}
}

// TestParseNumberWithoutACountry: 11 digits that begin with 1 are a mainland
// number for Logto unless it is strict, and a North American one otherwise.
func TestParseNumberWithoutACountry(t *testing.T) {
	for _, to := range []string{"13012345678", "130-1234-5678", " 130 1234 5678 "} {
		for strict, want := range map[bool]Number{
			false: {"13012345678", true},
			true:  {"13012345678", false},
		} {
			if n, err := Parse(to, strict); n != want || err != nil {
				t.Errorf("%q, strict %t: got %+v, %v; want %+v", to, strict, n, err, want)
			}
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, to := range []string{"+8613012345678", "0085291234567", "13012345678", "+1 (415) 555-2671", "86", "00", "＋８６１３０１２３４５６７８", "+5215512345678", "+٨٦١٣٠١٢٣٤٥٦٧٨"} {
		f.Add(to, false)
		f.Add(to, true)
	}
	f.Fuzz(func(t *testing.T, to string, strict bool) {
		n, err := Parse(to, strict)
		switch {
		case err != nil && n != Number{}:
			t.Errorf("an error and a number: %+v, %v", n, err)
		case err == nil && (n.Digits == "" || strings.Trim(n.Digits, "0123456789") != ""):
			t.Errorf("%q is not a number in the form that SendSms takes", n.Digits)
		case n.Mainland && !IsMobile(n.Digits):
			t.Errorf("%q is not a mainland number", n.Digits)
		case err == nil && !n.Mainland && strings.HasPrefix(n.Digits, "86"):
			t.Errorf("%q is not an overseas number", n.Digits)
		}
		if plain := wire.Digits(to); err == nil && !strings.HasPrefix(to, "+") && !strings.HasPrefix(to, fullWidthPlus) {
			if same, err := Parse(plain, strict); same != n || err != nil {
				t.Errorf("%q is %+v, and as %q %+v, %v", to, n, plain, same, err)
			}
		}
	})
}
