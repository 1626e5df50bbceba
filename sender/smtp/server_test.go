package smtp_test

import (
	"testing"

	fakesmtp "github.com/codeferry/codeferry/internal/fakes/smtp"
)

type (
	server = fakesmtp.Server
	script = fakesmtp.Script
	talk   = fakesmtp.Talk
	mail   = fakesmtp.Mail
)

// serve serves until the test ends.
func serve(t testing.TB, sc script) *server {
	t.Helper()
	return fakesmtp.Serve(t, sc)
}
