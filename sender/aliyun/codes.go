package aliyun

import (
	"errors"
	"net/http"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// meaning is what a code means: its class, and whom it speaks of.
type meaning struct {
	class sender.Class
	scope sender.Scope
}

// codes is the catalogue of error codes of DirectMail, SMS, phone number verification
// (Dypnsapi) and the gateway in front of them, from Aliyun's help pages. The code
// decides, never the HTTP status alone.
var codes = map[string]meaning{
	// SMS: this message is refused.
	"isv.MOBILE_NUMBER_ILLEGAL":         {sender.Permanent, sender.ScopeRecipient},
	"isv.MOBILE_COUNT_OVER_LIMIT":       {sender.Permanent, sender.ScopeMessage},
	"isv.INVALID_PARAMETERS":            {sender.Permanent, sender.ScopeMessage},
	"isv.INVALID_JSON_PARAM":            {sender.Permanent, sender.ScopeMessage},
	"isv.TEMPLATE_PARAMS_ILLEGAL":       {sender.Permanent, sender.ScopeMessage},
	"isv.PARAM_LENGTH_LIMIT":            {sender.Permanent, sender.ScopeMessage},
	"isv.PARAM_NOT_SUPPORT_URL":         {sender.Permanent, sender.ScopeMessage},
	"isv.SMS_CONTENT_ILLEGAL":           {sender.Permanent, sender.ScopeMessage},
	"isv.UNSUPPORTED_CONTENT":           {sender.Permanent, sender.ScopeMessage},
	"isv.DOMESTIC_NUMBER_NOT_SUPPORTED": {sender.Permanent, sender.ScopeRecipient},
	"isv.EXTEND_CODE_ERROR":             {sender.Permanent, sender.ScopeMessage},
	"isv.BLACK_KEY_CONTROL_LIMIT":       {sender.Permanent, sender.ScopeMessage},
	"isv.CUSTOMER_REFUSED":              {sender.Permanent, sender.ScopeRecipient},

	// Phone number verification: this message is refused.
	"MOBILE_NUMBER_ILLEGAL": {sender.Permanent, sender.ScopeRecipient},

	// DirectMail: this message is refused.
	"InvalidToAddress":           {sender.Permanent, sender.ScopeRecipient},
	"InvalidToAddress.Spam":      {sender.Permanent, sender.ScopeRecipient},
	"EmailFormatError":           {sender.Permanent, sender.ScopeMessage},
	"EmailLengthError":           {sender.Permanent, sender.ScopeMessage},
	"InvalidBody":                {sender.Permanent, sender.ScopeMessage},
	"InvalidSubject.Malformed":   {sender.Permanent, sender.ScopeMessage},
	"InvalidFromAlias.Malformed": {sender.Permanent, sender.ScopeMessage},
	"InvalidReceiver.NotFound":   {sender.Permanent, sender.ScopeRecipient},
	"InvalidSendMail.Spam":       {sender.Permanent, sender.ScopeMessage},

	// The template does not fit its values; see ByPayload.
	"isv.TEMPLATE_MISSING_PARAMETERS":        {sender.Misconfigured, sender.ScopeTemplate},
	"isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": {sender.Misconfigured, sender.ScopeTemplate},
	"template_parameter_count_illegal":       {sender.Misconfigured, sender.ScopeTemplate},

	// The connector's signature, template or sender address is wrong. A signature that is
	// wrong for one template's scene may be right for another's.
	"isv.SMS_TEMPLATE_ILLEGAL":             {sender.Misconfigured, sender.ScopeTemplate},
	"isv.SMS_SIGNATURE_ILLEGAL":            {sender.Misconfigured, sender.ScopeTemplate},
	"isv.SMS_SIGN_ILLEGAL":                 {sender.Misconfigured, sender.ScopeTemplate},
	"isv.SIGN_STATE_ILLEGAL":               {sender.Misconfigured, sender.ScopeTemplate},
	"isv.SMS_SIGNATURE_SCENE_ILLEGAL":      {sender.Misconfigured, sender.ScopeTemplate},
	"InvalidMailAddress.NotFound":          {sender.Misconfigured, sender.ScopeConnector},
	"InvalidMailAddressStatus.Malformed":   {sender.Misconfigured, sender.ScopeConnector},
	"InvalidMailAddressDomain.Malformed":   {sender.Misconfigured, sender.ScopeConnector},
	"InvalidMailAddressSendType.Malformed": {sender.Misconfigured, sender.ScopeConnector},

	// Phone number verification: INVALID_PARAMETERS means a signature or a template that
	// the console does not list. The number and the code were checked before.
	// VERIFY_SCHEME… is about the scheme's name (方案名称).
	"INVALID_PARAMETERS":          {sender.Misconfigured, sender.ScopeTemplate},
	"isv.VERIFY_SCHEME_NOT_EXIST": {sender.Misconfigured, sender.ScopeConnector},
	"isv.VERIFY_SCHEME_CONFLICT":  {sender.Misconfigured, sender.ScopeConnector},

	// The account can't send.
	"isv.OUT_OF_SERVICE":           {sender.AccountDown, sender.ScopeAccount},
	"isv.AMOUNT_NOT_ENOUGH":        {sender.AccountDown, sender.ScopeAccount},
	"isv.ACCOUNT_NOT_EXISTS":       {sender.AccountDown, sender.ScopeAccount},
	"isv.ACCOUNT_ABNORMAL":         {sender.AccountDown, sender.ScopeAccount},
	"isv.PRODUCT_UN_SUBSCRIPT":     {sender.AccountDown, sender.ScopeAccount},
	"isv.PRODUCT_UNSUBSCRIBE":      {sender.AccountDown, sender.ScopeAccount},
	"FUNCTION_NOT_OPENED":          {sender.AccountDown, sender.ScopeAccount},
	"isv.DENY_IP_RANGE":            {sender.AccountDown, sender.ScopeAccount},
	"isv.DAY_LIMIT_CONTROL":        {sender.AccountDown, sender.ScopeAccount},
	"isv.MONTH_LIMIT_CONTROL":      {sender.AccountDown, sender.ScopeAccount},
	"isp.RAM_PERMISSION_DENY":      {sender.AccountDown, sender.ScopeAccount},
	"isv.RAM_PERMISSION_DENY":      {sender.AccountDown, sender.ScopeAccount},
	"InvalidAccessKeyId.NotFound":  {sender.AccountDown, sender.ScopeAccount},
	"InvalidAccessKeyId.Inactive":  {sender.AccountDown, sender.ScopeAccount},
	"SignatureDoesNotMatch":        {sender.AccountDown, sender.ScopeAccount},
	"IncompleteSignature":          {sender.AccountDown, sender.ScopeAccount},
	"InvalidVersion":               {sender.AccountDown, sender.ScopeConnector},
	"InvalidAction.NotFound":       {sender.AccountDown, sender.ScopeConnector},
	"InvalidTimeStamp.Expired":     {sender.AccountDown, sender.ScopeAccount},
	"InvalidTimeStamp.Format":      {sender.AccountDown, sender.ScopeAccount},
	"InvalidSecurityToken.Expired": {sender.AccountDown, sender.ScopeAccount},

	// The recipient got too many messages; see LimitWindow.
	"isv.BUSINESS_LIMIT_CONTROL": {sender.RecipientLimited, sender.ScopeRecipient},
	"BUSINESS_LIMIT_CONTROL":     {sender.RecipientLimited, sender.ScopeRecipient},
	"FREQUENCY_FAIL":             {sender.RecipientLimited, sender.ScopeRecipient},
	"biz.FREQUENCY":              {sender.RecipientLimited, sender.ScopeRecipient},

	// Not accepted: the account sends too fast, or a nonce was used twice.
	"Throttling":         {sender.Throttled, sender.ScopeConnector},
	"Throttling.User":    {sender.Throttled, sender.ScopeConnector},
	"Throttling.Api":     {sender.Throttled, sender.ScopeConnector},
	"SignatureNonceUsed": {sender.Unavailable, sender.ScopeMessage},

	// It may have been accepted.
	"isp.SYSTEM_ERROR":     {sender.Unknown, sender.ScopeConnector},
	"isp.GATEWAY_ERROR":    {sender.Unknown, sender.ScopeConnector},
	"ServiceUnavailable":   {sender.Unknown, sender.ScopeConnector},
	"InternalError":        {sender.Unknown, sender.ScopeConnector},
	"InternalServiceError": {sender.Unknown, sender.ScopeConnector},
}

// families class codes by their beginning, since Aliyun adds new codes over the years.
// The first that fits decides.
var families = []struct {
	prefix string
	meaning
}{
	{"Throttling", meaning{sender.Throttled, sender.ScopeConnector}},
	{"Forbidden", meaning{sender.AccountDown, sender.ScopeAccount}},
	{"InvalidTimeStamp", meaning{sender.AccountDown, sender.ScopeAccount}},
	{"InvalidSecurityToken", meaning{sender.AccountDown, sender.ScopeAccount}},
	{"InvalidAccessKeyId", meaning{sender.AccountDown, sender.ScopeAccount}},
	{"MissingSecurityToken", meaning{sender.AccountDown, sender.ScopeAccount}},
	{"isp.", meaning{sender.Unknown, sender.ScopeConnector}},
	{"isv.", meaning{sender.Permanent, sender.ScopeMessage}},
}

// byPayload holds what codes mean for a template that the payload fills in. Its author,
// for example a user who sets a name, decides how many values there are.
var byPayload = map[string]meaning{
	"isv.TEMPLATE_MISSING_PARAMETERS":        {sender.Permanent, sender.ScopeMessage},
	"isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": {sender.Permanent, sender.ScopeMessage},
	"template_parameter_count_illegal":       {sender.Permanent, sender.ScopeMessage},
}

// ByPayload returns the error of a message whose template the payload fills in. If that
// template does not fit its values, the error then speaks of the message, not of the
// template.
func ByPayload(err error) error {
	var e *sender.Error
	if !errors.As(err, &e) {
		return err
	}
	if m, ok := byPayload[e.Code]; ok {
		e.Class, e.Scope = m.class, m.scope
	}
	return err
}

// Classify returns the class of a failed answer, and whom it speaks of, by its code. An
// unknown code is Permanent if the gateway answers 4xx, which it does before anything is
// accepted, and otherwise doubt.
func Classify(code string, status int) (sender.Class, sender.Scope) {
	m := classify(code, status)
	return m.class, m.scope
}

func classify(code string, status int) meaning {
	if m, ok := codes[code]; ok {
		return m
	}
	if code == "" {
		return meaning{sender.Unknown, sender.ScopeConnector}
	}
	for _, f := range families {
		if strings.HasPrefix(code, f.prefix) {
			return f.meaning
		}
	}
	if status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return meaning{sender.Permanent, sender.ScopeMessage}
	}
	return meaning{sender.Unknown, sender.ScopeConnector}
}

// refusedKeysAdvice is for keys that refusesKeys speaks of.
const refusedKeysAdvice = "Check the connector's accessKeyId and accessKeySecret, or the keys that its credentials name."

// refusesKeys reports whether a code means that the keys of the request are not valid, or
// not valid any more. New keys may be valid.
func refusesKeys(code string) bool {
	return code == "SignatureDoesNotMatch" || strings.HasPrefix(code, "InvalidAccessKeyId") || strings.HasPrefix(code, "InvalidSecurityToken")
}
