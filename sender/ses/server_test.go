package ses_test

import (
	"net/http/httptest"
	"testing"

	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
)

// serve serves a fake until the test ends.
func serve(t testing.TB, s *fakeses.Server) string {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL
}
