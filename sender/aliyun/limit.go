package aliyun

import (
	"strings"
	"time"
)

// windows are the windows of Aliyun's flow control per recipient, by their names in the
// Message of isv.BUSINESS_LIMIT_CONTROL. 天级 also ends 号码天级, a number's day over all
// senders.
var windows = []struct {
	name string
	wait time.Duration
}{
	{"分钟级", time.Minute},
	{"小时级", time.Hour},
	{"天级", 24 * time.Hour},
}

// codeWindows are the windows of SendSmsVerifyCode's codes, whose Message names no
// window: its Interval, by default 60 seconds, and a number's day.
var codeWindows = map[string]time.Duration{
	"biz.FREQUENCY":          time.Minute,
	"FREQUENCY_FAIL":         time.Minute,
	"BUSINESS_LIMIT_CONTROL": 24 * time.Hour,
}

// LimitWindow returns the length of the window that a flow-control answer names, by its
// Message or else by its Code; 0 if neither names one.
func LimitWindow(code, message string) time.Duration {
	for _, w := range windows {
		if strings.Contains(message, w.name) {
			return w.wait
		}
	}
	return codeWindows[code]
}
