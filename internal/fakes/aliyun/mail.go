package aliyun

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxMailRecipients = 100
	maxMailHeaders    = 10
	maxAddress        = 192 // characters
	maxSubject        = 256 // characters
	maxFromAlias      = 14  // characters
)

var tagName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// mailRequired must be present; mailRules check their values.
var mailRequired = []string{"AccountName", "AddressType", "ReplyToAddress", "ToAddress", "Subject"}

// mailRules are checked in order; the first that fails gives the answer.
var mailRules = []struct {
	holds func(p params) bool
	fails *apiError
}{
	{func(p params) bool { return address.MatchString(p["AccountName"]) }, fail("InvalidMailAddress.NotFound")},
	{oneOf("AddressType", "0", "1"), invalid("AddressType")},
	{oneOf("ReplyToAddress", "true", "false"), invalid("ReplyToAddress")},
	{func(p params) bool { return len(recipients(p)) <= maxMailRecipients }, fail("InvalidToAddress")},
	{everyRecipient(func(to string) bool { return utf8.RuneCountInString(to) <= maxAddress }), fail("EmailLengthError")},
	{everyRecipient(address.MatchString), fail("InvalidToAddress")},
	{goodSubject, fail("InvalidSubject.Malformed")},
	{func(p params) bool { return p["HtmlBody"] != "" || p["TextBody"] != "" }, fail("InvalidBody")},
	{func(p params) bool { return utf8.RuneCountInString(p["FromAlias"]) <= maxFromAlias }, fail("InvalidFromAlias.Malformed")},
	{optional("TagName", tagName.MatchString), invalid("TagName")},
	{optional("ReplyAddress", address.MatchString), invalid("ReplyAddress")},
	{optional("ClickTrace", func(v string) bool { return v == "0" || v == "1" }), invalid("ClickTrace")},
	{optional("Headers", goodHeaders), invalid("Headers")},
}

func singleSendMail(s *Server, c *call) (any, *apiError) {
	if e := c.require(mailRequired...); e != nil {
		return nil, e
	}
	for _, rule := range mailRules {
		if !rule.holds(c.params) {
			return nil, rule.fails
		}
	}
	envID := s.envID()
	var entries []*accepted
	for _, to := range recipients(c.params) {
		entries = append(entries, &accepted{key: inboxKey(to), Message: Message{
			Action:      c.action,
			To:          to,
			Subject:     c.params["Subject"],
			HTMLBody:    c.params["HtmlBody"],
			TextBody:    c.params["TextBody"],
			AccountName: c.params["AccountName"],
			FromAlias:   c.params["FromAlias"],
			At:          c.now,
			EnvID:       envID,
			RequestID:   c.requestID,
		}})
	}
	s.inbox.add(entries...)
	return struct {
		EnvID     string `json:"EnvId"`
		RequestID string `json:"RequestId"`
	}{envID, c.requestID}, nil
}

// descAccountSummary answers with a new account's numbers. Clients use it to try credentials.
func descAccountSummary(_ *Server, c *call) (any, *apiError) {
	return struct {
		RequestID     string `json:"RequestId"`
		UserStatus    int
		QuotaLevel    int
		MaxQuotaLevel int
		DailyQuota    int
		MonthQuota    int
		Domains       int
		MailAddresses int
	}{c.requestID, 0, 2, 10, 2000, 60000, 1, 1}, nil
}

func recipients(p params) []string { return strings.Split(p["ToAddress"], ",") }

func everyRecipient(good func(string) bool) func(params) bool {
	return func(p params) bool {
		for _, to := range recipients(p) {
			if !good(to) {
				return false
			}
		}
		return true
	}
}

func oneOf(name string, values ...string) func(params) bool {
	return func(p params) bool {
		return slices.Contains(values, p[name])
	}
}

// optional checks a parameter that is present and not empty.
func optional(name string, good func(string) bool) func(params) bool {
	return func(p params) bool { return p[name] == "" || good(p[name]) }
}

func goodSubject(p params) bool {
	n := utf8.RuneCountInString(p["Subject"])
	return n > 0 && n <= maxSubject && !strings.ContainsAny(p["Subject"], "\r\n")
}

func goodHeaders(v string) bool {
	var headers map[string]any
	err := json.Unmarshal([]byte(v), &headers)
	return err == nil && headers != nil && len(headers) <= maxMailHeaders
}
