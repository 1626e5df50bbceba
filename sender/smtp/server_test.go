package smtp_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/standin"
)

type (
	server = standin.SMTP
	script = standin.SMTPScript
	talk   = standin.SMTPTalk
	mail   = standin.SMTPMail
)

// serve serves until the test ends.
func serve(t testing.TB, sc script) *server {
	t.Helper()
	return standin.ServeSMTP(t, sc)
}
