package jetpull

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) {
	testmain.Wide(2)
	testmain.NoLeaks(m)
}

const (
	testStream   = "WORK"
	testConsumer = "sms"
	testAckWait  = time.Minute
)
