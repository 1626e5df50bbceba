package sendgrid_test

import (
	"net/http/httptest"
	"testing"

	"github.com/codeferry/codeferry/internal/standin"
)

const key = standin.SendGridKey

// newStandIn serves a stand-in until the test ends.
func newStandIn(t testing.TB) (s *standin.SendGrid, endpoint string) {
	t.Helper()
	s = new(standin.SendGrid)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}
