package jetpull

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Wide(2)
	goleak.VerifyTestMain(m)
}

const (
	testStream   = "WORK"
	testConsumer = "sms"
	testAckWait  = time.Minute
)
