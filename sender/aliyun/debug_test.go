package aliyun_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// who names the environment variable that selects the client in the process that
// TestDebugPrintsNothing starts.
const who = "CODEFERRY_TEST_WHO"

// TestDebugPrintsNothing: with DEBUG=sdk the SDK's client prints everything that it
// sends, and ours prints nothing. The variable is read when a process starts, so each
// client sends in its own process.
func TestDebugPrintsNothing(t *testing.T) {
	switch os.Getenv(who) {
	case "codeferry":
		srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
		if err := send(t.Context(), newClient(t, options(srv.Endpoint)), form(phone)); err != nil {
			t.Fatal(err)
		}
		return
	case "the SDK":
		srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
		c, err := dysmsapi.NewClientWithAccessKey("cn-hangzhou", "testid", "testsecret")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Shutdown()
		r := dysmsapi.CreateSendSmsRequest()
		r.Scheme, r.Domain, r.PhoneNumbers = requests.HTTP, strings.TrimPrefix(srv.Endpoint, "http://"), phone
		if _, err := c.SendSms(r); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, c := range []struct {
		who    string
		prints bool
	}{{"codeferry", false}, {"the SDK", true}} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDebugPrintsNothing$")
		cmd.Env = append(os.Environ(), "DEBUG=sdk", who+"="+c.who, "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("the process failed: %v\n%s", err, out)
		}
		if got := strings.Contains(string(out), phone); got != c.prints {
			t.Errorf("%s prints the number: %t, want %t\n%s", c.who, got, c.prints, out)
		}
		if !c.prints && strings.TrimSpace(string(out)) != "PASS" && !strings.HasPrefix(string(out), "PASS\ncoverage:") {
			t.Errorf("%s prints %q", c.who, out)
		}
	}
}
