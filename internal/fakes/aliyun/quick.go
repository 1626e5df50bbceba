package aliyun

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// Quick answers as Aliyun does, without checking the requests: it is for measurements, in
// which the provider must cost little.
type Quick struct {
	// Latency is how long the answer to a send takes. Default: no time.
	Latency time.Duration
	// Take is called with the form of each send request, and reports whether to accept it;
	// a refused one gets a 503. Many goroutines can call it at once.
	Take func(form string) bool
}

const (
	quickAccepted = `{"Message":"OK","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f","BizId":"607300000000000000^0","Code":"OK","EnvId":"600000004000000001"}`
	quickNotFound = `{"Message":"OK","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f","Code":"OK","TotalCount":"0","SmsSendDetailDTOs":{"SmsSendDetailDTO":[]}}`
	quickRefused  = `{"Message":"try again","RequestId":"873043ac-bcda-44db-9052-2e204c6ed20f","Code":"ServiceUnavailable"}`
)

// ServeHTTP serves the API.
func (q *Quick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.URL.RawQuery, "Action=QuerySendDetails") {
		_, _ = io.WriteString(w, quickNotFound)
		return
	}
	accepted := q.Take(string(body))
	if q.Latency > 0 {
		timer := time.NewTimer(q.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if !accepted {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, quickRefused)
		return
	}
	_, _ = io.WriteString(w, quickAccepted)
}
