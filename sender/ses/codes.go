package ses

import (
	"net/http"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/providertext"
)

// rule says what an error means.
type rule struct {
	// codes are the error's own; empty for every error with a status below 500.
	codes []string
	// says is a part of SES's own words in its message, in lower case; empty for every
	// message.
	says  string
	class sender.Class
	// scope is whom it speaks of.
	scope sender.Scope
	// advice is what a person must know in addition.
	advice string
}

const (
	clockAdvice  = "this machine's clock or the provider's is wrong"
	keyAdvice    = "the access key, its secret or the session token is wrong"
	rightAdvice  = "the access key may not do this"
	verifyAdvice = "the sender address or its domain is not verified in this region"
)

// rules is the catalogue of the errors of SendEmail and of the errors common to all of
// AWS (API reference: SendEmail, CommonErrors), with the messages from the developer
// guide's "Amazon SES email sending errors". The first that fits decides.
var rules = []rule{
	// By the message, whatever the code: SES has changed codes over the years.
	{says: "the following identities failed the check", class: sender.Misconfigured, scope: sender.ScopeConnector, advice: verifyAdvice},
	{says: "daily message quota exceeded", class: sender.AccountDown, scope: sender.ScopeAccount, advice: "the account's quota for 24 hours is used up"},
	{says: "sending rate exceeded", class: sender.Throttled, scope: sender.ScopeConnector},
	{says: "suppression list", class: sender.Permanent, scope: sender.ScopeRecipient},
	{says: "account is paused", class: sender.AccountDown, scope: sender.ScopeAccount},
	{says: "sending suspended for this account", class: sender.AccountDown, scope: sender.ScopeAccount},
	{says: "signature expired", class: sender.AccountDown, scope: sender.ScopeAccount, advice: clockAdvice},
	{says: "signature not yet current", class: sender.AccountDown, scope: sender.ScopeAccount, advice: clockAdvice},

	// SendEmail.
	{codes: []string{"TooManyRequestsException"}, class: sender.Throttled, scope: sender.ScopeConnector},
	{codes: []string{"LimitExceededException"}, class: sender.AccountDown, scope: sender.ScopeAccount},
	{codes: []string{"AccountSuspendedException"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: "the account may not send any more"},
	{codes: []string{"SendingPausedException"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: "the account's sending is paused"},
	{codes: []string{"MailFromDomainNotVerifiedException", "NotFoundException"}, class: sender.Misconfigured, scope: sender.ScopeConnector},
	{codes: []string{"MessageRejected"}, class: sender.Permanent, scope: sender.ScopeMessage},
	// The configuration is checked for From and the other settings, so a bad address is
	// the recipient's.
	{codes: []string{"BadRequestException"}, says: "configuration set", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{codes: []string{"BadRequestException"}, says: "identity arn", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{codes: []string{"BadRequestException"}, says: "arn:aws", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{codes: []string{"BadRequestException"}, says: "required header 'from'", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{codes: []string{"BadRequestException"}, says: "mail from", class: sender.Misconfigured, scope: sender.ScopeConnector},
	{codes: []string{"BadRequestException"}, class: sender.Permanent, scope: sender.ScopeMessage},
	{codes: []string{"InternalServiceErrorException", "ConcurrentModificationException"}, class: sender.Unknown, scope: sender.ScopeConnector},

	// Too fast.
	{
		codes: []string{
			"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
			"RequestThrottledException", "RequestLimitExceeded", "SlowDown",
		},
		class: sender.Throttled, scope: sender.ScopeConnector,
	},

	// The keys.
	{
		codes: []string{
			"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException",
			"IncompleteSignature", "IncompleteSignatureException",
		},
		class: sender.AccountDown, scope: sender.ScopeAccount, advice: keyAdvice,
	},
	{codes: []string{"ExpiredToken", "ExpiredTokenException"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: "the session token has expired"},
	{codes: []string{"MissingAuthenticationToken", "MissingAuthenticationTokenException"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: keyAdvice},
	{codes: []string{"AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: rightAdvice},
	{codes: []string{"OptInRequired", "SubscriptionRequiredException"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: "the account has not signed up for SES in this region"},
	{codes: []string{"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"}, class: sender.AccountDown, scope: sender.ScopeAccount, advice: clockAdvice},

	// The request itself.
	{codes: []string{"UnknownOperationException", "InvalidAction"}, class: sender.Misconfigured, scope: sender.ScopeConnector, advice: "the endpoint is not SES"},
	{
		codes: []string{
			"ValidationError", "ValidationException", "InvalidParameterValue", "InvalidParameterCombination",
			"MissingParameter", "MalformedHttpRequestException", "RequestEntityTooLargeException",
		},
		class: sender.Permanent, scope: sender.ScopeMessage,
	},
	{codes: []string{"RequestTimeoutException"}, class: sender.Unavailable, scope: sender.ScopeConnector, advice: "the provider could not read the request in time"},

	// It may have been accepted.
	{
		codes: []string{
			"RequestAbortedException", "InternalFailure", "InternalError", "InternalServerError",
			"InternalServerException", "ServiceUnavailable", "ServiceUnavailableException",
		},
		class: sender.Unknown, scope: sender.ScopeConnector,
	},
}

// classify returns what an error means. For an unknown code, the status decides: SES
// answers 4xx before anything is accepted.
func classify(code string, words providertext.Words, status int) rule {
	for _, r := range rules {
		fits := slices.Contains(r.codes, code) || r.codes == nil && status < http.StatusInternalServerError
		if fits && words.Say(r.says) {
			return r
		}
	}
	r := rule{class: sender.Unknown, scope: sender.ScopeConnector}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		r.class, r.scope = sender.AccountDown, sender.ScopeAccount
	case status == http.StatusTooManyRequests:
		r.class = sender.Throttled
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		r.class, r.scope = sender.Permanent, sender.ScopeMessage
	}
	return r
}

// apiError classes an error with a code of SES. m is nil if no message was sent.
func (c *connector) apiError(code, message string, status int, m *sender.Message) *sender.Error {
	r := classify(code, words(message, m), status)
	if r.advice == verifyAdvice && m != nil {
		r = c.unverified(r, message, m.To)
	}
	detail := c.redact(message, m)
	switch {
	case r.advice != "" && detail != "":
		detail = r.advice + ": " + detail
	case r.advice != "":
		detail = r.advice
	}
	e := &sender.Error{Class: r.class, Scope: r.scope, Code: code, Detail: detail}
	if r.advice == keyAdvice {
		e.Advice = "Check the connector's accessKeyId, accessKeySecret and sessionToken."
	}
	return e
}

// words returns SES's own words in one of its error messages.
func words(message string, m *sender.Message) providertext.Words {
	if m == nil {
		return providertext.Of(message, "")
	}
	return providertext.Of(message, m.To, m.Subject, m.FromAlias, m.Text, m.HTML)
}

// unverified sets the scope of a rule by the identities that failed. The recipient is
// removed first, so no part of it counts as our address. A list without our identities
// speaks of this message alone: SES cuts the list off, and a long recipient can fill it.
func (c *connector) unverified(r rule, message, recipient string) rule {
	rest, found := cutAll(failedList(message), recipient)
	switch {
	case c.anyOurs(identitiesIn(rest)):
		return r
	case found:
		r.class, r.scope, r.advice = sender.AccountDown, sender.ScopeRecipient, sandboxAdvice
	default:
		r.scope = sender.ScopeMessage
	}
	return r
}

// sandboxAdvice is for an account that may send to verified recipients only:
// nothing is wrong with the message, nor with the configuration.
const sandboxAdvice = "the account is still in the SES sandbox of this region; ask AWS for production access, or verify the recipient"

// anyOurs reports whether one of the identities is in the configuration.
func (c *connector) anyOurs(identities []string) bool {
	return slices.ContainsFunc(identities, func(id string) bool {
		for _, ours := range []string{c.from, c.feedback} {
			if ours != "" && (strings.EqualFold(id, ours) || strings.EqualFold(id, domain(ours))) {
				return true
			}
		}
		return false
	})
}

// domain returns an address's domain.
func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// failedList returns the addresses and domains at the end of a message such as
//
//	Email address is not verified. The following identities failed the check in region US-EAST-1: Example <a@example.com>, b@example.com
//
// with the names before them. SES can end the list with an ellipsis.
func failedList(message string) string {
	_, list, _ := cutFold(message, "failed the check")
	_, list, _ = strings.Cut(list, ":")
	return list
}

// identitiesIn returns a list's addresses and domains without the names before them.
func identitiesIn(list string) []string {
	ids := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;<>\"'", r) })
	for i, id := range ids {
		ids[i] = strings.TrimRight(id, ".…")
	}
	return ids
}

// cutAll removes an address from a list if it is a whole word there, whatever its case.
func cutAll(list, address string) (rest string, found bool) {
	around := func(r byte) bool { return strings.IndexByte(" \t\r\n,;<>\"'.", r) >= 0 }
	for i := 0; i+len(address) <= len(list) && address != ""; {
		end := i + len(address)
		byItself := (i == 0 || around(list[i-1])) && (end == len(list) || around(list[end]) || strings.HasPrefix(list[end:], "…"))
		if byItself && strings.EqualFold(list[i:end], address) {
			list, found = list[:i]+list[end:], true
			continue
		}
		i++
	}
	return list, found
}

// cutFold is strings.Cut without regard to case. sep is in lower-case ASCII.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}
