package smtp_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Wide(2)
	testmain.NoLeaks(m)
}
