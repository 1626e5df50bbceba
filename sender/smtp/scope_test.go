package smtp_test

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/smtp"
)

// scopes are servers' replies, by whom they speak of.
var scopes = map[sender.Scope][]struct {
	at, reply string
	class     sender.Class
}{
	sender.ScopeRecipient: {
		{"RCPT", "450 4.1.2 <" + to + ">: Recipient address rejected: Domain not found", sender.Unavailable},
		{"RCPT", "450 4.1.1 <" + to + ">: Recipient address rejected: unverified address: connect to mx.example.net[192.0.2.1]:25: Connection timed out", sender.Unavailable},
		{"RCPT", "450 4.1.1 <" + to + ">: Recipient address rejected: unverified address: host mx.example.net[192.0.2.1] said: 450 4.7.1 too many connections, rate limited", sender.Unavailable},
		{"RCPT", "450 4.2.0 <" + to + ">: Recipient address rejected: Greylisted", sender.Unavailable},
		{"RCPT", "451 4.7.1 Greylisting in action, please come back later", sender.Unavailable},
		{"RCPT", "451 Graylisted, try again", sender.Unavailable},
		{"RCPT", "450 try again later", sender.Unavailable},
		{"RCPT", "451 Temporary local problem - please try later", sender.Unavailable},
		{"RCPT", "452 try later", sender.Unavailable},
		{"RCPT", "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages", sender.RecipientLimited},
		{"RCPT", "452 4.2.2 The email account that you tried to reach is over quota", sender.RecipientLimited},
		{"RCPT", "452 mailbox full", sender.RecipientLimited},
		{"RCPT", "452 quota exceeded", sender.RecipientLimited},
		{"RCPT", "550 5.1.1 no such user", sender.Permanent},
		{"RCPT", "550 no", sender.Permanent},
		{"RCPT", "550 5.2.1 disabled", sender.Permanent},
		{"RCPT", "552 5.2.2 mailbox full", sender.Permanent},
		{"RCPT", "554 5.7.1 <" + to + ">: Recipient address rejected: Access denied", sender.Permanent},
		{"RCPT", "550 5.7.133 sender not authenticated for group", sender.Permanent},
		{"RCPT", "550-Callout verification failed:\n550 550 5.7.1 relay access denied, authentication required", sender.Permanent},
		{"DATA", "450 4.2.0 not now", sender.Unavailable},
		{"END", "452 4.2.2 full", sender.RecipientLimited},
		{"END", "450 4.1.1 not now", sender.Unavailable},
		{"END", "550 5.1.1 no such user", sender.Permanent},
		{"END", "550 5.2.2 full", sender.Permanent},
	},
	sender.ScopeDomain: {
		{"RCPT", "450 4.4.1 can't connect to example.org", sender.Unavailable},
		{"RCPT", "451 4.7.1 try again later", sender.Unavailable},
		{"RCPT", "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.7]", sender.Unavailable},
		{"RCPT", "451 4.3.0 <" + to + ">: Temporary lookup failure", sender.Unavailable},
		{"RCPT", "450 4.7.1 Error: too much mail", sender.Throttled},
		{"RCPT", "451 rate limited", sender.Throttled},
		{"RCPT", "452 4.5.3 too many recipients", sender.Throttled},
		{"RCPT", "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using bl.example.net", sender.Misconfigured},
		{"RCPT", "550 Client host rejected", sender.Misconfigured},
		{"RCPT", "550 5.7.1 The sender is on our list", sender.Misconfigured},
		{"RCPT", "550 5.7.1 no", sender.Misconfigured},
		{"RCPT", "550 5.7.26 unauthenticated mail", sender.Misconfigured},
		{"DATA", "450 4.7.1 policy", sender.Unavailable},
		{"END", "450 4.7.1 policy", sender.Unavailable},
		{"END", "451 not now", sender.Unavailable},
		{"END", "451 4.4.4 unable to route", sender.Unavailable},
		{"END", "451 rate limit exceeded", sender.Throttled},
		{"RCPT", "454 4.7.1 <" + to + ">: Relay access denied", sender.Misconfigured},
		{"RCPT", "554 5.7.1 <" + to + ">: Relay access denied", sender.Misconfigured},
		{"RCPT", "550 5.7.54 Unable to relay recipient in non-accepted domain", sender.Misconfigured},
		{"RCPT", "550 Callback setup failed while verifying <no-reply@example.com>: 554 relay not permitted", sender.Misconfigured},
		{"END", "550 5.7.26 unauthenticated mail", sender.Misconfigured},
		{"END", "550 5.7.23 SPF", sender.Misconfigured},
	},
	sender.ScopeMessage: {
		{"MAIL", "552 5.3.4 too big", sender.Permanent},
		{"END", "552 5.3.4 too big", sender.Permanent},
		{"END", "554 5.7.1 spam", sender.Permanent},
		{"END", "550 5.7.1 policy", sender.Permanent},
	},
	sender.ScopeConnector: {
		{"GREETING", "554 5.7.1 you are on a list", sender.Unavailable},
		{"EHLO", "451 4.7.0 rate limited", sender.Throttled},
		{"AUTH", "454 4.7.0 not now", sender.Unavailable},
		{"AUTH", "504 5.5.4 unknown mechanism", sender.Misconfigured},
		{"MAIL", "450 4.1.8 domain not found", sender.Unavailable},
		{"MAIL", "451 4.7.1 wait", sender.Throttled},
		{"MAIL", "452 4.3.1 insufficient storage", sender.Unavailable},
		{"MAIL", "550 5.7.1 sender refused", sender.Misconfigured},
		{"RCPT", "421 4.7.0 too many connections", sender.Throttled},
		{"RCPT", "421 4.3.2 closing", sender.Unavailable},
		{"RCPT", "452 4.3.1 Insufficient system storage, its limit", sender.Unavailable},
		{"RCPT", "450 4.1.8 <no-reply@example.com>: Sender address rejected: Domain not found", sender.Unavailable},
		{"RCPT", "550 5.1.8 <no-reply@example.com>: Sender address rejected: Domain not found", sender.Misconfigured},
		{"RCPT", "553 5.7.1 <no-reply@example.com>: Sender address rejected: not owned by user x", sender.Misconfigured},
		{"RCPT", "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname", sender.Misconfigured},
		{"RCPT", "530 5.7.0 Authentication required", sender.Misconfigured},
		{"RCPT", "503 5.5.1 MAIL first", sender.Misconfigured},
		{"END", "421 4.7.28 unusual rate of mail", sender.Throttled},
		{"END", "451 4.3.0 queue file write error", sender.Unavailable},
		{"END", "454 Throttling failure: Maximum sending rate exceeded", sender.Throttled},
		{"END", "432 4.3.2 Concurrent connections limit exceeded", sender.Throttled},
		{"END", "550 5.7.60 not allowed to send as", sender.Misconfigured},
	},
	sender.ScopeAccount: {
		{"AUTH", "535 5.7.8 bad credentials", sender.AccountDown},
		{"AUTH", "432 4.7.12 a password transition is needed", sender.AccountDown},
		{"MAIL", "550 5.4.5 Daily user sending limit exceeded", sender.AccountDown},
		{"END", "550 5.4.5 Daily limit", sender.AccountDown},
		{"RCPT", "535 5.7.3 authentication unsuccessful", sender.AccountDown},
	},
}

// refused returns the error that a reply gives a message. A \n in the reply separates its
// lines.
func refused(at, reply string, m *sender.Message) *sender.Error {
	code, _ := strconv.Atoi(reply[:3])
	lines := strings.Split(reply, "\n")
	for i, line := range lines {
		lines[i] = line[min(4, len(line)):]
	}
	return smtp.Refused(at, code, strings.Join(lines, "\n"), m)
}

func TestScopes(t *testing.T) {
	for scope, replies := range scopes {
		for _, r := range replies {
			e := refused(r.at, r.reply, secret())
			if e.Class != r.class || e.Scope != scope {
				t.Errorf("%s: %q is %v of the %v, want %v of the %v", r.at, r.reply, e.Class, e.Scope, r.class, scope)
			}
		}
	}
}

// TestNoReply: a server that is silent at RCPT may be waiting for the recipient's server.
func TestNoReply(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name, at string
		ctx      context.Context
		err      error
		class    sender.Class
		scope    sender.Scope
	}{
		{"cut", "MAIL", t.Context(), io.EOF, sender.Unavailable, sender.ScopeConnector},
		{"cut", "RCPT", t.Context(), io.EOF, sender.Unavailable, sender.ScopeDomain},
		{"late", "RCPT", t.Context(), os.ErrDeadlineExceeded, sender.Unavailable, sender.ScopeDomain},
		{"cut", "DATA", t.Context(), io.EOF, sender.Unavailable, sender.ScopeConnector},
		{"cut", "END", t.Context(), io.EOF, sender.Unknown, sender.ScopeConnector},
		{"called off", "MAIL", canceled, io.EOF, sender.Unavailable, sender.ScopeMessage},
		{"called off", "END", canceled, io.EOF, sender.Unknown, sender.ScopeConnector},
	} {
		if e := smtp.Broken(c.ctx, c.at, c.err); e.Class != c.class || e.Scope != c.scope {
			t.Errorf("%s at %s is %v of the %v, want %v of the %v", c.name, c.at, e.Class, e.Scope, c.class, c.scope)
		}
	}
}

// recipients are addresses that look like servers' replies.
var recipients = []string{
	"relay-limit@too-many.example", "rate@limit.example", "too.many@slow-down.example", "quota@exceed.example", "mailbox@full.example",
	"sender@client-host.example", "relay@relay.example", "helo@authenticat.example", "user@recipient.example", "greylist@graylist.example",
	`"too many"@example.org`, `"relay access denied"@example.org`, `"client host \"x\" sender"@example.org`, "said@verified.example",
	"rate@bücher-limit.example", "limit@xn--bcher-limit-thb.example", "421@4.7.1.example", "starttls@send-as.owned-by.example",
}

// spelled returns the ways in which a server can repeat a recipient. n varies what encloses each.
func spelled(recipient string, n int) []string {
	at := strings.LastIndexByte(recipient, '@')
	local, domain := recipient[:at], recipient[at+1:]
	words := []string{recipient, strings.ToUpper(recipient), local, strings.Trim(local, `"`), domain, "mx1." + domain, "postmaster@" + domain}
	for i, w := range words {
		words[i] = []string{w, "<" + w + ">", "'" + w + "'", `"` + w + `"`, "<" + w + ">:"}[(n+i)%5]
	}
	return words
}

// inserted returns reply with a word between two of its words, or after them, but not
// before the status.
func inserted(reply, word string, where int) string {
	words := strings.Fields(reply)
	first := 1
	if len(words) > 1 && strings.Count(words[1], ".") == 2 {
		first = 2
	}
	i := min(first, len(words))
	i += where % (len(words) - i + 1)
	return strings.Join(words[:i], " ") + " " + word + " " + strings.Join(words[i:], " ")
}

// TestTheRecipientDecidesNothing: text of the recipient that a server repeats does not
// change the meaning of its reply.
func TestTheRecipientDecidesNothing(t *testing.T) {
	t.Parallel()
	where := 0
	for scope, replies := range scopes {
		for _, r := range replies {
			for _, recipient := range recipients {
				if strings.ContainsAny(r.reply, "\n") || strings.Contains(r.reply, to) {
					continue
				}
				m := &sender.Message{To: recipient}
				plain := refused(r.at, r.reply, m)
				if plain.Scope > scope {
					t.Errorf("%s: %q to %s speaks of the %v, and of the %v to others", r.at, r.reply, recipient, plain.Scope, scope)
				}
				for _, word := range spelled(recipient, where) {
					where++
					text := inserted(r.reply, word, where)
					if e := refused(r.at, text, m); e.Class != plain.Class || e.Scope != plain.Scope {
						t.Errorf("%s: %q is %v of the %v, without the recipient %v of the %v", r.at, text, e.Class, e.Scope, plain.Class, plain.Scope)
					}
				}
			}
		}
	}
}

// TestTheMailDecidesNothing: a server that has read the mail can repeat its text.
func TestTheMailDecidesNothing(t *testing.T) {
	m := &sender.Message{
		To: to, Subject: "Rate limit", FromAlias: "Slow Down Inc.",
		Text: "Dear too fast, your quota\nis throttled.", HTML: "<p>Dear too fast, your quota is <b>throttled</b></p>",
	}
	for _, said := range []string{"rate limit", "Slow down", "QUOTA", "throttled", "too fast", m.Subject} {
		for reply, class := range map[string]sender.Class{"451": sender.Unavailable, "450 4.7.1": sender.Unavailable, "421 4.3.2": sender.Unavailable, "554 5.7.1": sender.Permanent} {
			text := reply + " not taken because of '" + said + "' in it"
			want := refused("END", reply+" not taken", m)
			if e := refused("END", text, m); e.Class != class || e.Class != want.Class || e.Scope != want.Scope {
				t.Errorf("%q is %v of the %v, want %v of the %v", text, e.Class, e.Scope, want.Class, want.Scope)
			}
		}
	}
	if e := refused("END", "451 too many", m); e.Class != sender.Throttled {
		t.Errorf("a word that is not in the mail did not count as the server's own: %v", e)
	}
}

// FuzzTheRecipientDecidesNothing: any reply means the same with and without the recipient
// in it.
func FuzzTheRecipientDecidesNothing(f *testing.F) {
	for i, recipient := range recipients {
		f.Add(450+i, "4.7.1 not now, "+recipient+" rate", recipient, i)
		f.Add(550+i, "relay sender", recipient, i+1)
		f.Add(450, "4.1.2 Recipient address rejected: Domain not found", recipient, i)
	}
	f.Fuzz(func(t *testing.T, code int, text, recipient string, where int) {
		code = 400 + abs(code)%200
		words := strings.Fields(text)
		at := strings.LastIndexByte(recipient, '@')
		if len(words) == 0 || at < 1 || at == len(recipient)-1 || len(strings.Fields(recipient)) != 1 {
			return
		}
		i := 1 + abs(where)%len(words)
		m := &sender.Message{To: recipient}
		for _, stage := range []string{"MAIL", "RCPT", "DATA", "END"} {
			without := smtp.Refused(stage, code, strings.Join(words, " "), m)
			for _, said := range []string{recipient, "<" + recipient + ">", recipient[at+1:]} {
				with := smtp.Refused(stage, code, strings.Join(words[:i], " ")+" "+said+" "+strings.Join(words[i:], " "), m)
				if with.Class != without.Class || with.Scope != without.Scope {
					t.Fatalf("%s: %d %q at word %d of %q: %v of the %v, without %v of the %v", stage, code, said, i, words, with.Class, with.Scope, without.Class, without.Scope)
				}
			}
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}
