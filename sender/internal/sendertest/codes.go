// Package sendertest holds what the tests of the connectors share: the conformance suite,
// the ways in which a call can fail, and the codes of Aliyun's help pages.
package sendertest

import (
	"testing"

	"github.com/codeferry/codeferry/sender"
)

// Meaning is what a code means for a message, and whom it speaks of.
type Meaning struct {
	Class sender.Class
	Scope sender.Scope
}

// Check checks that an error has this meaning, and returns it.
func (m Meaning) Check(t testing.TB, err error) *sender.Error {
	t.Helper()
	e := Want(t, err, m.Class)
	if e.Scope != m.Scope {
		t.Errorf("the error speaks of the %v, want the %v: %v", e.Scope, m.Scope, err)
	}
	return e
}

// The codes of Aliyun's help pages, by the product that answers with them, and what each
// means for a message. This is a second copy, against which the connectors' own catalogue
// is tested.
var (
	SMSCodes = map[string]Meaning{
		"isv.MOBILE_NUMBER_ILLEGAL":              {sender.Permanent, sender.ScopeRecipient},
		"isv.MOBILE_COUNT_OVER_LIMIT":            {sender.Permanent, sender.ScopeMessage},
		"isv.INVALID_PARAMETERS":                 {sender.Permanent, sender.ScopeMessage},
		"isv.INVALID_JSON_PARAM":                 {sender.Permanent, sender.ScopeMessage},
		"isv.TEMPLATE_MISSING_PARAMETERS":        {sender.Misconfigured, sender.ScopeTemplate},
		"isv.TEMPLATE_PARAMS_ILLEGAL":            {sender.Permanent, sender.ScopeMessage},
		"isv.PARAM_LENGTH_LIMIT":                 {sender.Permanent, sender.ScopeMessage},
		"isv.PARAM_NOT_SUPPORT_URL":              {sender.Permanent, sender.ScopeMessage},
		"isv.SMS_CONTENT_ILLEGAL":                {sender.Permanent, sender.ScopeMessage},
		"isv.UNSUPPORTED_CONTENT":                {sender.Permanent, sender.ScopeMessage},
		"isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": {sender.Misconfigured, sender.ScopeTemplate},
		"isv.DOMESTIC_NUMBER_NOT_SUPPORTED":      {sender.Permanent, sender.ScopeRecipient},
		"isv.EXTEND_CODE_ERROR":                  {sender.Permanent, sender.ScopeMessage},
		"isv.BLACK_KEY_CONTROL_LIMIT":            {sender.Permanent, sender.ScopeMessage},
		"isv.CUSTOMER_REFUSED":                   {sender.Permanent, sender.ScopeRecipient},
		"template_parameter_count_illegal":       {sender.Misconfigured, sender.ScopeTemplate},

		"isv.SMS_TEMPLATE_ILLEGAL":        {sender.Misconfigured, sender.ScopeTemplate},
		"isv.SMS_SIGNATURE_ILLEGAL":       {sender.Misconfigured, sender.ScopeTemplate},
		"isv.SMS_SIGN_ILLEGAL":            {sender.Misconfigured, sender.ScopeTemplate},
		"isv.SIGN_STATE_ILLEGAL":          {sender.Misconfigured, sender.ScopeTemplate},
		"isv.SMS_SIGNATURE_SCENE_ILLEGAL": {sender.Misconfigured, sender.ScopeTemplate},

		"isv.OUT_OF_SERVICE":       {sender.AccountDown, sender.ScopeAccount},
		"isv.AMOUNT_NOT_ENOUGH":    {sender.AccountDown, sender.ScopeAccount},
		"isv.ACCOUNT_NOT_EXISTS":   {sender.AccountDown, sender.ScopeAccount},
		"isv.ACCOUNT_ABNORMAL":     {sender.AccountDown, sender.ScopeAccount},
		"isv.PRODUCT_UN_SUBSCRIPT": {sender.AccountDown, sender.ScopeAccount},
		"isv.PRODUCT_UNSUBSCRIBE":  {sender.AccountDown, sender.ScopeAccount},
		"isv.DENY_IP_RANGE":        {sender.AccountDown, sender.ScopeAccount},
		"isv.DAY_LIMIT_CONTROL":    {sender.AccountDown, sender.ScopeAccount},
		"isv.MONTH_LIMIT_CONTROL":  {sender.AccountDown, sender.ScopeAccount},
		"isp.RAM_PERMISSION_DENY":  {sender.AccountDown, sender.ScopeAccount},

		"isv.BUSINESS_LIMIT_CONTROL": {sender.RecipientLimited, sender.ScopeRecipient},

		"isp.SYSTEM_ERROR":  {sender.Unknown, sender.ScopeConnector},
		"isp.GATEWAY_ERROR": {sender.Unknown, sender.ScopeConnector},
	}

	MailCodes = map[string]Meaning{
		"InvalidToAddress":           {sender.Permanent, sender.ScopeRecipient},
		"InvalidToAddress.Spam":      {sender.Permanent, sender.ScopeRecipient},
		"EmailFormatError":           {sender.Permanent, sender.ScopeMessage},
		"EmailLengthError":           {sender.Permanent, sender.ScopeMessage},
		"InvalidBody":                {sender.Permanent, sender.ScopeMessage},
		"InvalidSubject.Malformed":   {sender.Permanent, sender.ScopeMessage},
		"InvalidFromAlias.Malformed": {sender.Permanent, sender.ScopeMessage},
		"InvalidReceiver.NotFound":   {sender.Permanent, sender.ScopeRecipient},
		"InvalidSendMail.Spam":       {sender.Permanent, sender.ScopeMessage},

		"InvalidMailAddress.NotFound":          {sender.Misconfigured, sender.ScopeConnector},
		"InvalidMailAddressStatus.Malformed":   {sender.Misconfigured, sender.ScopeConnector},
		"InvalidMailAddressDomain.Malformed":   {sender.Misconfigured, sender.ScopeConnector},
		"InvalidMailAddressSendType.Malformed": {sender.Misconfigured, sender.ScopeConnector},
	}

	// VerifyCodes are the codes of SendSmsVerifyCode alone: those of its page and of the
	// list of return codes that the page names, and biz.FREQUENCY, its answer while its
	// Interval is not over. It also answers with the codes of SMS.
	VerifyCodes = map[string]Meaning{
		"MOBILE_NUMBER_ILLEGAL": {sender.Permanent, sender.ScopeRecipient},

		"INVALID_PARAMETERS":          {sender.Misconfigured, sender.ScopeTemplate},
		"isv.VERIFY_SCHEME_NOT_EXIST": {sender.Misconfigured, sender.ScopeConnector},
		"isv.VERIFY_SCHEME_CONFLICT":  {sender.Misconfigured, sender.ScopeConnector},

		"FUNCTION_NOT_OPENED":     {sender.AccountDown, sender.ScopeAccount},
		"isv.RAM_PERMISSION_DENY": {sender.AccountDown, sender.ScopeAccount},

		"BUSINESS_LIMIT_CONTROL": {sender.RecipientLimited, sender.ScopeRecipient},
		"FREQUENCY_FAIL":         {sender.RecipientLimited, sender.ScopeRecipient},
		"biz.FREQUENCY":          {sender.RecipientLimited, sender.ScopeRecipient},
	}

	// GatewayCodes come from the gateway in front of all products.
	GatewayCodes = map[string]Meaning{
		"InvalidAccessKeyId.NotFound": {sender.AccountDown, sender.ScopeAccount},
		"InvalidAccessKeyId.Inactive": {sender.AccountDown, sender.ScopeAccount},
		"SignatureDoesNotMatch":       {sender.AccountDown, sender.ScopeAccount},
		"IncompleteSignature":         {sender.AccountDown, sender.ScopeAccount},
		"InvalidVersion":              {sender.AccountDown, sender.ScopeConnector},
		"InvalidAction.NotFound":      {sender.AccountDown, sender.ScopeConnector},

		"Throttling":         {sender.Throttled, sender.ScopeConnector},
		"Throttling.User":    {sender.Throttled, sender.ScopeConnector},
		"Throttling.Api":     {sender.Throttled, sender.ScopeConnector},
		"SignatureNonceUsed": {sender.Unavailable, sender.ScopeMessage}, // it can be tried again, with a new nonce

		"ServiceUnavailable":   {sender.Unknown, sender.ScopeConnector},
		"InternalError":        {sender.Unknown, sender.ScopeConnector},
		"InternalServiceError": {sender.Unknown, sender.ScopeConnector},

		// Families, to which Aliyun adds codes.
		"Forbidden":                                  {sender.AccountDown, sender.ScopeAccount},
		"Forbidden.RAM":                              {sender.AccountDown, sender.ScopeAccount},
		"Forbidden.AccountDisabled":                  {sender.AccountDown, sender.ScopeAccount},
		"InvalidAccessKeyId.New":                     {sender.AccountDown, sender.ScopeAccount},
		"InvalidTimeStamp.Expired":                   {sender.AccountDown, sender.ScopeAccount},
		"InvalidTimeStamp.Format":                    {sender.AccountDown, sender.ScopeAccount},
		"InvalidTimeStamp.New":                       {sender.AccountDown, sender.ScopeAccount},
		"InvalidSecurityToken":                       {sender.AccountDown, sender.ScopeAccount},
		"InvalidSecurityToken.Expired":               {sender.AccountDown, sender.ScopeAccount},
		"InvalidSecurityToken.Malformed":             {sender.AccountDown, sender.ScopeAccount},
		"InvalidSecurityToken.MismatchWithAccessKey": {sender.AccountDown, sender.ScopeAccount},
		"MissingSecurityToken":                       {sender.AccountDown, sender.ScopeAccount},
		"Throttling.X":                               {sender.Throttled, sender.ScopeConnector},
	}
)
