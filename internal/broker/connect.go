package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// dialTimeout limits the dial to one server, and then the wait for its first line: a frozen
// server accepts the connection and says nothing.
const dialTimeout = 2 * time.Second

// Connect connects once; an error says which server it could not reach, or which setting
// is wrong. One of these is the inboxes' prefix: no answer can arrive if the server refuses it.
// After that, the connection reconnects by itself for as long as it takes, with
// the pings, time-outs and servers of messages.Connect, and log says when it was lost and
// restored. Each connection reads the files of t again. A publish while the connection is
// lost fails at once.
//
// It blocks until it is connected or each server has failed. If ctx ends first, Connect ends at
// once, with the cause. After Connect, ctx has no effect on the connection.
func Connect(ctx context.Context, t Target, log zerolog.Logger) (*nats.Conn, error) {
	servers, err := t.servers()
	if err != nil {
		return nil, err
	}
	login, err := t.options()
	if err != nil {
		return nil, err
	}
	dial := newDialer(ctx, dialTimeout)
	defer dial.release()
	w := &watch{target: t, log: log, seldom: newSeldom(time.Now), login: newSeldom(time.Now), random: rand.Float64}
	opts := append([]nats.Option{
		nats.Name(t.Name),
		nats.Timeout(dialTimeout),
		nats.SetCustomDialer(dial),
		nats.SkipHostLookup(), // the dialer does it
		nats.CustomReconnectDelay(w.delay),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				w.away(err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { w.back(nc.ConnectedAddr()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if w.conn.Load() == nil && errors.Is(err, nats.ErrPermissionViolation) {
				return // Connect returns it
			}
			w.failed(err)
		}),
	}, login...)
	nc, err := messages.Connect(strings.Join(servers, ","), opts...)
	if ctx.Err() == nil && err != nil {
		t.URL, err = t.bestError(servers, opts, err)
	}
	if ctx.Err() != nil {
		if err == nil {
			nc.Close()
		}
		return nil, fmt.Errorf("connect to NATS at %s: %w", Redacted(t.URL), context.Cause(ctx))
	}
	if err != nil {
		return nil, t.connectError(err)
	}
	if err := t.checkInbox(ctx, nc); err != nil {
		nc.Close()
		return nil, err
	}
	w.conn.Store(nc)
	return nc, nil
}

// checkInbox returns an error if the server refuses the connection's inboxes. It returns nil
// if the server does not answer: the first request says so.
func (t Target) checkInbox(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	err := wire.CheckInbox(ctx, nc)
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	return fmt.Errorf("NATS at %s does not permit this user to receive answers at %s.>; set %s, such as %s (docs/roles.md has the permissions of each role): %w",
		Redacted(t.URL), cmp.Or(t.InboxPrefix, "_INBOX"), t.Settings.named().InboxPrefix, t.inboxExample(), err)
}

// inboxExample returns what the inboxes' prefix should be: each role has its own, named after
// its user.
func (t Target) inboxExample() string {
	example := "_INBOX_ and the name of the role (_INBOX_worker)"
	if user := t.LoginName(); user != "" && config.ValidInboxPrefix("_INBOX_"+user) {
		example = "_INBOX_" + user
	}
	if t.Settings.InboxPrefix == "" {
		example += " (for a command, --inbox-prefix)"
	}
	return example
}

// bestError returns the error that says most, if none of the servers could be connected to, and
// the URL of the server that it is about; all of them if that is not known. The client returns
// the error of the server that it tried last, in a random order. If that one could not be
// reached, another one may have refused the login.
func (t Target) bestError(servers []string, opts []nats.Option, err error) (at string, best error) {
	if _, wrong := errors.AsType[*settingError](err); wrong || len(servers) < 2 {
		return t.URL, err
	}
	for i, s := range servers {
		nc, alone := messages.Connect(s, opts...)
		if alone == nil {
			nc.Close() // the next try of the whole list succeeds
			return t.URL, err
		}
		if !unreachable(alone) {
			return strings.Split(t.URL, ",")[i], alone
		}
	}
	return t.URL, err
}

// Redacted returns servers' URLs without their passwords and tokens.
func Redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, s := range list {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			list[i] = "[an invalid address]" // it may hold a password
			continue
		}
		u.User = nil
		list[i] = u.String()
	}
	return strings.Join(list, ",")
}
