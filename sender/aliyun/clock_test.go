package aliyun

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

func TestAWrongClock(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		code   string
		status int
		off    time.Duration // of the clock here
		says   string
		class  sender.Class
	}{
		{"InvalidTimeStamp.Expired", 400, 20 * time.Minute, "this machine's clock is 20m0s ahead of the provider's; set it by NTP", sender.AccountDown},
		{"InvalidTimeStamp.Expired", 400, -20 * time.Minute, "this machine's clock is 20m0s behind the provider's; set it by NTP", sender.AccountDown},
		{"InvalidTimeStamp.Expired", 400, 0, "more than 15 minutes apart; set it by NTP", sender.AccountDown},
		{"InvalidSecurityToken.Expired", 400, -2 * time.Hour, "this machine's clock is 2h0m0s behind the provider's", sender.AccountDown},
		{"SignatureDoesNotMatch", 400, 0, "Aliyun said so", sender.AccountDown},
		{"SignatureNonceUsed", 400, 0, "Aliyun has had the same request before", sender.Unavailable},
		{"Throttling.User", 400, time.Hour, "Aliyun said so", sender.Throttled},
	} {
		h := http.Header{"Date": {now.Add(-c.off).UTC().Truncate(time.Second).Format(http.TimeFormat)}}
		e := answerError(&httpclient.Answer{Status: c.status, Header: h, Body: fmt.Appendf(nil, `{"Code":%q,"Message":"Aliyun said so","RequestId":"R"}`, c.code)}, nil)
		if e.Class != c.class || e.Code != c.code {
			t.Errorf("%s: %+v", c.code, e)
		}
		// A second may pass between the two clocks.
		detail := strings.NewReplacer("20m1s", "20m0s", "2h0m1s", "2h0m0s", "1h59m59s", "2h0m0s", "19m59s", "20m0s").Replace(e.Detail)
		if !strings.Contains(detail, c.says) || !strings.Contains(detail, "Aliyun said so") {
			t.Errorf("%s, %s off: %q, want %q and what Aliyun said", c.code, c.off, e.Detail, c.says)
		}
		if c.says == "Aliyun said so" && detail != c.says {
			t.Errorf("%s: %q says more than %q", c.code, detail, c.says)
		}
	}
}
