package broker

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// need is a subject to which a worker publishes, and a message for it that changes nothing.
type need struct {
	subject string
	// permission is the subject to permit. Default: subject, in general.
	permission string
	// what the worker needs it for.
	what   string
	data   string
	header nats.Header
	// minor says that codes are sent without it.
	minor bool
}

// invalid is no JSON. A request with it is refused as such, and does nothing. It begins with a
// brace: a request for messages takes any other text for a number of them.
const invalid = `{"codeferry check`

// nobody stands in a subject for an app, a key or a consumer that does not exist.
const nobody = "codeferry-check"

// needs returns what a worker publishes to. notTried says what can't be tried without an effect.
func needs(t Target) (all []need, notTried string) {
	api, ledger := apiSubjects(t.APIPrefix, t.Domain), "$KV."+wire.LedgerName+"."
	elsewhere := t.Domain != "" || t.APIPrefix != ""
	if elsewhere {
		ledger = api + ledger
	}
	for _, name := range []string{wire.StreamName, wire.OutcomesName, wire.DeadName, wire.LedgerStream} {
		all = append(all, need{subject: api + "STREAM.INFO." + name, what: "to check the stream"})
	}
	for _, c := range messages.Channels() {
		all = append(all,
			need{subject: api + "CONSUMER.INFO." + wire.StreamName + "." + string(c), what: "to check the consumer"},
			need{subject: api + "CONSUMER.MSG.NEXT." + wire.StreamName + "." + string(c), what: "to receive messages", data: invalid},
		)
		if !elsewhere {
			// Too short to be that of a message.
			all = append(all, need{subject: "$JS.ACK." + wire.StreamName + "." + string(c) + "." + nobody, what: "to settle messages"})
		}
	}
	// The stream refuses a message that is for another one.
	refused := nats.Header{jetstream.ExpectedStreamHeader: {nobody}}
	all = append(all,
		need{subject: api + "STREAM.MSG.GET." + wire.StreamName, what: "to check for a newer code", data: `{"last_by_subj":"` + nobody + `"}`},
		need{subject: api + "STREAM.MSG.DELETE." + wire.StreamName, what: "to remove messages that are no longer handed out", data: invalid},
		need{subject: ledger + nobody, what: "to write the ledger", header: refused},
		need{subject: api + "DIRECT.GET." + wire.LedgerStream + ".$KV." + wire.LedgerName + "." + nobody, what: "to read the ledger"},
		need{subject: api + "STREAM.PURGE." + wire.LedgerStream, what: "to clean up the ledger", minor: true, data: invalid},
		need{
			subject:    api + "CONSUMER.CREATE." + wire.OutcomesName + "." + nobody + "." + wire.OutcomeSubject("*", "*", messages.StatusSent),
			permission: api + "CONSUMER.CREATE." + wire.OutcomesName + ".*." + wire.OutcomeSubject("*", "*", messages.StatusSent),
			what:       "to find what was sent before a restart of NATS", data: invalid,
		},
		need{subject: api + "CONSUMER.MSG.NEXT." + wire.OutcomesName + "." + nobody, what: "to find what was sent before a restart of NATS", data: invalid},
		// The stream refuses it, but whoever subscribes to dead letters without JetStream gets an
		// empty message. It is tried all the same: without this permission no message that fails
		// is ever done.
		need{subject: wire.DeadSubject(nobody, messages.SMS, messages.ReasonInvalid), permission: "codeferry.dead.>", what: "to store dead letters", header: refused},
		need{subject: api + "DIRECT.GET." + wire.DeadName, what: "to count dead letters", minor: true, data: invalid},
	)
	// Auth services subscribe to outcomes without JetStream, and would get the message.
	notTried = wire.OutcomeSubject("*", "*", "*")
	if elsewhere {
		notTried += ", $JS.ACK." + wire.StreamName + ".>"
	}
	return all, notTried
}

// TryPermissions finds out whether the server permits t's user what a worker publishes. It
// changes nothing: the server refuses each of its requests, or
// there is nothing that they could affect. Only a subscriber of codeferry.dead.> without JetStream
// gets an empty message. tried says what was tried and what was not. It uses
// a connection of its own, and blocks until the server has read everything or ctx ends.
func TryPermissions(ctx context.Context, t Target) (findings []Finding, tried string, err error) {
	all, notTried := needs(t)
	of := make(map[string]need)
	for _, n := range all {
		of[general(n.subject)] = n
	}
	seen := make(map[string]bool)
	t.Denied = func(err error) { // the goroutine of the connection's callbacks calls it
		operation, subject := Denial(err)
		if seen[subject] {
			return
		}
		seen[subject] = true
		n := of[subject]
		text := fmt.Sprintf("NATS does not permit this user to %s to %s", operation, cmp.Or(n.permission, subject))
		if n.what != "" {
			text += ", which a worker needs " + n.what
		}
		findings = append(findings, Finding{Text: text + "; docs/roles.md lists the permissions of a worker", Wrong: !n.minor})
	}
	nc, err := Connect(ctx, t, zerolog.Nop())
	if err != nil {
		return nil, "", err
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) }) // it is called after every call of Denied
	err = tryAll(ctx, nc, all)
	nc.Close()
	<-closed
	if err != nil {
		return nil, "", fmt.Errorf("try the permissions: %w", err)
	}
	return findings, fmt.Sprintf("%d operations of a worker tried, without a change; not tried: %s", len(all), notTried), nil
}

// tryAll publishes everything. The server answers the flush after it has refused what it does
// not permit.
func tryAll(ctx context.Context, nc *nats.Conn, all []need) error {
	reply := nc.NewInbox()
	for _, n := range all {
		if err := nc.PublishMsg(&nats.Msg{Subject: n.subject, Reply: reply, Header: n.header, Data: []byte(n.data)}); err != nil {
			return err
		}
	}
	return nc.FlushWithContext(ctx)
}

// apiSubjects returns what the subjects of JetStream's API begin with, with the last dot.
func apiSubjects(prefix, domain string) string {
	switch {
	case prefix != "":
		return strings.TrimSuffix(prefix, ".") + "."
	case domain != "":
		return "$JS." + domain + ".API."
	}
	return jetstream.DefaultAPIPrefix
}
