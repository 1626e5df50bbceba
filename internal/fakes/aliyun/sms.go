package aliyun

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxSMSRecipients = 1000
	maxParamValue    = 35  // characters
	maxOutID         = 255 // characters
	maxSchemeName    = 20  // characters
)

var (
	smsTemplate = regexp.MustCompile(`^SMS_\d+$`)
	// The templates of SendSmsVerifyCode are plain numbers.
	verifyTemplate = regexp.MustCompile(`^(?:SMS_)?\d+$`)
	anyValue       = regexp.MustCompile(`(?s).`)
	codeValue      = regexp.MustCompile(`^[a-zA-Z0-9]{4,6}$`)
	verifyValue    = regexp.MustCompile(`^[a-zA-Z0-9]{4,8}$`)
	urlValue       = regexp.MustCompile(`(?i)://|www\.|[a-z0-9-]\.(?:com|cn|net|org)\b`)
)

// smsRules are checked in order, after the recipients and before the template's parameters.
var smsRules = []struct {
	holds func(p params) bool
	fails *apiError
}{
	{func(p params) bool { return p["SignName"] != "" }, fail("isv.SMS_SIGNATURE_ILLEGAL")},
	{func(p params) bool { return utf8.RuneCountInString(p["OutId"]) <= maxOutID }, fail("isv.INVALID_PARAMETERS")},
	{optional("SmsUpExtendCode", digits.MatchString), fail("isv.EXTEND_CODE_ERROR")},
}

// verifyRules check the parameters that SendSmsVerifyCode has in addition to those of SendSms.
var verifyRules = []func(p params) bool{
	func(p params) bool { return utf8.RuneCountInString(p["SchemeName"]) <= maxSchemeName },
	optional("CodeLength", within(4, 8)),
	optional("CodeType", within(1, 7)),
	optional("ValidTime", within(1, maxSeconds)),
	optional("Interval", within(1, maxSeconds)),
	oneOf("DuplicatePolicy", "", "1", "2"),
	oneOf("AutoRetry", "", "0", "1"),
	oneOf("ReturnVerifyCode", "", "true", "false"),
}

const (
	maxSeconds      = 24 * 60 * 60
	defaultInterval = 60 // seconds
)

// within checks for a whole number from low to high.
func within(low, high int) func(string) bool {
	return func(v string) bool {
		n, err := strconv.Atoi(v)
		return err == nil && digits.MatchString(v) && n >= low && n <= high
	}
}

func sendSMS(s *Server, c *call) (any, *apiError) {
	if e := c.require("PhoneNumbers", "SignName", "TemplateCode"); e != nil {
		return nil, e
	}
	to := strings.Split(c.params["PhoneNumbers"], ",")
	if len(to) > maxSMSRecipients {
		return nil, fail("isv.MOBILE_COUNT_OVER_LIMIT")
	}
	for _, number := range to {
		if _, _, ok := parseNumber(number); !ok {
			return nil, illegalNumber(number)
		}
	}
	code, e := checkSMS(c.params, smsTemplate, codeTemplate)
	if e != nil {
		return nil, e
	}
	bizID, e := s.acceptSMS(c, to, code, send{})
	if e != nil {
		return nil, e
	}
	return struct {
		Message   string
		RequestID string `json:"RequestId"`
		BizID     string `json:"BizId"`
		Code      string
	}{"OK", c.requestID, bizID, "OK"}, nil
}

// sendSMSVerifyCode sends the given code. It refuses ##code##, which asks Aliyun to make the
// code: a message of codeferry's always has a code, and Aliyun must not replace it.
func sendSMSVerifyCode(s *Server, c *call) (any, *apiError) {
	if e := c.require("PhoneNumber", "SignName", "TemplateCode", "TemplateParam"); e != nil {
		return nil, e
	}
	// The country has its own parameter, so the number is without a country code.
	to, country := c.params["PhoneNumber"], c.params["CountryCode"]
	if number, isMainland, _ := parseNumber(to); !isMainland || number != to || country != "" && country != "86" {
		return nil, fail("MOBILE_NUMBER_ILLEGAL")
	}
	for _, holds := range verifyRules {
		if !holds(c.params) {
			return nil, fail("INVALID_PARAMETERS")
		}
	}
	code, e := checkSMS(c.params, verifyTemplate, verifyCodeTemplate)
	if e != nil {
		return nil, e
	}
	interval := defaultInterval
	if v := c.params["Interval"]; v != "" {
		interval, _ = strconv.Atoi(v) // verifyRules has checked it
	}
	bizID, e := s.acceptSMS(c, []string{to}, code, send{scheme: c.params["SchemeName"], interval: time.Duration(interval) * time.Second})
	if e != nil {
		return nil, e
	}
	type model struct {
		BizID     string `json:"BizId"`
		OutID     string `json:"OutId"`
		RequestID string `json:"RequestId"`
	}
	return struct {
		Code      string
		Message   string
		Success   bool
		RequestID string `json:"RequestId"`
		Model     model
	}{"OK", "OK", true, c.requestID, model{bizID, c.params["OutId"], c.requestID}}, nil
}

func illegalNumber(number string) *apiError {
	return failWith("isv.MOBILE_NUMBER_ILLEGAL", number+"invalid mobile number")
}

// checkSMS checks everything except the recipients, and returns the code to send.
func checkSMS(p params, template *regexp.Regexp, check func(map[string]string) (string, *apiError)) (code string, e *apiError) {
	for _, rule := range smsRules {
		if !rule.holds(p) {
			return "", rule.fails
		}
	}
	if !template.MatchString(p["TemplateCode"]) {
		return "", fail("isv.SMS_TEMPLATE_ILLEGAL")
	}
	vars, e := templateVars(p["TemplateParam"])
	if e != nil {
		return "", e
	}
	return check(vars)
}

// templateVars reads TemplateParam, a JSON object of strings.
func templateVars(param string) (map[string]string, *apiError) {
	if param == "" {
		return nil, nil
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(param), &raw); err != nil || raw == nil {
		return nil, fail("isv.INVALID_JSON_PARAM")
	}
	vars := make(map[string]string, len(raw))
	for name, value := range raw {
		text, ok := value.(string)
		if !ok {
			return nil, fail("isv.INVALID_PARAMETERS")
		}
		vars[name] = text
	}
	return vars, nil
}

// codeTemplate: every template of SendSms takes one variable, with any name.
func codeTemplate(vars map[string]string) (code string, e *apiError) {
	switch len(vars) {
	case 0:
		return "", fail("isv.TEMPLATE_MISSING_PARAMETERS")
	case 1:
	default:
		return "", fail("template_parameter_count_illegal")
	}
	for _, value := range vars {
		code = value
	}
	return code, checkVar(code, codeValue)
}

// verifyCodeTemplate: templates of SendSmsVerifyCode take code and, if they say how long it
// is valid, min.
func verifyCodeTemplate(vars map[string]string) (code string, e *apiError) {
	code, ok := vars["code"]
	if !ok {
		return "", fail("isv.TEMPLATE_MISSING_PARAMETERS")
	}
	minutes, hasMin := vars["min"]
	if len(vars) > 2 || len(vars) == 2 && !hasMin {
		return "", fail("template_parameter_count_illegal")
	}
	if hasMin {
		if e := checkVar(minutes, anyValue); e != nil {
			return "", e
		}
	}
	return code, checkVar(code, verifyValue)
}

func checkVar(value string, form *regexp.Regexp) *apiError {
	switch {
	case urlValue.MatchString(value):
		return fail("isv.PARAM_NOT_SUPPORT_URL")
	case utf8.RuneCountInString(value) > maxParamValue:
		return fail("isv.PARAM_LENGTH_LIMIT")
	case !form.MatchString(value):
		return fail("isv.TEMPLATE_PARAMS_ILLEGAL")
	}
	return nil
}

// acceptSMS puts one message for each recipient into the inbox, or refuses all of them if one
// is over the limits of mainland China. how holds what else the limits need.
func (s *Server) acceptSMS(c *call, to []string, code string, how send) (bizID string, e *apiError) {
	bizID = s.bizID()
	sign := c.params["SignName"]
	var limited []string
	entries := make([]*accepted, 0, len(to))
	for _, t := range to {
		if number, isMainland, _ := parseNumber(t); isMainland {
			limited = append(limited, number)
		}
		entries = append(entries, &accepted{
			key:     inboxKey(t),
			content: "【" + sign + "】您的验证码为" + code + "。",
			Message: Message{
				Action:        c.action,
				To:            t,
				SignName:      sign,
				TemplateCode:  c.params["TemplateCode"],
				TemplateParam: c.params["TemplateParam"],
				OutID:         c.params["OutId"],
				At:            c.now,
				BizID:         bizID,
				RequestID:     c.requestID,
			},
		})
	}
	how.sign, how.at = sign, c.now
	if e := s.flow.take(limited, how); e != nil {
		return "", e
	}
	s.inbox.add(entries...)
	return bizID, nil
}
