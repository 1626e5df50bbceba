package smtp_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// answers is a second copy of the catalogue, as servers' replies.
var answers = []struct {
	at, reply string
	class     sender.Class
}{
	{"GREETING", "421 4.3.2 closing", sender.Unavailable},
	{"GREETING", "421 4.7.0 too many connections", sender.Throttled},
	{"GREETING", "450 4.7.0 rate limited", sender.Throttled},
	{"GREETING", "554 5.7.1 you are on a list", sender.Unavailable},
	{"EHLO", "550 5.7.1 go away", sender.Misconfigured},
	{"EHLO", "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", sender.Misconfigured},
	{"EHLO", "501 5.5.4 Invalid domain name", sender.Misconfigured},
	{"EHLO", "554 5.7.1 Helo command rejected", sender.Misconfigured},
	{"EHLO", "421 bye", sender.Unavailable},
	{"EHLO", "451 4.7.0 rate limited", sender.Throttled},

	{"AUTH", "535 5.7.8 bad credentials", sender.AccountDown},
	{"AUTH", "535 no", sender.AccountDown},
	{"AUTH", "534 5.7.9 an app password is needed", sender.AccountDown},
	{"AUTH", "530 5.7.0 no", sender.AccountDown},
	{"AUTH", "550 5.7.1 the account is disabled", sender.AccountDown},
	{"AUTH", "432 4.7.12 a password transition is needed", sender.AccountDown},
	{"AUTH", "454 4.7.0 not now", sender.Unavailable},
	{"AUTH", "421 4.7.0 not now", sender.Unavailable},
	{"AUTH", "451 4.7.0 too many login attempts", sender.Throttled},
	{"AUTH", "504 5.5.4 unknown mechanism", sender.Misconfigured},
	{"AUTH", "503 5.5.1 AUTH not available", sender.Misconfigured},
	{"AUTH", "334 !!! no base64", sender.Unavailable},
	{"AUTH", "535", sender.AccountDown},

	{"MAIL", "550 5.7.1 sender refused", sender.Misconfigured},
	{"MAIL", "553 5.1.8 no such domain", sender.Misconfigured},
	{"MAIL", "553 no", sender.Misconfigured},
	{"MAIL", "530 5.7.0 Must issue a STARTTLS command first", sender.Misconfigured},
	{"MAIL", "535 5.7.3 authentication unsuccessful", sender.AccountDown},
	{"MAIL", "550 5.4.5 Daily user sending limit exceeded", sender.AccountDown},
	{"MAIL", "552 5.3.4 too big", sender.Permanent},
	{"MAIL", "450 4.1.8 domain not found", sender.Unavailable},
	{"MAIL", "451 4.7.1 wait", sender.Throttled},
	{"MAIL", "451 local error", sender.Unavailable},
	{"MAIL", "452 4.3.1 insufficient storage, its limit", sender.Unavailable},
	{"MAIL", "421 4.7.28 unusual rate of mail", sender.Throttled},

	{"RCPT", "550 5.1.1 no such user", sender.Permanent},
	{"RCPT", "550 5.1.1 check the recipient's address; the sender is told", sender.Permanent},
	{"RCPT", "550 no", sender.Permanent},
	{"RCPT", "501 5.1.3 bad syntax", sender.Permanent},
	{"RCPT", "552 5.2.2 mailbox full", sender.Permanent},
	{"RCPT", "556 5.1.10 the domain takes no mail", sender.Permanent},
	{"RCPT", "550 5.4.1 Recipient address rejected: Access denied", sender.Permanent},
	{"RCPT", "554 5.7.1 <relay@example.com>: Recipient address rejected: Access denied", sender.Permanent},
	{"RCPT", "554 5.7.1 Relay access denied", sender.Misconfigured},
	{"RCPT", "550 5.7.54 Unable to relay recipient in non-accepted domain", sender.Misconfigured},
	{"RCPT", "550 relaying denied", sender.Misconfigured},
	{"RCPT", "553 5.7.1 Sender address rejected: not owned by user", sender.Misconfigured},
	{"RCPT", "550 5.7.1 no", sender.Misconfigured},
	{"RCPT", "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname", sender.Misconfigured},
	{"RCPT", "503 5.5.1 MAIL first", sender.Misconfigured},
	{"RCPT", "530 5.7.0 Authentication required", sender.Misconfigured},
	{"RCPT", "450 4.2.0 Greylisted", sender.Unavailable},
	{"RCPT", "451 4.7.1 try again later", sender.Unavailable},
	{"RCPT", "450 4.2.1 the user receives mail at a rate that prevents more", sender.RecipientLimited},
	{"RCPT", "452 4.2.2 over quota", sender.RecipientLimited},
	{"RCPT", "452 mailbox full", sender.RecipientLimited},
	{"RCPT", "452 4.5.3 too many recipients", sender.Throttled},
	{"RCPT", "450 4.7.1 Error: too much mail", sender.Throttled},
	{"RCPT", "421 4.4.2 bye", sender.Unavailable},

	{"DATA", "554 5.5.1 no valid recipients", sender.Permanent},
	{"DATA", "451 4.3.0 not now", sender.Unavailable},
	{"DATA", "250 what", sender.Unavailable},

	{"END", "552 5.3.4 too big", sender.Permanent},
	{"END", "554 5.7.1 spam", sender.Permanent},
	{"END", "550 5.7.1 policy", sender.Permanent},
	{"END", "550 5.7.26 unauthenticated mail", sender.Misconfigured},
	{"END", "550 5.7.60 not allowed to send as", sender.Misconfigured},
	{"END", "550 5.7.2 something", sender.Permanent}, // and not 5.7.26
	{"END", "550 5.4.5 Daily limit", sender.AccountDown},
	{"END", "451 4.3.0 queue file write error", sender.Unavailable},
	{"END", "452 4.2.2 full", sender.RecipientLimited},
	{"END", "454 Throttling failure: Maximum sending rate exceeded", sender.Throttled},
	{"END", "432 4.3.2 Concurrent connections limit exceeded", sender.Throttled},
	{"END", "421 4.3.2 closing", sender.Unavailable},
	{"END", "354 go on", sender.Unknown},
	{"END", "554", sender.Permanent},
	{"END", "what?", sender.Unknown},
	{"END", "2", sender.Unknown},
}

func TestAnswers(t *testing.T) {
	for _, c := range answers {
		t.Run(c.at+" "+c.reply, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, script{Replies: map[string]string{c.at: c.reply}})
			s := connector(t, at(srv))
			receipt, err := send(t, s)
			e := sendertest.Want(t, err, c.class)
			if e.Detail == "" {
				t.Errorf("the error has no detail: %v", e)
			}
			sendertest.Equal(t, "the receipt", receipt, sender.Receipt{})
			if reply, _, _ := strings.Cut(c.reply, " "); !strings.Contains(reply, "-") && len(reply) == 3 && reply >= "400" && !strings.HasPrefix(e.Code, reply) {
				t.Errorf("the code is %q", e.Code)
			}
			sendertest.Hides(t, err, to, code, pass)
			if n := srv.Count("MAIL"); n > 1 || len(srv.Mails) > 0 {
				t.Errorf("%d transactions, %d mails", n, len(srv.Mails))
			}
		})
	}
}

// TestAnySuccessIsOne: a success can have a code other than 250.
func TestAnySuccessIsOne(t *testing.T) {
	for reply, want := range map[string]string{
		"250 2.0.0 Ok: queued as 4XyZ12": "4XyZ12", "251 2.0.0 Ok: queued as B": "B", "250": "",
		"250-2.0.0 Ok:\r\n250 2.0.0 queued as C": "C",
	} {
		s := connector(t, at(serve(t, script{Replies: map[string]string{"END": reply}})))
		receipt, err := send(t, s)
		if err != nil {
			t.Errorf("%q: %v", reply, err)
		}
		sendertest.Equal(t, "the ProviderID after "+reply, receipt.ProviderID, want)
		sendertest.Equal(t, "the RequestID after "+reply, receipt.RequestID, "<01JDCT0000000000000000000A@example.com>")
	}
}
