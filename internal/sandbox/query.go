package sandbox

import (
	"strconv"
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

// sendDetails is the answer of two products: SMS and phone number verification
// have a QuerySendDetails each, of the same name, version and parameters, and are
// told apart by their hosts. A stand-in has one host, so it answers with both
// lists. Neither product knows of the other's messages.
type sendDetails struct {
	Message    string
	RequestID  string `json:"RequestId"`
	Code       string
	TotalCount string

	// SMS's: what SendSms has sent.
	Details struct {
		Detail []sendDetail `json:"SmsSendDetailDTO"`
	} `json:"SmsSendDetailDTOs"`

	// Phone number verification's: what SendSmsVerifyCode has sent.
	Success bool
	Model   []sendDetail
}

// querySendDetails answers from the inbox: what it dropped or what was
// emptied is not found. TotalCount is the longer list's: who reads one of them
// asks for another page until there is none.
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
	answer := sendDetails{
		Message: "OK", RequestID: c.requestID, Code: "OK", TotalCount: strconv.Itoa(max(len(sms), len(verify))),
		Success: true, Model: pageOf(verify, page, size),
	}
	answer.Details.Detail = pageOf(sms, page, size)
	return answer, nil
}

func pageOf(list []sendDetail, page, size int) []sendDetail {
	from := min((page-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}
