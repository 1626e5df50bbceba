package faults

import (
	"net/http"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
)

// hangFor is longer than the workers' time-out.
const hangFor = 2 * time.Second

// mishap is a failure of one request.
type mishap struct {
	name string
	// accept says whether the sandbox gets the request first.
	accept bool
	answer http.HandlerFunc
}

// mischief are the mishaps for a share of all requests, all equally likely.
var mischief = []mishap{
	{"cut before", false, faulty.Cut},
	{"cut after", true, faulty.Cut},
	{"hang before", false, faulty.Hang(hangFor)},
	{"hang after", true, faulty.Hang(hangFor)},
	{"HTML 502 before", false, faulty.BadGateway},
	{"HTML 502 after", true, faulty.BadGateway},
	{"empty 200 before", false, faulty.Empty},
	{"empty 200 after", true, faulty.Empty},
	{"numeric Code before", false, faulty.Answer(http.StatusInternalServerError, `{"Code":500,"Message":7,"RequestId":null}`)},
	{"numeric Code after", true, faulty.Answer(http.StatusInternalServerError, `{"Code":500,"Message":7,"RequestId":null}`)},
	{"throttling", false, says(http.StatusBadRequest, "Throttling.User", "m")},
	{"503", false, says(http.StatusServiceUnavailable, "ServiceUnavailable", "m")},
	{"system error after", true, says(http.StatusOK, "isp.SYSTEM_ERROR", "m")},
	outOfMoney,
}

// outOfMoney lasts for a while.
var outOfMoney = mishap{"out of money", false, says(http.StatusOK, "isv.AMOUNT_NOT_ENOUGH", "m")}

// says answers with a code of the API.
func says(status int, code, message string) http.HandlerFunc {
	return faulty.Answer(status, `{"RequestId":"0","HostId":"x","Code":"`+code+`","Message":"`+message+`"}`)
}

// accountDown is how long an account is out of money.
const accountDown = 300 * time.Millisecond
