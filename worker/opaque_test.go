package worker

import (
	"strings"
	"testing"
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
		if got := shownSubject(c.subject, c.to); got != c.want {
			t.Errorf("%s: %s, want %s", c.subject, got, c.want)
		}
	}
	for id, to := range map[string]string{
		"SignIn-+8613012345678-123456": "13012345678", "foo@example.com/1": "Foo@example.com",
	} {
		if got := opaque(id, to); !strings.HasPrefix(got, "sha256-") || got != opaque(id, to) {
			t.Errorf("%s is shown as %s", id, got)
		}
	}
	for _, id := range []string{"01JDCT5Z6Q0000000000000000", "CODEFERRY-12", "u1"} {
		if got := opaque(id, "13012345678"); got != id {
			t.Errorf("%s is shown as %s", id, got)
		}
	}
}
