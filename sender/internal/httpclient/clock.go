package httpclient

import (
	"net/http"
	"time"
)

// clockAgrees is how far a Date header can be from a correct clock: it has whole seconds
// and is as old as the answer.
const clockAgrees = time.Minute

// ClockOff says how far this machine's clock is from the server's, by the answer's Date
// (RFC 9110, 6.6.1), and what to do. It is empty if they agree, or if there is no Date.
// now is this machine's time when the answer came.
func ClockOff(h http.Header, now time.Time) string {
	there, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return ""
	}
	off, way := now.Sub(there), "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	if off < clockAgrees {
		return ""
	}
	return "this machine's clock is " + off.Round(time.Second).String() + " " + way + " the provider's; " + SetClock
}

// SetClock is the advice if a clock is wrong.
const SetClock = "set it by NTP (chrony, systemd-timesyncd)"
