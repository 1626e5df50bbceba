package ses

import (
	"net/http"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// rule says what an error means.
type rule struct {
	// code is the error's own; empty for whatever comes with a status below 500.
	code string
	// says is a part of its message, in lower case; empty for every message.
	says  string
	class sender.Class
	// advice is what a person has to know besides.
	advice string
}

const (
	clockAdvice  = "this machine's clock or the provider's is wrong"
	keyAdvice    = "the access key, its secret or the session token is wrong"
	rightAdvice  = "the access key may not do this"
	verifyAdvice = "the sender address or its domain is not verified in this region"
)

// rules is the catalogue of errors of SendEmail and those that all of AWS has in
// common (API reference: SendEmail, CommonErrors), with the messages of the
// developer guide's "Amazon SES email sending errors". The first that fits
// decides.
var rules = []rule{
	// What the message says, whatever the code: SES has changed codes over the years.
	{"", "the following identities failed the check", sender.Misconfigured, verifyAdvice},
	{"", "daily message quota exceeded", sender.AccountDown, "the account's quota for 24 hours is used up"},
	{"", "sending rate exceeded", sender.Throttled, ""},
	{"", "suppression list", sender.Permanent, ""},
	{"", "account is paused", sender.AccountDown, ""},
	{"", "sending suspended for this account", sender.AccountDown, ""},
	{"", "signature expired", sender.AccountDown, clockAdvice},
	{"", "signature not yet current", sender.AccountDown, clockAdvice},

	// SendEmail.
	{"TooManyRequestsException", "", sender.Throttled, ""},
	{"LimitExceededException", "", sender.AccountDown, ""},
	{"AccountSuspendedException", "", sender.AccountDown, "the account may not send any more"},
	{"SendingPausedException", "", sender.AccountDown, "the account's sending is paused"},
	{"MailFromDomainNotVerifiedException", "", sender.Misconfigured, ""},
	{"NotFoundException", "", sender.Misconfigured, ""},
	{"MessageRejected", "", sender.Permanent, ""},
	// Its From and its settings are the configuration's, so that a bad address is
	// the recipient's.
	{"BadRequestException", "configuration set", sender.Misconfigured, ""},
	{"BadRequestException", "identity arn", sender.Misconfigured, ""},
	{"BadRequestException", "arn:aws", sender.Misconfigured, ""},
	{"BadRequestException", "required header 'from'", sender.Misconfigured, ""},
	{"BadRequestException", "mail from", sender.Misconfigured, ""},
	{"BadRequestException", "", sender.Permanent, ""},
	{"InternalServiceErrorException", "", sender.Unknown, ""},
	{"ConcurrentModificationException", "", sender.Unknown, ""},

	// Too fast.
	{"Throttling", "", sender.Throttled, ""},
	{"ThrottlingException", "", sender.Throttled, ""},
	{"ThrottledException", "", sender.Throttled, ""},
	{"RequestThrottled", "", sender.Throttled, ""},
	{"RequestThrottledException", "", sender.Throttled, ""},
	{"RequestLimitExceeded", "", sender.Throttled, ""},
	{"SlowDown", "", sender.Throttled, ""},

	// The keys.
	{"InvalidClientTokenId", "", sender.AccountDown, keyAdvice},
	{"UnrecognizedClientException", "", sender.AccountDown, keyAdvice},
	{"SignatureDoesNotMatch", "", sender.AccountDown, keyAdvice},
	{"InvalidSignatureException", "", sender.AccountDown, keyAdvice},
	{"IncompleteSignature", "", sender.AccountDown, keyAdvice},
	{"IncompleteSignatureException", "", sender.AccountDown, keyAdvice},
	{"ExpiredToken", "", sender.AccountDown, "the session token is over"},
	{"ExpiredTokenException", "", sender.AccountDown, "the session token is over"},
	{"MissingAuthenticationToken", "", sender.AccountDown, keyAdvice},
	{"MissingAuthenticationTokenException", "", sender.AccountDown, keyAdvice},
	{"AccessDenied", "", sender.AccountDown, rightAdvice},
	{"AccessDeniedException", "", sender.AccountDown, rightAdvice},
	{"NotAuthorized", "", sender.AccountDown, rightAdvice},
	{"UnauthorizedOperation", "", sender.AccountDown, rightAdvice},
	{"OptInRequired", "", sender.AccountDown, "the account has not signed up for SES in this region"},
	{"SubscriptionRequiredException", "", sender.AccountDown, "the account has not signed up for SES in this region"},
	{"RequestExpired", "", sender.AccountDown, clockAdvice},
	{"RequestTimeTooSkewed", "", sender.AccountDown, clockAdvice},
	{"RequestInTheFuture", "", sender.AccountDown, clockAdvice},

	// The request itself.
	{"UnknownOperationException", "", sender.Misconfigured, "the endpoint is not that of SES"},
	{"InvalidAction", "", sender.Misconfigured, "the endpoint is not that of SES"},
	{"ValidationError", "", sender.Permanent, ""},
	{"ValidationException", "", sender.Permanent, ""},
	{"InvalidParameterValue", "", sender.Permanent, ""},
	{"InvalidParameterCombination", "", sender.Permanent, ""},
	{"MissingParameter", "", sender.Permanent, ""},
	{"MalformedHttpRequestException", "", sender.Permanent, ""},
	{"RequestEntityTooLargeException", "", sender.Permanent, ""},
	{"RequestTimeoutException", "", sender.Unavailable, "the provider could not read the request in time"},

	// It may have been accepted.
	{"RequestAbortedException", "", sender.Unknown, ""},
	{"InternalFailure", "", sender.Unknown, ""},
	{"InternalError", "", sender.Unknown, ""},
	{"InternalServerError", "", sender.Unknown, ""},
	{"InternalServerException", "", sender.Unknown, ""},
	{"ServiceUnavailable", "", sender.Unknown, ""},
	{"ServiceUnavailableException", "", sender.Unknown, ""},
}

// classify returns what an error means. A code that no one knows goes by its
// status: SES answers 4xx before anything is accepted.
func classify(code, message string, status int) rule {
	message = strings.ToLower(message)
	for _, r := range rules {
		fits := r.code == code || r.code == "" && status < http.StatusInternalServerError
		if fits && strings.Contains(message, r.says) {
			return r
		}
	}
	r := rule{code: code, class: sender.Unknown}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		r.class = sender.AccountDown
	case status == http.StatusTooManyRequests:
		r.class = sender.Throttled
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		r.class = sender.Permanent
	}
	return r
}

// apiError classes an error that SES has given a code. m is nil where no message
// was sent.
func (c *connector) apiError(code, message string, status int, m *sender.Message) *sender.Error {
	r := classify(code, message, status)
	if r.advice == verifyAdvice && m != nil {
		failed := failedIdentities(message)
		if !c.anyOurs(failed) && slices.ContainsFunc(failed, func(id string) bool { return strings.EqualFold(id, m.To) }) {
			r.class, r.advice = sender.AccountDown, sandboxAdvice
		}
	}
	detail := c.clean(message, m)
	switch {
	case r.advice != "" && detail != "":
		detail = r.advice + ": " + detail
	case r.advice != "":
		detail = r.advice
	}
	return &sender.Error{Class: r.class, Code: code, Detail: detail}
}

// sandboxAdvice is for an account that may send to verified recipients only:
// nothing is wrong with the message, nor with the configuration.
const sandboxAdvice = "the account is still in the SES sandbox of this region; ask AWS for production access, or verify the recipient"

// anyOurs tells whether one of the identities is the configuration's own.
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

// failedIdentities returns the addresses and domains in a message such as
//
//	Email address is not verified. The following identities failed the check in region US-EAST-1: Example <a@example.com>, b@example.com
//
// without the names before them; SES may cut the list off by an ellipsis.
func failedIdentities(message string) []string {
	_, list, ok := cutFold(message, "failed the check")
	if !ok {
		return nil
	}
	if _, list, ok = strings.Cut(list, ":"); !ok {
		return nil
	}
	ids := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t\r\n,;<>\"'", r) })
	for i, id := range ids {
		ids[i] = strings.TrimRight(id, ".…")
	}
	return ids
}

// cutFold is strings.Cut whatever the case of sep, which is in lower-case ASCII.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}
