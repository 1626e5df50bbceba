package httpclient

import (
	"net/http"
	"testing"
	"time"
)

func TestClockOff(t *testing.T) {
	t.Parallel()
	there := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		date string
		off  time.Duration
		want string
	}{
		{there.Format(http.TimeFormat), 0, ""},
		{there.Format(http.TimeFormat), 59 * time.Second, ""},
		{there.Format(http.TimeFormat), -59 * time.Second, ""},
		{there.Format(http.TimeFormat), time.Minute, "this machine's clock is 1m0s ahead of the provider's; " + SetClock},
		{there.Format(http.TimeFormat), -17*time.Minute - 3400*time.Millisecond, "this machine's clock is 17m3s behind the provider's; " + SetClock},
		{"", time.Hour, ""},
		{"yesterday", time.Hour, ""},
	} {
		h := http.Header{}
		if c.date != "" {
			h.Set("Date", c.date)
		}
		if got := ClockOff(h, there.Add(c.off)); got != c.want {
			t.Errorf("Date %q, %s off: %q, want %q", c.date, c.off, got, c.want)
		}
	}
}
