package aliyun

import (
	"net/http"
	"strings"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// explainClock adds advice to a refusal that a wrong clock can cause: by how much the
// clock is off, and what to do. With a wrong clock, expired keys also look valid.
func explainClock(e *sender.Error, h http.Header, now time.Time) {
	why := ""
	stamp := strings.HasPrefix(e.Code, "InvalidTimeStamp.Expired")
	if stamp || e.Class == sender.AccountDown {
		why = httpclient.ClockOff(h, now)
	}
	switch {
	case why == "" && stamp:
		why = "this machine's clock and Aliyun's are more than 15 minutes apart; " + httpclient.SetClock
	case e.Code == "SignatureNonceUsed":
		why = "Aliyun has had the same request before; does something between here and Aliyun repeat requests?"
	}
	if why != "" {
		e.Detail = strings.TrimSuffix(why+": "+e.Detail, ": ")
	}
}
