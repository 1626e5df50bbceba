package sendertest

import "github.com/codeferry/codeferry/sender"

// The codes of Aliyun's help pages, by who answers with them, and what each
// means for a message. They are written down here a second time, so that the
// senders' own catalogue has something to be held against.
var (
	SMSCodes = map[string]sender.Class{
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

		"isv.SMS_TEMPLATE_ILLEGAL":        sender.Misconfigured,
		"isv.SMS_SIGNATURE_ILLEGAL":       sender.Misconfigured,
		"isv.SMS_SIGN_ILLEGAL":            sender.Misconfigured,
		"isv.SIGN_STATE_ILLEGAL":          sender.Misconfigured,
		"isv.SMS_SIGNATURE_SCENE_ILLEGAL": sender.Misconfigured,

		"isv.OUT_OF_SERVICE":       sender.AccountDown,
		"isv.AMOUNT_NOT_ENOUGH":    sender.AccountDown,
		"isv.ACCOUNT_NOT_EXISTS":   sender.AccountDown,
		"isv.ACCOUNT_ABNORMAL":     sender.AccountDown,
		"isv.PRODUCT_UN_SUBSCRIPT": sender.AccountDown,
		"isv.PRODUCT_UNSUBSCRIBE":  sender.AccountDown,
		"isv.DENY_IP_RANGE":        sender.AccountDown,
		"isv.DAY_LIMIT_CONTROL":    sender.AccountDown,
		"isv.MONTH_LIMIT_CONTROL":  sender.AccountDown,
		"isp.RAM_PERMISSION_DENY":  sender.AccountDown,

		"isv.BUSINESS_LIMIT_CONTROL": sender.RecipientLimited,

		"isp.SYSTEM_ERROR":  sender.Unknown,
		"isp.GATEWAY_ERROR": sender.Unknown,
	}

	MailCodes = map[string]sender.Class{
		"InvalidToAddress":           sender.Permanent,
		"InvalidToAddress.Spam":      sender.Permanent,
		"EmailFormatError":           sender.Permanent,
		"EmailLengthError":           sender.Permanent,
		"InvalidBody":                sender.Permanent,
		"InvalidSubject.Malformed":   sender.Permanent,
		"InvalidFromAlias.Malformed": sender.Permanent,
		"InvalidReceiver.NotFound":   sender.Permanent,
		"InvalidSendMail.Spam":       sender.Permanent,

		"InvalidMailAddress.NotFound":          sender.Misconfigured,
		"InvalidMailAddressStatus.Malformed":   sender.Misconfigured,
		"InvalidMailAddressDomain.Malformed":   sender.Misconfigured,
		"InvalidMailAddressSendType.Malformed": sender.Misconfigured,
	}

	// VerifyCodes are SendSmsVerifyCode's own: those of its page, of the list of
	// return codes that it names, and biz.FREQUENCY, which it answers with when
	// its Interval is not over. Beside them it answers with SMS's.
	VerifyCodes = map[string]sender.Class{
		"MOBILE_NUMBER_ILLEGAL": sender.Permanent,

		"INVALID_PARAMETERS":          sender.Misconfigured,
		"isv.VERIFY_SCHEME_NOT_EXIST": sender.Misconfigured,
		"isv.VERIFY_SCHEME_CONFLICT":  sender.Misconfigured,

		"FUNCTION_NOT_OPENED":     sender.AccountDown,
		"isv.RAM_PERMISSION_DENY": sender.AccountDown,

		"BUSINESS_LIMIT_CONTROL": sender.RecipientLimited,
		"FREQUENCY_FAIL":         sender.RecipientLimited,
		"biz.FREQUENCY":          sender.RecipientLimited,
	}

	// GatewayCodes come from what stands in front of all of them.
	GatewayCodes = map[string]sender.Class{
		"InvalidAccessKeyId.NotFound": sender.AccountDown,
		"InvalidAccessKeyId.Inactive": sender.AccountDown,
		"SignatureDoesNotMatch":       sender.AccountDown,
		"IncompleteSignature":         sender.AccountDown,
		"InvalidVersion":              sender.AccountDown,
		"InvalidAction.NotFound":      sender.AccountDown,

		"Throttling":         sender.Throttled,
		"Throttling.User":    sender.Throttled,
		"Throttling.Api":     sender.Throttled,
		"SignatureNonceUsed": sender.Unavailable, // once more, with a new nonce

		"ServiceUnavailable":   sender.Unknown,
		"InternalError":        sender.Unknown,
		"InternalServiceError": sender.Unknown,

		// Families: Aliyun adds to them.
		"Forbidden":                                  sender.AccountDown,
		"Forbidden.RAM":                              sender.AccountDown,
		"Forbidden.AccountDisabled":                  sender.AccountDown,
		"InvalidAccessKeyId.New":                     sender.AccountDown,
		"InvalidTimeStamp.Expired":                   sender.AccountDown,
		"InvalidTimeStamp.Format":                    sender.AccountDown,
		"InvalidTimeStamp.New":                       sender.AccountDown,
		"InvalidSecurityToken":                       sender.AccountDown,
		"InvalidSecurityToken.Expired":               sender.AccountDown,
		"InvalidSecurityToken.Malformed":             sender.AccountDown,
		"InvalidSecurityToken.MismatchWithAccessKey": sender.AccountDown,
		"MissingSecurityToken":                       sender.AccountDown,
		"Throttling.X":                               sender.Throttled,
	}
)
