package ses_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

const pending = `{"IdentityType":"EMAIL_ADDRESS","VerifiedForSendingStatus":false}`

func TestCheck(t *testing.T) {
	with := func(old, updated string) string { return strings.Replace(fakeses.Account, old, updated, 1) }
	denied := fakeses.Refusal{Code: "AccessDeniedException", Message: "User is not authorized to perform this"}
	for _, c := range []struct {
		name   string
		server *fakeses.Server
		change func(*ses.Config)
		class  sender.Class // Unknown and no code for nil
		code   string
	}{
		{"all is well", &fakeses.Server{}, nil, 0, ""},
		{"an address", &fakeses.Server{Identities: map[string]string{"no-reply@mail.example.com": fakeses.Verified}}, nil, 0, ""},
		{"the domain above", &fakeses.Server{Identities: map[string]string{"no-reply@mail.example.com": pending, "example.com": fakeses.Verified}}, nil, 0, ""},
		{"pending", &fakeses.Server{Identities: map[string]string{"no-reply@mail.example.com": pending}}, nil, sender.Misconfigured, "Identity.NotVerified"},
		{"unknown", &fakeses.Server{Identities: map[string]string{"other.example": fakeses.Verified}}, nil, sender.Misconfigured, "Identity.NotVerified"},
		{"another account's identity", &fakeses.Server{Identities: map[string]string{}}, func(c *ses.Config) { c.EmailAddressIdentityArn = fromArn + "example.com" }, 0, ""},
		{"it may not ask for identities", &fakeses.Server{Refuse: map[string]fakeses.Refusal{fakeses.IdentityPath + "no-reply@mail.example.com": denied}}, nil, 0, ""},
		{"too fast with identities", &fakeses.Server{Refuse: map[string]fakeses.Refusal{fakeses.IdentityPath + "no-reply@mail.example.com": {Code: "TooManyRequestsException"}}}, nil, 0, ""},
		{"it may not ask for anything", &fakeses.Server{Refuse: map[string]fakeses.Refusal{fakeses.AccountPath: denied, fakeses.IdentityPath + "no-reply@mail.example.com": denied}}, nil, 0, ""},
		{"disabled", &fakeses.Server{Account: with(`"SendingEnabled":true`, `"SendingEnabled":false`)}, nil, sender.AccountDown, "Account.SendingDisabled"},
		{"sandbox", &fakeses.Server{Account: with(`"ProductionAccessEnabled":true`, `"ProductionAccessEnabled":false`)}, nil, sender.AccountDown, "Account.Sandbox"},
		{"shutdown", &fakeses.Server{Account: with("HEALTHY", "SHUTDOWN")}, nil, sender.AccountDown, "Account.Shutdown"},
		{"probation", &fakeses.Server{Account: with("HEALTHY", "PROBATION")}, nil, 0, ""},
		{"quota", &fakeses.Server{Account: with("12.0", "50000.0")}, nil, sender.AccountDown, "Account.Quota"},
		{"no quota", &fakeses.Server{Account: with("50000.0", "-1.0")}, nil, 0, ""},
		{"whoever it was", &fakeses.Server{Account: "{}"}, nil, sender.Misconfigured, "SDK.Answer"},
		{"HTML", &fakeses.Server{Account: "<html>"}, nil, sender.Misconfigured, "SDK.Answer"},
		{"HTML for an identity", &fakeses.Server{Identities: map[string]string{"no-reply@mail.example.com": "<html>"}}, nil, 0, ""},
		{"wrong secret", &fakeses.Server{}, func(c *ses.Config) { c.AccessKeySecret = sender.NewSecret("wrong-secret") }, sender.AccountDown, "InvalidSignatureException"},
		{"suspended", &fakeses.Server{Refuse: map[string]fakeses.Refusal{fakeses.AccountPath: {Code: "AccountSuspendedException", Message: "no"}}}, nil, sender.AccountDown, "AccountSuspendedException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var changes []func(*ses.Config)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			err := sendertest.Check(t, connector(t, serve(t, c.server), changes...))
			switch {
			case c.code == "" && err != nil:
				t.Error(err)
			case c.code != "":
				if e := sendertest.WantCode(t, err, c.class, c.code); e.Detail == "" {
					t.Error("the error has no detail")
				}
				sendertest.Hides(t, err, keyID, keySecret, "wrong-secret")
			}
			for _, r := range c.server.Requests() {
				if !strings.HasPrefix(r, "GET ") {
					t.Errorf("a check makes a request that is not harmless: %s", r)
				}
			}
		})
	}
	sendertest.Want(t, sendertest.Check(t, connector(t, "http://127.0.0.1:1")), sender.Unavailable)
}

// TestCheckAsksForADomainAndThoseAbove, up to a limit.
func TestCheckAsksForADomainAndThoseAbove(t *testing.T) {
	srv := &fakeses.Server{Identities: map[string]string{"b.example": fakeses.Verified}}
	s := connector(t, serve(t, srv), func(c *ses.Config) { c.EmailAddress = "a+b@1.2.3.4.5.6.example" })
	sendertest.Want(t, sendertest.Check(t, s), sender.Misconfigured)
	if want := []string{
		"GET " + fakeses.AccountPath, "GET " + fakeses.IdentityPath + "a+b@1.2.3.4.5.6.example", "GET " + fakeses.IdentityPath + "1.2.3.4.5.6.example",
		"GET " + fakeses.IdentityPath + "2.3.4.5.6.example", "GET " + fakeses.IdentityPath + "3.4.5.6.example", "GET " + fakeses.IdentityPath + "4.5.6.example",
	}; !slices.Equal(srv.Requests(), want) {
		t.Errorf("got %q", srv.Requests())
	}
}

// TestCheckByStatus: an answer without an error code is classed by its status, and its message
// is shown.
func TestCheckByStatus(t *testing.T) {
	for status, class := range map[int]sender.Class{400: sender.Misconfigured, 404: sender.Misconfigured, 403: sender.AccountDown, 429: sender.Throttled, 500: sender.Unavailable} {
		srv := faulty.Serve(t, faulty.Answer(status, `{"message":"the header X-Amz-Date is wrong, says `+keyID+`"}`))
		err := sendertest.Check(t, connector(t, srv.Endpoint))
		e := sendertest.Want(t, err, class)
		sendertest.Holds(t, "the detail", e.Detail, "the header X-Amz-Date is wrong")
		sendertest.Hides(t, err, keyID, keySecret)
	}
	srv := faulty.Serve(t, faulty.Answer(400, `{"__type":"BadRequestException","message":"the header is wrong"}`))
	e := sendertest.WantCode(t, sendertest.Check(t, connector(t, srv.Endpoint)), sender.Permanent, "BadRequestException")
	sendertest.Holds(t, "the detail", e.Detail, "the header is wrong")
	sendertest.Holds(t, "what to do", e.WhatToDo(), "No message was sent")
}
