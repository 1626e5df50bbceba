package ses_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

// local runs aws-ses-v2-local until the test ends. It is an independent program that
// checks a SendEmail against its own schema.
func local(t *testing.T) (endpoint string) {
	t.Helper()
	const install = "make deps installs it; then run make test"
	entry := sendertest.File(t, "CODEFERRY_SES_LOCAL", install)
	node := sendertest.Program(t, "node", "Node.js 20 or later")
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, node, entry, "--host", "127.0.0.1", "--port", "0")
	cmd.Env = []string{"AWS_SES_ACCOUNT=" + strings.Replace(fakeses.Account, "{", `{"Details":{"AdditionalContactEmailAddresses":[],"ContactLanguage":"EN","MailType":"TRANSACTIONAL",`+
		`"ReviewDetails":{"CaseId":"1","Status":"GRANTED"},"UseCaseDescription":"codes","WebsiteURL":"https://example.com"},"SuppressionAttributes":{"SuppressedReasons":[]},`, 1)}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "server running at "); ok {
			return strings.TrimSuffix(address, "/")
		}
	}
	t.Fatalf("it did not start: %v", lines.Err())
	return ""
}

// TestLocal: an independent implementation of the API accepts what is sent, and returns
// it byte for byte.
func TestLocal(t *testing.T) {
	endpoint := local(t)
	s := connector(t, endpoint, func(c *ses.Config) { c.ReplyTo, c.ConfigurationSetName = "help@example.com", "set-1" })
	receipt, err := s.Send(t.Context(), render(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if err := sendertest.Check(t, s); err != nil {
		t.Error(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint+"/store", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var store struct {
		Emails []struct {
			MessageID     string `json:"messageId"`
			From, Subject string
			ReplyTo       []string
			Destination   struct{ To, Cc, Bcc []string }
			Body          struct{ HTML, Text string }
		}
	}
	if err := json.Unmarshal(body, &store); err != nil {
		t.Fatalf("the store is not JSON: %v: %s", err, body)
	}
	if len(store.Emails) != 1 {
		t.Fatalf("the store has %d emails, want 1: %s", len(store.Emails), body)
	}
	got, w := store.Emails[0], want()
	simple := w.Content.Simple
	if got.From != w.FromEmailAddress || got.Subject != simple.Subject.Data || got.Body.HTML != simple.Body.HTML.Data || got.Body.Text != simple.Body.Text.Data ||
		len(got.Destination.To) != 1 || got.Destination.To[0] != to || len(got.Destination.Cc)+len(got.Destination.Bcc) != 0 ||
		len(got.ReplyTo) != 1 || got.ReplyTo[0] != "help@example.com" || got.MessageID != receipt.ProviderID {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}

	// Its refusals have no code that SES has, and stay doubt.
	_, err = s.Send(t.Context(), &sender.Message{To: to, Subject: "without a body"})
	sendertest.Want(t, err, sender.Unknown)
}
