package ses_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

func check(t testing.TB, s sender.Sender) error {
	t.Helper()
	c, ok := s.(sender.Checker)
	if !ok {
		t.Fatal("no Checker")
	}
	return c.Check(t.Context())
}

const pending = `{"IdentityType":"EMAIL_ADDRESS","VerifiedForSendingStatus":false}`

func TestCheck(t *testing.T) {
	with := func(old, updated string) string { return strings.Replace(standin.SESAccount, old, updated, 1) }
	denied := standin.SESRefusal{Code: "AccessDeniedException", Message: "User is not authorized to perform this"}
	for _, c := range []struct {
		name   string
		server *standin.SES
		change func(*ses.Config)
		class  sender.Class // Unknown and no code for nil
		code   string
	}{
		{"all is well", &standin.SES{}, nil, 0, ""},
		{"an address", &standin.SES{Identities: map[string]string{"no-reply@mail.example.com": standin.SESVerified}}, nil, 0, ""},
		{"the domain above", &standin.SES{Identities: map[string]string{"no-reply@mail.example.com": pending, "example.com": standin.SESVerified}}, nil, 0, ""},
		{"pending", &standin.SES{Identities: map[string]string{"no-reply@mail.example.com": pending}}, nil, sender.Misconfigured, "Identity.NotVerified"},
		{"unknown", &standin.SES{Identities: map[string]string{"other.example": standin.SESVerified}}, nil, sender.Misconfigured, "Identity.NotVerified"},
		{"another account's identity", &standin.SES{Identities: map[string]string{}}, func(c *ses.Config) { c.EmailAddressIdentityArn = fromArn + "example.com" }, 0, ""},
		{"it may not ask for identities", &standin.SES{Refuse: map[string]standin.SESRefusal{standin.SESIdentityPath + "no-reply@mail.example.com": denied}}, nil, 0, ""},
		{"too fast with identities", &standin.SES{Refuse: map[string]standin.SESRefusal{standin.SESIdentityPath + "no-reply@mail.example.com": {Code: "TooManyRequestsException"}}}, nil, 0, ""},
		{"it may not ask for anything", &standin.SES{Refuse: map[string]standin.SESRefusal{standin.SESAccountPath: denied, standin.SESIdentityPath + "no-reply@mail.example.com": denied}}, nil, 0, ""},
		{"disabled", &standin.SES{Account: with(`"SendingEnabled":true`, `"SendingEnabled":false`)}, nil, sender.AccountDown, "Account.SendingDisabled"},
		{"sandbox", &standin.SES{Account: with(`"ProductionAccessEnabled":true`, `"ProductionAccessEnabled":false`)}, nil, sender.AccountDown, "Account.Sandbox"},
		{"shutdown", &standin.SES{Account: with("HEALTHY", "SHUTDOWN")}, nil, sender.AccountDown, "Account.Shutdown"},
		{"probation", &standin.SES{Account: with("HEALTHY", "PROBATION")}, nil, 0, ""},
		{"quota", &standin.SES{Account: with("12.0", "50000.0")}, nil, sender.AccountDown, "Account.Quota"},
		{"no quota", &standin.SES{Account: with("50000.0", "-1.0")}, nil, 0, ""},
		{"whoever it was", &standin.SES{Account: "{}"}, nil, sender.Unknown, "SDK.Answer"},
		{"HTML", &standin.SES{Account: "<html>"}, nil, sender.Unknown, "SDK.Answer"},
		{"HTML for an identity", &standin.SES{Identities: map[string]string{"no-reply@mail.example.com": "<html>"}}, nil, 0, ""},
		{"wrong secret", &standin.SES{}, func(c *ses.Config) { c.AccessKeySecret = sender.NewSecret("wrong-secret") }, sender.AccountDown, "InvalidSignatureException"},
		{"suspended", &standin.SES{Refuse: map[string]standin.SESRefusal{standin.SESAccountPath: {Code: "AccountSuspendedException", Message: "no"}}}, nil, sender.AccountDown, "AccountSuspendedException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var changes []func(*ses.Config)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			err := check(t, connector(t, serve(t, c.server), changes...))
			switch {
			case c.code == "" && err != nil:
				t.Error(err)
			case c.code != "":
				if e := sendertest.Want(t, err, c.class); e.Code != c.code || e.Detail == "" {
					t.Errorf("%+v", e)
				}
				sendertest.Hides(t, err, keyID, keySecret, "wrong-secret")
			}
			for _, r := range c.server.Requests() {
				if !strings.HasPrefix(r, "GET ") {
					t.Errorf("a check is harmless: %s", r)
				}
			}
		})
	}
	sendertest.Want(t, check(t, connector(t, "http://127.0.0.1:1")), sender.Unavailable)
}

// TestCheckAsksForADomainAndThoseAbove, and not for ever.
func TestCheckAsksForADomainAndThoseAbove(t *testing.T) {
	srv := &standin.SES{Identities: map[string]string{"b.example": standin.SESVerified}}
	s := connector(t, serve(t, srv), func(c *ses.Config) { c.EmailAddress = "a+b@1.2.3.4.5.6.example" })
	sendertest.Want(t, check(t, s), sender.Misconfigured)
	if want := []string{
		"GET " + standin.SESAccountPath, "GET " + standin.SESIdentityPath + "a+b@1.2.3.4.5.6.example", "GET " + standin.SESIdentityPath + "1.2.3.4.5.6.example",
		"GET " + standin.SESIdentityPath + "2.3.4.5.6.example", "GET " + standin.SESIdentityPath + "3.4.5.6.example", "GET " + standin.SESIdentityPath + "4.5.6.example",
	}; !slices.Equal(srv.Requests(), want) {
		t.Errorf("got %q", srv.Requests())
	}
}
