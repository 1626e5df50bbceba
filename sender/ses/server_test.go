package ses_test

import (
	"net/http/httptest"
	"testing"

	"github.com/codeferry/codeferry/internal/standin"
)

// serve serves a stand-in until the test ends.
func serve(t testing.TB, s *standin.SES) string {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}
