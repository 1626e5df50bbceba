package aliyun

import (
	"net/http"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// codes is the catalogue of error codes of DirectMail, SMS, phone number
// verification (Dypnsapi) and the gateway in front of them, from Aliyun's help
// pages. A code decides, never the HTTP status alone.
var codes = map[string]sender.Class{
	// SMS: this message is refused.
	"isv.MOBILE_NUMBER_ILLEGAL":              sender.Permanent,
	"isv.MOBILE_COUNT_OVER_LIMIT":            sender.Permanent,
	"isv.INVALID_PARAMETERS":                 sender.Permanent,
	"isv.INVALID_JSON_PARAM":                 sender.Permanent,
	"isv.TEMPLATE_MISSING_PARAMETERS":        sender.Permanent,
	"isv.TEMPLATE_PARAMS_ILLEGAL":            sender.Permanent,
	"isv.PARAM_LENGTH_LIMIT":                 sender.Permanent,
	"isv.PARAM_NOT_SUPPORT_URL":              sender.Permanent,
	"isv.SMS_CONTENT_ILLEGAL":                sender.Permanent,
	"isv.UNSUPPORTED_CONTENT":                sender.Permanent,
	"isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": sender.Permanent,
	"isv.DOMESTIC_NUMBER_NOT_SUPPORTED":      sender.Permanent,
	"isv.EXTEND_CODE_ERROR":                  sender.Permanent,
	"isv.BLACK_KEY_CONTROL_LIMIT":            sender.Permanent,
	"isv.CUSTOMER_REFUSED":                   sender.Permanent,
	"template_parameter_count_illegal":       sender.Permanent,

	// Phone number verification: this message is refused.
	"MOBILE_NUMBER_ILLEGAL": sender.Permanent,

	// DirectMail: this message is refused.
	"InvalidToAddress":           sender.Permanent,
	"InvalidToAddress.Spam":      sender.Permanent,
	"EmailFormatError":           sender.Permanent,
	"EmailLengthError":           sender.Permanent,
	"InvalidBody":                sender.Permanent,
	"InvalidSubject.Malformed":   sender.Permanent,
	"InvalidFromAlias.Malformed": sender.Permanent,
	"InvalidReceiver.NotFound":   sender.Permanent,
	"InvalidSendMail.Spam":       sender.Permanent,

	// The connector's signature, template or sender address is wrong.
	"isv.SMS_TEMPLATE_ILLEGAL":             sender.Misconfigured,
	"isv.SMS_SIGNATURE_ILLEGAL":            sender.Misconfigured,
	"isv.SMS_SIGN_ILLEGAL":                 sender.Misconfigured,
	"isv.SIGN_STATE_ILLEGAL":               sender.Misconfigured,
	"isv.SMS_SIGNATURE_SCENE_ILLEGAL":      sender.Misconfigured,
	"InvalidMailAddress.NotFound":          sender.Misconfigured,
	"InvalidMailAddressStatus.Malformed":   sender.Misconfigured,
	"InvalidMailAddressDomain.Malformed":   sender.Misconfigured,
	"InvalidMailAddressSendType.Malformed": sender.Misconfigured,

	// Phone number verification: INVALID_PARAMETERS is said of a signature or a
	// template that the console does not give; the number and the code were looked
	// at before. VERIFY_SCHEME… is the scheme's name (方案名称).
	"INVALID_PARAMETERS":          sender.Misconfigured,
	"isv.VERIFY_SCHEME_NOT_EXIST": sender.Misconfigured,
	"isv.VERIFY_SCHEME_CONFLICT":  sender.Misconfigured,

	// The account is out.
	"isv.OUT_OF_SERVICE":           sender.AccountDown,
	"isv.AMOUNT_NOT_ENOUGH":        sender.AccountDown,
	"isv.ACCOUNT_NOT_EXISTS":       sender.AccountDown,
	"isv.ACCOUNT_ABNORMAL":         sender.AccountDown,
	"isv.PRODUCT_UN_SUBSCRIPT":     sender.AccountDown,
	"isv.PRODUCT_UNSUBSCRIBE":      sender.AccountDown,
	"FUNCTION_NOT_OPENED":          sender.AccountDown,
	"isv.DENY_IP_RANGE":            sender.AccountDown,
	"isv.DAY_LIMIT_CONTROL":        sender.AccountDown,
	"isv.MONTH_LIMIT_CONTROL":      sender.AccountDown,
	"isp.RAM_PERMISSION_DENY":      sender.AccountDown,
	"isv.RAM_PERMISSION_DENY":      sender.AccountDown,
	"InvalidAccessKeyId.NotFound":  sender.AccountDown,
	"InvalidAccessKeyId.Inactive":  sender.AccountDown,
	"SignatureDoesNotMatch":        sender.AccountDown,
	"IncompleteSignature":          sender.AccountDown,
	"InvalidVersion":               sender.AccountDown,
	"InvalidAction.NotFound":       sender.AccountDown,
	"InvalidTimeStamp.Expired":     sender.AccountDown,
	"InvalidTimeStamp.Format":      sender.AccountDown,
	"InvalidSecurityToken.Expired": sender.AccountDown,

	// The recipient has had too many; see LimitWindow.
	"isv.BUSINESS_LIMIT_CONTROL": sender.RecipientLimited,
	"BUSINESS_LIMIT_CONTROL":     sender.RecipientLimited,
	"FREQUENCY_FAIL":             sender.RecipientLimited,
	"biz.FREQUENCY":              sender.RecipientLimited,

	// Not accepted: the account sends too fast, or a nonce was used twice.
	"Throttling":         sender.Throttled,
	"Throttling.User":    sender.Throttled,
	"Throttling.Api":     sender.Throttled,
	"SignatureNonceUsed": sender.Unavailable,

	// It may have been accepted.
	"isp.SYSTEM_ERROR":     sender.Unknown,
	"isp.GATEWAY_ERROR":    sender.Unknown,
	"ServiceUnavailable":   sender.Unknown,
	"InternalError":        sender.Unknown,
	"InternalServiceError": sender.Unknown,
}

// families class the codes that Aliyun adds to over the years, by how they
// begin. The first that fits decides.
var families = []struct {
	prefix string
	class  sender.Class
}{
	{"Throttling", sender.Throttled},
	{"Forbidden", sender.AccountDown},
	{"InvalidTimeStamp", sender.AccountDown},
	{"InvalidSecurityToken", sender.AccountDown},
	{"InvalidAccessKeyId", sender.AccountDown},
	{"MissingSecurityToken", sender.AccountDown},
	{"isp.", sender.Unknown},
	{"isv.", sender.Permanent},
}

// Classify returns the class of an answer that is no success, by its code. A
// code that no one knows is Permanent where the gateway answers 4xx, which it
// does before anything is accepted, and otherwise doubt.
func Classify(code string, status int) sender.Class {
	if c, ok := codes[code]; ok {
		return c
	}
	if code == "" {
		return sender.Unknown
	}
	for _, f := range families {
		if strings.HasPrefix(code, f.prefix) {
			return f.class
		}
	}
	if status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return sender.Permanent
	}
	return sender.Unknown
}

// refusesKeys tells whether a code means that the keys of the request are not, or
// no more, good. New ones may be.
func refusesKeys(code string) bool {
	return code == "SignatureDoesNotMatch" || strings.HasPrefix(code, "InvalidAccessKeyId") || strings.HasPrefix(code, "InvalidSecurityToken")
}
