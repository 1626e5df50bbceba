package sendgrid

import (
	"net/http"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// SendGrid has no error codes: an answer is known by its status, the field that it
// is about and its words. The codes here are ours, a word for each.
const codeNoScope = "no-scope"

// entry is one kind of refusal. What it leaves empty fits everything.
type entry struct {
	// status is the answer's.
	status int
	// field is the field that the error is about, or what its name begins with up to
	// a dot.
	field string
	// words are some of the message, in lower case.
	words string

	class sender.Class
	code  string
}

// catalogue is every refusal that is known, from "Errors" and "Rate Limits" of
// SendGrid's API reference, its support's article on 4XX API errors and issues of
// its libraries. The first entry that fits decides. An error of a server (5xx) is
// in none: the mail may have been accepted.
var catalogue = []entry{
	// The account. Some of these have come with 401 and with 403.
	{status: 401, words: "maximum credits exceeded", class: sender.AccountDown, code: "no-credits"},
	{status: 403, words: "maximum credits exceeded", class: sender.AccountDown, code: "no-credits"},
	{status: 401, words: "messaging limits", class: sender.AccountDown, code: "no-credits"},
	{status: 403, words: "messaging limits", class: sender.AccountDown, code: "no-credits"},
	{status: 401, words: "authorization grant is invalid", class: sender.AccountDown, code: "bad-key"},
	{status: 401, words: "wrong credentials", class: sender.AccountDown, code: "bad-key"},
	{status: 401, words: "not authorized to send mail", class: sender.AccountDown, code: codeNoScope},
	{status: 401, words: "not whitelisted", class: sender.AccountDown, code: "ip-not-allowed"},
	{status: 403, words: "not whitelisted", class: sender.AccountDown, code: "ip-not-allowed"},
	{status: 401, class: sender.AccountDown, code: "unauthorized"},

	// The sender address is none of the account's.
	{status: 403, field: "from", class: sender.Misconfigured, code: "unverified-sender"},
	{status: 403, words: "verified sender identity", class: sender.Misconfigured, code: "unverified-sender"},
	// "You are temporarily blocked from sending emails due to repeated bad requests":
	// it passes, and fewer requests make it pass.
	{status: 403, words: "temporarily blocked", class: sender.Throttled, code: "blocked"},
	{status: 403, words: "too many bad requests", class: sender.Throttled, code: "blocked"},
	{status: 403, words: "access forbidden", class: sender.AccountDown, code: codeNoScope},
	// An account under review, suspended, banned; the words vary.
	{status: 403, class: sender.AccountDown, code: "forbidden"},

	// The request. What is the configuration's is wrong for every message.
	{status: 400, field: "personalizations", class: sender.Permanent, code: "bad-recipient"},
	{status: 400, field: "from.name", class: sender.Permanent, code: "bad-from-name"}, // it may hold what the payload gave
	{status: 400, field: "from", class: sender.Misconfigured, code: "bad-sender"},
	{status: 400, field: "reply_to", class: sender.Misconfigured, code: "bad-reply-to"},
	{status: 400, field: "tracking_settings", class: sender.Misconfigured, code: "bad-settings"},
	{status: 400, field: "mail_settings", class: sender.Misconfigured, code: "bad-settings"},
	{status: 400, field: "subject", class: sender.Permanent, code: "bad-subject"},
	{status: 400, field: "content", class: sender.Permanent, code: "bad-content"},
	{status: 400, field: "custom_args", class: sender.Permanent, code: "bad-id"},
	{status: 400, words: "suppress", class: sender.Permanent, code: "suppressed"},
	{status: 400, class: sender.Permanent, code: "bad-request"},

	// The endpoint is not SendGrid's, something on the way alters requests, or the
	// account is in another region: api.eu.sendgrid.com.
	{status: 404, class: sender.Misconfigured, code: "not-found"},
	{status: 405, class: sender.Misconfigured, code: "method-not-allowed"},
	{status: 406, class: sender.Misconfigured, code: "not-acceptable"},
	{status: 415, class: sender.Misconfigured, code: "bad-media-type"},
	{status: 451, class: sender.Misconfigured, code: "wrong-region"},

	{status: 413, class: sender.Permanent, code: "too-large"},
	{status: 429, class: sender.Throttled, code: "too-many-requests"},
	{status: 408, class: sender.Unknown, code: "request-timeout"},
}

// bare are the statuses that need no error beside them to be understood: whoever
// gives them has not passed the request on.
var bare = []int{http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}

// other is a refusal (4xx) that nobody knows.
var other = entry{class: sender.Permanent, code: "refused"}

// classify returns the entry for an answer that is no success, and the error that
// decided; nil where the answer leaves in doubt what became of the mail. Of several
// errors the first one that is about something decides: "Bad Request" may stand
// before it.
func classify(status int, faults []fault) (*entry, fault) {
	if status < 400 || status > 499 || len(faults) == 0 && !slices.Contains(bare, status) {
		return nil, fault{}
	}
	if len(faults) == 0 {
		faults = []fault{{}}
	}
	for _, general := range []bool{false, true} {
		for _, f := range faults {
			for i := range catalogue {
				if e := &catalogue[i]; e.general() == general && e.fits(status, f) {
					return e, f
				}
			}
		}
	}
	return &other, faults[0]
}

// general tells whether the entry fits every error of its status.
func (e *entry) general() bool { return e.field == "" && e.words == "" }

func (e *entry) fits(status int, f fault) bool {
	return status == e.status &&
		(e.field == "" || f.field == e.field || strings.HasPrefix(f.field, e.field+".")) &&
		strings.Contains(strings.ToLower(f.message), e.words)
}
