package broker

import (
	"testing"

	"github.com/codeferry/codeferry/sender"
)

// TestInboxExample: the advice names the inboxes of the user's own role.
func TestInboxExample(t *testing.T) {
	t.Parallel()
	command := Settings{InboxPrefix: "--inbox-prefix"}
	for _, tt := range []struct {
		target Target
		want   string
	}{
		{Target{User: "provisioner", Password: sender.NewSecret("p"), Settings: command}, "_INBOX_provisioner"},
		{Target{URL: "nats://publisher:p@a", Settings: command}, "_INBOX_publisher"},
		{Target{User: "worker"}, "_INBOX_worker (for a command, --inbox-prefix)"},
		{Target{Creds: "x.creds", Settings: command}, "_INBOX_ and the name of the role (_INBOX_worker)"},
		{Target{User: "a *", Settings: command}, "_INBOX_ and the name of the role (_INBOX_worker)"},
	} {
		if got := tt.target.inboxExample(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.target, got, tt.want)
		}
	}
}
