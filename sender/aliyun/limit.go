package aliyun

import (
	"strings"
	"time"
)

// windows are the windows of Aliyun's recipient flow control, as the Message of
// isv.BUSINESS_LIMIT_CONTROL names them; 天级 is also the end of 号码天级, a number's
// day over all senders.
var windows = []struct {
	name string
	wait time.Duration
}{
	{"分钟级", time.Minute},
	{"小时级", time.Hour},
	{"天级", 24 * time.Hour},
}

// codeWindows are the windows of the codes whose Message names none, those of
// SendSmsVerifyCode: its Interval, of which 60 seconds are the default, and a
// number's day.
var codeWindows = map[string]time.Duration{
	"biz.FREQUENCY":          time.Minute,
	"FREQUENCY_FAIL":         time.Minute,
	"BUSINESS_LIMIT_CONTROL": 24 * time.Hour,
}

// LimitWindow returns how long the window lasts that a flow-control answer
// names, by its Message or else its Code; 0 where neither does.
func LimitWindow(code, message string) time.Duration {
	for _, w := range windows {
		if strings.Contains(message, w.name) {
			return w.wait
		}
	}
	return codeWindows[code]
}
