package aliyun

import (
	"strconv"
	"strings"
	"time"
)

const (
	maxPageSize   = 50
	sendDetailDay = "20060102"
	sendDetailAt  = "2006-01-02 15:04:05"
	delivered     = 3 // SendStatus
)

// chinaTime has had no daylight saving since 1991; a fixed zone needs no
// zoneinfo on the machine.
var chinaTime = time.FixedZone("Asia/Shanghai", 8*60*60)

type sendDetail struct {
	ErrCode      string
	TemplateCode string
	OutID        string `json:"OutId"`
	ReceiveDate  string
	SendDate     string
	PhoneNum     string
	Content      string
	SendStatus   int
}

// sendDetails is the answer of two products: SMS and phone number verification each have a
// QuerySendDetails, with the same name, version and parameters, on different hosts. The fake
// has one host, so it answers with both lists. Neither product knows the other's messages.
//
// TotalCount belongs to the product that the User-Agent names, as codeferry's requests do
// (Dysmsapi or Dypnsapi); otherwise it belongs to the longer list.
type sendDetails struct {
	Message    string
	RequestID  string `json:"RequestId"`
	Code       string
	TotalCount string

	// For SMS: the messages of SendSms.
	Details struct {
		Detail []sendDetail `json:"SmsSendDetailDTO"`
	} `json:"SmsSendDetailDTOs"`

	// For phone number verification: the messages of SendSmsVerifyCode.
	Success bool
	Model   []sendDetail
}

// querySendDetails answers from the inbox: it does not find messages that were dropped or
// deleted there.
func querySendDetails(s *Server, c *call) (any, *apiError) {
	if e := c.require("PhoneNumber", "SendDate", "PageSize", "CurrentPage"); e != nil {
		return nil, e
	}
	phone, day := c.params["PhoneNumber"], c.params["SendDate"]
	if number, _, ok := parseNumber(phone); !ok || number != phone {
		return nil, illegalNumber(phone)
	}
	if _, err := time.Parse(sendDetailDay, day); err != nil {
		return nil, fail("isv.INVALID_PARAMETERS")
	}
	size, err1 := strconv.Atoi(c.params["PageSize"])
	page, err2 := strconv.Atoi(c.params["CurrentPage"])
	if err1 != nil || err2 != nil || size < 1 || size > maxPageSize || page < 1 {
		return nil, fail("isv.INVALID_PARAMETERS")
	}

	sms, verify := []sendDetail{}, []sendDetail{}
	for _, a := range s.inbox.newestFirst(phone, 0) {
		at := a.At.In(chinaTime)
		if at.Format(sendDetailDay) != day || c.params["BizId"] != "" && a.BizID != c.params["BizId"] {
			continue
		}
		list := &sms
		if a.Action == actionVerifyCode {
			list = &verify
		}
		*list = append(*list, sendDetail{
			ErrCode:      "DELIVERED",
			TemplateCode: a.TemplateCode,
			OutID:        a.OutID,
			ReceiveDate:  at.Format(sendDetailAt),
			SendDate:     at.Format(sendDetailAt),
			PhoneNum:     a.key,
			Content:      a.content,
			SendStatus:   delivered,
		})
	}
	total := max(len(sms), len(verify))
	switch {
	case strings.Contains(c.userAgent, "Dysmsapi"):
		total = len(sms)
	case strings.Contains(c.userAgent, "Dypnsapi"):
		total = len(verify)
	}
	answer := sendDetails{
		Message: "OK", RequestID: c.requestID, Code: "OK", TotalCount: strconv.Itoa(total),
		Success: true, Model: pageOf(verify, page, size),
	}
	answer.Details.Detail = pageOf(sms, page, size)
	return answer, nil
}

func pageOf(list []sendDetail, page, size int) []sendDetail {
	from := min((page-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}
