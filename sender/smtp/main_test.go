package smtp_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Wide(2)
	goleak.VerifyTestMain(m)
}
