package ledger_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }
