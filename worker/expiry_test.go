package worker_test

import (
	"fmt"
	"testing"
	"time"

	fakesmtp "github.com/codeferry/codeferry/internal/fakes/smtp"
	"github.com/codeferry/codeferry/messages"
)

// TestAMailServerThatIsSlowTakesNoExpiredCode: the server answers one of the commands
// before the message only after the code has expired.
func TestAMailServerThatIsSlowTakesNoExpiredCode(t *testing.T) {
	t.Parallel()
	for command, answer := range map[string]string{"GREETING": "220 here", "MAIL": "250 fine", "RCPT": "250 fine", "DATA": "354 go on"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			taken := make(chan time.Time, 10)
			srv := fakesmtp.Serve(t, fakesmtp.Script{On: map[string]func(*fakesmtp.Talk, string) bool{
				command: func(talk *fakesmtp.Talk, _ string) bool {
					<-over
					return talk.Say(answer)
				},
				"END": func(talk *fakesmtp.Talk, _ string) bool {
					taken <- time.Now()
					return talk.Say("250 taken")
				},
			}})
			r := newRig(t, fmt.Sprintf(`
  mail:
    type: smtp
    host: %s
    port: %d
    fromEmail: no-reply@mail.example.com
    auth: {type: login, user: u, pass: p}
    ignoreTLS: true
    templates: `, srv.Host, srv.Port)+templates, route("mail"))
			r.start()
			expires := time.Now().Add(500 * time.Millisecond)
			id := r.email(1, `,"expiresAt":"`+expires.UTC().Format(time.RFC3339Nano)+`"`)
			story := r.story(id)
			close(over)
			if last := story[len(story)-1]; last.Status != messages.StatusDead || last.Reason != messages.ReasonExpired {
				t.Errorf("the last outcome is %s %s, want dead expired: %s", last.Status, last.Reason, last.Detail)
			}
			select {
			case at := <-taken:
				t.Errorf("the mail server accepted the code %v after it had expired", at.Sub(expires))
			default:
			}
		})
	}
}
