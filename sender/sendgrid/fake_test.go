package sendgrid_test

import (
	"net/http/httptest"
	"testing"

	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
)

const key = fakesendgrid.Key

// newFake serves a fake until the test ends.
func newFake(t testing.TB) (s *fakesendgrid.Server, endpoint string) {
	t.Helper()
	s = new(fakesendgrid.Server)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}
