package httpclient

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestTheNetworkIsCut: without acknowledgements, a request ends long before its deadline.
func TestTheNetworkIsCut(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, c *Client, s, _ *site) {
		s.keep(t, c)
		if err := s.relay.Vanish(); err != nil {
			t.Fatal(err)
		}
		r := post(t, s.url, "a")
		r.Deadline = time.Now().Add(2 * time.Minute)
		_, _, err := ask(t.Context(), c, r)
		if !time.Now().Before(r.Deadline) {
			t.Error("the request ended only by its own deadline")
		}
		sendertest.WantCode(t, Failure(err, Codes{ReadTimeout: "late"}), sender.Unknown, "late")
		if !left(t, err) {
			t.Errorf("the request has not left: %v", err)
		}
		if _, _, err := ask(t.Context(), c, patient(post(t, s.url, "b"))); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}
