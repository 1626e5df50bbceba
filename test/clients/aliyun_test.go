package clients_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/testrig"
)

// modules holds Aliyun's SDKs.
const modules = "../../bin/npm/node_modules"

// TestAliyunSDKs calls the sandbox with Aliyun's SDKs for Node.js, which use signature V3.
func TestAliyunSDKs(t *testing.T) {
	asked(t)
	exists(t, filepath.Join(modules, "@alicloud"))
	sdk := language{name: "Aliyun's SDKs", dir: ".", env: []string{"NODE_PATH=" + absolute(t, modules)}}
	line := []string{program(t, "node"), "aliyun.cjs"}
	url := sandbox(t, "--access-key", "key:secret", "--access-key", "STS.key:secret:to/ken+==")
	endpoint := strings.TrimPrefix(url, "http://")

	for name, login := range map[string][]string{"key": {"key", "secret"}, "temporary key": {"STS.key", "secret", "to/ken+=="}} {
		t.Run(name, func(t *testing.T) {
			before := len(inbox(t, url))
			for action, a := range sdk.calls(t, line, append([]string{endpoint}, login...)...) {
				code, hasCode := a.Body["Code"] // mail has none
				if a.Error != "" || len(a.Body) == 0 || hasCode && code != "OK" {
					t.Errorf("%s: %+v", action, a)
				}
			}
			sent := inbox(t, url)
			if len(sent) != before+3 {
				t.Fatalf("%d messages in the inbox, %d before", len(sent), before)
			}
			mail, verify, sms := sent[0], sent[1], sent[2]
			check.Equal(t, "the mail's action", mail.Action, "SingleSendMail")
			check.Equal(t, "the mail's recipient", mail.To, "alice@example.com")
			check.Equal(t, "the subject", mail.Subject, "代码 & + * ~ ' ( ) !")
			check.Equal(t, "the HTML", mail.HTMLBody, "<p>代码 482915 &amp; + % ~</p>")
			check.Equal(t, "the verification's action", verify.Action, "SendSmsVerifyCode")
			check.Equal(t, "the verification's parameters", verify.TemplateParam, `{"code":"482914","min":"5"}`)
			check.Equal(t, "the SMS's action", sms.Action, "SendSms")
			check.Equal(t, "the SMS's recipient", sms.To, "13012345678")
			check.Equal(t, "the SMS's signature", sms.SignName, "示例 & + * ~ ' ( ) !")
			check.Equal(t, "the SMS's parameters", sms.TemplateParam, `{"code":"482913"}`)
		})
	}
	refused := map[string]struct {
		login []string
		code  string
	}{
		"wrong secret":  {[]string{"key", "wrong"}, "SignatureDoesNotMatch"},
		"unknown key":   {[]string{"nobody", "secret"}, "InvalidAccessKeyId.NotFound"},
		"without token": {[]string{"STS.key", "secret"}, "MissingSecurityToken"},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			before := len(inbox(t, url))
			for action, a := range sdk.calls(t, line, append([]string{endpoint}, tt.login...)...) {
				check.Equal(t, "the code for "+action, a.Error, tt.code)
			}
			check.Equal(t, "the number of messages in the inbox", len(inbox(t, url)), before)
		})
	}
}

// sdkAnswer is what a call of an SDK returned: the body of the answer, or the code of the error.
type sdkAnswer struct {
	Body  map[string]any
	Error string
}

// calls runs the program, which calls each action once.
func (l language) calls(t *testing.T, line []string, args ...string) map[string]sdkAnswer {
	t.Helper()
	r := l.start(t, line, args...)
	var answers map[string]sdkAnswer
	if err := json.Unmarshal([]byte(r.out), &answers); r.status != 0 || err != nil {
		t.Fatalf("status %d, %v\n%s%s", r.status, err, r.out, r.err)
	}
	check.Equal(t, "the number of actions", len(answers), 6)
	return answers
}

// sandbox starts codeferry sandbox without flow control, and returns its URL.
func sandbox(t *testing.T, args ...string) (url string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "codeferry")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/codeferry").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"sandbox", "--listen", "127.0.0.1:0", "--no-flow-control"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay, cmd.Stderr = check.Patience, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended by then
	first, err := bufio.NewReader(out).ReadString('\n')
	url, _, found := strings.Cut(strings.TrimPrefix(first, "sandbox on "), ",")
	if err != nil || !found {
		t.Fatalf("the sandbox said %q, %v", first, err)
	}
	return url
}

// inbox returns the sandbox's messages, newest first.
func inbox(t *testing.T, url string) []fakealiyun.Message {
	t.Helper()
	req, err := http.NewRequestWithContext(testrig.Context(t), http.MethodGet, url+"/inbox", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var list []fakealiyun.Message
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return list
}
