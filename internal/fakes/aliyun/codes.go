package aliyun

import (
	"net/http"
	"net/url"
	"strings"
)

// apiError is an error answer of Aliyun's.
type apiError struct {
	code    string
	message string
	status  int
}

// reason is the status and message of a code.
type reason struct {
	status  int
	message string
}

// catalogue holds the codes of the gateway, of DirectMail and of phone number
// verification (answered with their own HTTP status) and those of SMS (always 200:
// its clients have to check Code).
var catalogue = map[string]reason{
	// The gateway's.
	"Forbidden":                                  {403, "The user is not authorized to operate on the specified resource."},
	"Forbidden.RAM":                              {403, "User not authorized to operate on the specified resource, or this API doesn't support RAM."},
	"IncompleteSignature":                        {400, "The request signature does not conform to Aliyun standards."},
	"InternalError":                              {500, "The request processing has failed due to some unknown error."},
	"InternalServiceError":                       {500, "The request processing has failed due to some unknown error."},
	"InvalidAccessKeyId.Inactive":                {403, "Specified access key is disabled."},
	"InvalidAccessKeyId.NotFound":                {404, "Specified access key is not found."},
	"InvalidAction.NotFound":                     {404, "Specified api is not found, please check your url and method."},
	"InvalidParameter":                           {400, "The specified parameter is not valid."},
	"InvalidSecurityToken.Expired":               {400, "Specified SecurityToken is expired."},
	"InvalidSecurityToken.Malformed":             {400, "Specified SecurityToken is malformed."},
	"InvalidSecurityToken.MismatchWithAccessKey": {400, "Specified SecurityToken mismatch with the AccessKey."},
	"InvalidSignatureMethod":                     {400, "Specified signature method is not valid."},
	"InvalidTimeStamp.Expired":                   {400, "Specified time stamp or date value is expired."},
	"InvalidTimeStamp.Format":                    {400, "Specified time stamp or date value is not well formatted."},
	"InvalidVersion":                             {400, "Specified parameter Version is not valid."},
	"ServiceUnavailable":                         {503, "The request has failed due to a temporary failure of the server."},
	"SignatureDoesNotMatch":                      {400, "Specified signature is not matched with our calculation."},
	"SignatureNonceUsed":                         {400, "Specified signature nonce was used already."},
	"Throttling":                                 {400, "Request was denied due to request throttling."},
	"Throttling.Api":                             {400, "Request was denied due to api flow control."},
	"Throttling.User":                            {400, "Request was denied due to user flow control."},

	// DirectMail's.
	"EmailFormatError":                     {400, "The Email format is invalid. It must only contain numbers, letters, underscores, minus sign, plus sign, and period."},
	"EmailLengthError":                     {400, "The maximum length of Email is 192 characters."},
	"InvalidBody":                          {400, "The specified textBody or htmlBody is wrongly formed."},
	"InvalidFromAlias.Malformed":           {400, "The specified fromAlias is wrongly formed."},
	"InvalidMailAddress.NotFound":          {404, "The specified mailAddress does not exist."},
	"InvalidMailAddressDomain.Malformed":   {400, "The specified mailAddress domain does not exist."},
	"InvalidMailAddressSendType.Malformed": {400, "The specified mailAddress sendType is wrongly formed."},
	"InvalidMailAddressStatus.Malformed":   {400, "The specified mailAddress status is wrongly formed."},
	"InvalidReceiver.NotFound":             {404, "The specified receiver does not exist."},
	"InvalidSendMail.Spam":                 {400, "Sendmail rejected by spam filter."},
	"InvalidSubject.Malformed":             {400, "The specified subject is wrongly formed."},
	"InvalidToAddress":                     {400, "The specified toAddress is wrongly formed."},
	"InvalidToAddress.Spam":                {400, "Sendmail rejected by invalid address."},

	// Phone number verification's, as the page of SendSmsVerifyCode lists them. It also
	// answers with those of SMS.
	"BUSINESS_LIMIT_CONTROL": {400, "The number has exceeded the limit for the day."},
	"FREQUENCY_FAIL":         {400, "Check frequency fail."},
	"FUNCTION_NOT_OPENED":    {400, "You have not opened this function."},
	"INVALID_PARAMETERS":     {400, "parameter is not valid."},
	"MOBILE_NUMBER_ILLEGAL":  {400, "The mobile number is illegal."},

	// Its answer while a number's Interval is not over.
	"biz.FREQUENCY": {200, "check frequency failed"},

	// SMS's.
	"isp.GATEWAY_ERROR":                      {200, "调用发送应用模块失败"},
	"isp.RAM_PERMISSION_DENY":                {200, "RAM权限不足"},
	"isp.SYSTEM_ERROR":                       {200, "系统错误"},
	"isv.ACCOUNT_ABNORMAL":                   {200, "账户异常"},
	"isv.ACCOUNT_NOT_EXISTS":                 {200, "账户不存在"},
	"isv.AMOUNT_NOT_ENOUGH":                  {200, "账户余额不足"},
	"isv.BLACK_KEY_CONTROL_LIMIT":            {200, "黑名单管控"},
	"isv.BUSINESS_LIMIT_CONTROL":             {200, flowLimits[0].message},
	"isv.CUSTOMER_REFUSED":                   {200, "用户已退订推广短信"},
	"isv.DAY_LIMIT_CONTROL":                  {200, "触发日发送限额"},
	"isv.DENY_IP_RANGE":                      {200, "源IP地址所在的地区被禁用"},
	"isv.DOMESTIC_NUMBER_NOT_SUPPORTED":      {200, "国际/港澳台消息模板不支持发送境内号码"},
	"isv.EXTEND_CODE_ERROR":                  {200, "扩展码使用错误"},
	"isv.INVALID_JSON_PARAM":                 {200, "参数格式错误，请修改为字符串值"},
	"isv.INVALID_PARAMETERS":                 {200, "参数格式不正确"},
	"isv.MOBILE_COUNT_OVER_LIMIT":            {200, "手机号码数量超过限制"},
	"isv.MOBILE_NUMBER_ILLEGAL":              {200, "invalid mobile number"},
	"isv.MONTH_LIMIT_CONTROL":                {200, "触发月发送限额"},
	"isv.OUT_OF_SERVICE":                     {200, "业务停机"},
	"isv.PARAM_LENGTH_LIMIT":                 {200, "参数超过长度限制"},
	"isv.PARAM_NOT_SUPPORT_URL":              {200, "变量不支持传入URL"},
	"isv.PRODUCT_UNSUBSCRIBE":                {200, "产品未开通"},
	"isv.PRODUCT_UN_SUBSCRIPT":               {200, "未开通云通信产品的阿里云客户"},
	"isv.RAM_PERMISSION_DENY":                {200, "没有访问权限"},
	"isv.SIGN_STATE_ILLEGAL":                 {200, "签名状态不合法"},
	"isv.SMS_CONTENT_ILLEGAL":                {200, "短信内容包含禁止发送内容"},
	"isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": {200, "短信内容和模板类型不匹配"},
	"isv.SMS_SIGNATURE_ILLEGAL":              {200, "该账号下找不到对应签名"},
	"isv.SMS_SIGNATURE_SCENE_ILLEGAL":        {200, "签名的适用场景与短信类型不匹配"},
	"isv.SMS_SIGN_ILLEGAL":                   {200, "签名禁止使用"},
	"isv.SMS_TEMPLATE_ILLEGAL":               {200, "该账号下找不到对应模板"},
	"isv.TEMPLATE_MISSING_PARAMETERS":        {200, "模板变量中存在未赋值变量"},
	"isv.TEMPLATE_PARAMS_ILLEGAL":            {200, "传入的变量内容和实际申请模板时变量所选择的属性类型不配"},
	"isv.UNSUPPORTED_CONTENT":                {200, "不支持的短信内容"},
	"isv.VERIFY_SCHEME_CONFLICT":             {200, "认证方案冲突"},
	"isv.VERIFY_SCHEME_NOT_EXIST":            {200, "认证方案不存在"},
	"template_parameter_count_illegal":       {200, "验证码模板的变量个数必须为1"},
}

// fail is the error of a code, with the catalogue's status and message. A code that is not in
// the catalogue (a fault's) belongs to SMS by its prefix, or else to the gateway.
func fail(code string) *apiError {
	known, ok := catalogue[code]
	if !ok {
		known = reason{status: http.StatusBadRequest, message: code}
		if isBusiness(code) {
			known.status = http.StatusOK
		}
	}
	return &apiError{code: code, message: known.message, status: known.status}
}

func failWith(code, message string) *apiError {
	e := fail(code)
	e.message = message
	return e
}

func missing(name string) *apiError {
	return failWith("Missing"+name, name+" is mandatory for this action.")
}

// invalid refuses a parameter for which there is no special code.
func invalid(name string) *apiError {
	return failWith("InvalidParameter", `The specified parameter "`+name+`" is not valid.`)
}

// isBusiness reports whether a code is one of SMS's, which answer with HTTP 200 and a smaller
// body, and not one of the gateway's.
func isBusiness(code string) bool {
	return strings.HasPrefix(code, "isv.") || strings.HasPrefix(code, "isp.") || catalogue[code].status == http.StatusOK
}

// body is the error's JSON.
func (e *apiError) body(c *call) any {
	switch {
	case !isBusiness(e.code):
		return gatewayError{
			RequestID: c.requestID,
			Message:   e.message,
			HostID:    c.host,
			Code:      e.code,
			Recommend: "https://error-center.aliyun.com/status/search?Keyword=" + url.QueryEscape(e.code) + "&source=PopGw",
		}
	case c.action == actionVerifyCode:
		return verifyError{businessError{Message: e.message, RequestID: c.requestID, Code: e.code}, false}
	default:
		return businessError{Message: e.message, RequestID: c.requestID, Code: e.code}
	}
}

type gatewayError struct {
	RequestID string `json:"RequestId"`
	Message   string
	HostID    string `json:"HostId"`
	Code      string
	Recommend string
}

type businessError struct {
	Message   string
	RequestID string `json:"RequestId"`
	Code      string
}

type verifyError struct {
	businessError
	Success bool
}
