package sendgrid

import (
	"net/http"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/providertext"
)

// SendGrid has no error codes. An answer is identified by its status, the field that it
// names, and its text. The codes here are our own.
const (
	codeNoScope      = "no-scope"
	codeBadKey       = "bad-key"
	codeUnauthorized = "unauthorized"
)

// entry is one kind of refusal. An empty field fits everything.
type entry struct {
	// status is the answer's.
	status int
	// field is the field that the error names, or the beginning of its name up to a dot.
	field string
	// words are a part of SendGrid's own text, in lower case.
	words string

	class sender.Class
	// scope is whom it speaks of.
	scope sender.Scope
	code  string
}

// catalogue holds every known refusal, from "Errors" and "Rate Limits" of SendGrid's API
// reference, its support article on 4XX API errors, and issues of its libraries. The
// first entry that fits decides. Server errors (5xx) are not in it: the mail may have
// been accepted.
var catalogue = []entry{
	// The account. Some of these occur with both 401 and 403.
	{status: 401, words: "maximum credits exceeded", class: sender.AccountDown, scope: sender.ScopeAccount, code: "no-credits"},
	{status: 403, words: "maximum credits exceeded", class: sender.AccountDown, scope: sender.ScopeAccount, code: "no-credits"},
	{status: 401, words: "messaging limits", class: sender.AccountDown, scope: sender.ScopeAccount, code: "no-credits"},
	{status: 403, words: "messaging limits", class: sender.AccountDown, scope: sender.ScopeAccount, code: "no-credits"},
	{status: 401, words: "authorization grant is invalid", class: sender.AccountDown, scope: sender.ScopeAccount, code: codeBadKey},
	{status: 401, words: "wrong credentials", class: sender.AccountDown, scope: sender.ScopeAccount, code: codeBadKey},
	{status: 401, words: "not authorized to send mail", class: sender.AccountDown, scope: sender.ScopeAccount, code: codeNoScope},
	{status: 401, words: "not whitelisted", class: sender.AccountDown, scope: sender.ScopeAccount, code: "ip-not-allowed"},
	{status: 403, words: "not whitelisted", class: sender.AccountDown, scope: sender.ScopeAccount, code: "ip-not-allowed"},
	{status: 401, class: sender.AccountDown, scope: sender.ScopeAccount, code: codeUnauthorized},

	// The account does not have the sender address.
	{status: 403, field: "from", class: sender.Misconfigured, scope: sender.ScopeConnector, code: "unverified-sender"},
	{status: 403, words: "verified sender identity", class: sender.Misconfigured, scope: sender.ScopeConnector, code: "unverified-sender"},
	// "You are temporarily blocked from sending emails due to repeated bad requests": the
	// block ends by itself, and sooner with fewer requests.
	{status: 403, words: "temporarily blocked", class: sender.Throttled, scope: sender.ScopeConnector, code: "blocked"},
	{status: 403, words: "too many bad requests", class: sender.Throttled, scope: sender.ScopeConnector, code: "blocked"},
	{status: 403, words: "access forbidden", class: sender.AccountDown, scope: sender.ScopeAccount, code: codeNoScope},
	// An account under review, suspended, banned; the words vary.
	{status: 403, class: sender.AccountDown, scope: sender.ScopeAccount, code: "forbidden"},

	// The request. If a part from the configuration is wrong, it is wrong for every
	// message.
	{status: 400, field: "personalizations.0.to", class: sender.Permanent, scope: sender.ScopeRecipient, code: "bad-recipient"},
	{status: 400, field: "personalizations", class: sender.Permanent, scope: sender.ScopeMessage, code: "bad-recipient"},
	{status: 400, field: "from.name", class: sender.Permanent, scope: sender.ScopeMessage, code: "bad-from-name"}, // it can hold values of the payload
	{status: 400, field: "from", class: sender.Misconfigured, scope: sender.ScopeConnector, code: "bad-sender"},
	{status: 400, field: "template_id", class: sender.Misconfigured, scope: sender.ScopeTemplate, code: "bad-template"},
	{status: 400, field: "reply_to", class: sender.Misconfigured, scope: sender.ScopeConnector, code: "bad-reply-to"},
	{status: 400, field: "tracking_settings", class: sender.Misconfigured, scope: sender.ScopeConnector, code: "bad-settings"},
	{status: 400, field: "mail_settings", class: sender.Misconfigured, scope: sender.ScopeConnector, code: "bad-settings"},
	{status: 400, field: "subject", class: sender.Permanent, scope: sender.ScopeMessage, code: "bad-subject"},
	{status: 400, field: "content", class: sender.Permanent, scope: sender.ScopeMessage, code: "bad-content"},
	{status: 400, field: "custom_args", class: sender.Permanent, scope: sender.ScopeMessage, code: "bad-id"},
	{status: 400, words: "suppress", class: sender.Permanent, scope: sender.ScopeRecipient, code: "suppressed"},
	{status: 400, class: sender.Permanent, scope: sender.ScopeMessage, code: "bad-request"},

	// The endpoint is not SendGrid's, a proxy alters requests, or the account is in
	// another region: api.eu.sendgrid.com.
	{status: 404, class: sender.Misconfigured, scope: sender.ScopeConnector, code: "not-found"},
	{status: 405, class: sender.Misconfigured, scope: sender.ScopeConnector, code: "method-not-allowed"},
	{status: 406, class: sender.Misconfigured, scope: sender.ScopeConnector, code: "not-acceptable"},
	{status: 415, class: sender.Misconfigured, scope: sender.ScopeConnector, code: "bad-media-type"},
	{status: 451, class: sender.Misconfigured, scope: sender.ScopeConnector, code: "wrong-region"},

	{status: 413, class: sender.Permanent, scope: sender.ScopeMessage, code: "too-large"},
	{status: 429, class: sender.Throttled, scope: sender.ScopeConnector, code: "too-many-requests"},
	{status: 408, class: sender.Unknown, scope: sender.ScopeConnector, code: "request-timeout"},
}

// bare are the statuses that are clear without an error in the body: a server that
// answers with them has not passed the request on.
var bare = []int{http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}

// other is an unknown refusal (4xx).
var other = entry{class: sender.Permanent, scope: sender.ScopeMessage, code: "refused"}

// classify returns the entry for a failed answer, and the error that decided; nil if the
// answer is doubt. If there are several errors, the first specific one decides: "Bad
// Request" can come before it.
func classify(status int, faults []fault, p private) (*entry, fault) {
	if status < 400 || status > 499 || len(faults) == 0 && !slices.Contains(bare, status) {
		return nil, fault{}
	}
	if len(faults) == 0 {
		faults = []fault{{}}
	}
	for _, general := range []bool{false, true} {
		for _, f := range faults {
			words := p.words(f.message)
			for i := range catalogue {
				if e := &catalogue[i]; e.general() == general && e.fits(status, f.field, words) {
					return e, f
				}
			}
		}
	}
	return &other, faults[0]
}

// general reports whether the entry fits every error of its status.
func (e *entry) general() bool { return e.field == "" && e.words == "" }

func (e *entry) fits(status int, field string, words providertext.Words) bool {
	return status == e.status &&
		(e.field == "" || field == e.field || strings.HasPrefix(field, e.field+".")) &&
		words.Say(e.words)
}
