package worker

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestWhatIsShownHoldsNoAddress(t *testing.T) {
	for _, c := range []struct{ subject, to, want string }{
		{"codeferry.send.default.sms.SignIn.user-1", "+8613012345678", "codeferry.send.default.sms.SignIn.user-1"},
		{"codeferry.send.default.sms.SignIn.20261122", "+8613012345678", "codeferry.send.default.sms.SignIn.20261122"},
		{"codeferry.send.default.sms.SignIn.13012345678", "+8613012345678", "codeferry.send.default.sms.SignIn.****"},
		{"codeferry.send.default.sms.SignIn.k+86-130-1234-5678", "13012345678", "codeferry.send.default.sms.SignIn.****"},
		{"codeferry.send.default.sms.SignIn.13012345678", "", "codeferry.send.default.sms.SignIn.****"},
		{"codeferry.send.default.sms.13012345678.user-1", "", "codeferry.send.default.sms.****.****"},
		{"codeferry.send.default.email.SignIn.a@b", "", "codeferry.send.default.email.SignIn.****"},
	} {
		if got := maskSubject(c.subject, c.to); got != c.want {
			t.Errorf("the subject %s: got %s, want %s", c.subject, got, c.want)
		}
	}
	for id, to := range map[string]string{
		"SignIn-+8613012345678-123456": "13012345678", "foo@example.com/1": "Foo@example.com",
	} {
		if got := maskID(id, to); !strings.HasPrefix(got, "sha256-") || got != maskID(id, to) {
			t.Errorf("%s is shown as %s", id, got)
		}
	}
	for _, id := range []string{"01JDCT5Z6Q0000000000000000", "CODEFERRY-12", "u1"} {
		if got := maskID(id, "13012345678"); got != id {
			t.Errorf("%s is shown as %s", id, got)
		}
	}
}

// TestMaskReceipt: a provider can make its ids from the recipient.
func TestMaskReceipt(t *testing.T) {
	const to = "+8613012345678"
	got := maskReceipt(sender.Receipt{ProviderID: "B-1", RequestID: "R-1"}, to)
	check.Equal(t, "ids that show nothing", got, sender.Receipt{ProviderID: "B-1", RequestID: "R-1"})
	got = maskReceipt(sender.Receipt{ProviderID: "B-13012345678", RequestID: "R-13012345678"}, to)
	check.Equal(t, "ids that show the recipient", got, sender.Receipt{ProviderID: maskID("B-13012345678", to), RequestID: maskID("R-13012345678", to)})
	check.Equal(t, "an address", mask(to), messages.Mask(to))
	check.Equal(t, "no address", mask(""), "")
}

// TestMaskSubject: an invalid subject could hold a secret, so its tokens are hidden.
func TestMaskSubject(t *testing.T) {
	for subject, want := range map[string]string{
		"codeferry.send.a b.sms.SignIn.user-1":       "codeferry.send.****.sms.SignIn.****",
		"codeferry.send.default.sms.Whatever.user-1": "codeferry.send.default.sms.****.****",
		"codeferry.send.default.sms.SignIn.user-1":   "codeferry.send.default.sms.SignIn.user-1",
	} {
		check.Equal(t, subject, maskSubject(subject, "13012345678"), want)
	}
}
