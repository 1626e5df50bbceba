package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// hub is a nats-server with JetStream in the domain hub, which takes leaf nodes.
func hub(t *testing.T) (s *natstest.Server, leaves *url.URL) {
	t.Helper()
	s = natstest.StartWith(t, &server.Options{
		ServerName: "hub", JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "hub",
		LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT},
	})
	v, err := s.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, &url.URL{Scheme: "nats-leaf", Host: fmt.Sprintf("127.0.0.1:%d", v.LeafNode.Port)}
}

// awaitHub waits until the hub's JetStream answers at a leaf node.
func awaitHub(t *testing.T, leaf string, opts ...nats.Option) {
	t.Helper()
	nc, err := nats.Connect(leaf, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	check.Eventually(t, "the leaf node reaches the hub", func() bool {
		_, err := nc.Request("$JS.hub.API.INFO", nil, time.Second)
		return err == nil
	})
}

// elsewhere is a NATS server whose JetStream does not answer on the default subjects.
type elsewhere struct {
	// Clients connect to url. field, flags and target say where JetStream is: in a
	// configuration, on the command line, and in Go.
	url, field string
	flags      []string
	target     broker.Target
	// js is connected to the server that has the streams.
	js jetstream.JetStream
}

// overALeaf has no JetStream itself, but a leaf node connection to a hub with JetStream.
func overALeaf(t *testing.T) elsewhere {
	t.Helper()
	s, leaves := hub(t)
	leaf := natstest.StartWith(t, &server.Options{ServerName: "leaf", LeafNode: server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{leaves}}}}})
	awaitHub(t, leaf.ClientURL())
	return elsewhere{leaf.ClientURL(), "domain: hub", []string{"--js-domain", "hub"}, broker.Target{Domain: "hub"}, jetStream(t, s.ClientURL())}
}

// importers are the users of the importing account: one may only publish to imported subjects,
// and one may do everything.
const importers = `AUTH {
    users = [
      {
        user: guest, password: pass-guest
        permissions {
          publish: ["js.codeferry.API.>", "$JS.ACK.>", "codeferry.send.>", "codeferry.outcome.>", "codeferry.dead.>"]
          subscribe: ["_INBOX.>", "codeferry.outcome.>"]
        }
      }
      {user: anyone, password: pass-anyone}
    ]`

// overAnImport has an account without JetStream that imports the JetStream of another account,
// as docs/roles.md shows.
func overAnImport(t *testing.T) elsewhere {
	t.Helper()
	shown := blocks(t, "conf")[root+"/docs/roles.md"]
	if len(shown) != 1 {
		t.Fatalf("docs/roles.md shows %d configurations of nats-server", len(shown))
	}
	text := strings.NewReplacer("  AUTH {", "  "+importers, "jetstream: enabled", "jetstream: enabled, users: [{user: owner, password: pass-owner}]").Replace(shown[0])
	opts, err := server.ProcessConfigFile(write(t, "nats.conf", text))
	if err != nil {
		t.Fatal(err)
	}
	opts.JetStream, opts.StoreDir = true, t.TempDir()
	addr := natstest.StartWith(t, opts).Addr().String()
	return elsewhere{
		"nats://guest:pass-guest@" + addr, "apiPrefix: js.codeferry.API",
		[]string{"--js-api-prefix", "js.codeferry.API."},
		broker.Target{APIPrefix: "js.codeferry.API"},
		jetStream(t, "nats://owner:pass-owner@"+addr),
	}
}

// config writes a configuration for the server. It adds fields to nats.*, and more at the end.
func (e elsewhere) config(t *testing.T, sandboxURL, fields, more string) string {
	t.Helper()
	return write(t, "codeferry.yaml", strings.NewReplacer(`{url: "nats://NATS"}`, fmt.Sprintf("{url: %q, %s%s}", e.url, e.field, fields), "SANDBOX", sandboxURL).Replace(configText)+more)
}

// listen subscribes to outcomes until one is wanted. The function that it returns waits for
// that.
func (e elsewhere) listen(t *testing.T, wanted func(messages.Outcome) bool) (wait func()) {
	t.Helper()
	nc, err := messages.Connect(e.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	opts := messages.OutcomesOptions{Since: time.Now().Add(-time.Minute), Domain: e.target.Domain, APIPrefix: e.target.APIPrefix}
	ctx, stop := context.WithTimeoutCause(context.WithoutCancel(t.Context()), patience, errors.New("the outcome does not come"))
	ended := make(chan error, 1)
	go func() {
		ended <- messages.SubscribeOutcomes(ctx, nc, opts, func(_ context.Context, o messages.Outcome) error {
			if wanted(o) {
				stop()
			}
			return nil
		})
	}()
	return func() {
		t.Helper()
		if err := <-ended; err != nil || !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Fatal(err, context.Cause(ctx))
		}
	}
}

// TestCommandsReachJetStreamElsewhere runs every command that uses NATS, with the flag or the
// configuration that says where JetStream is.
func TestCommandsReachJetStreamElsewhere(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) elsewhere{"over a leaf node": overALeaf, "over an account's import": overAnImport} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
			sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
			cfg := e.config(t, sandboxURL, "", "")
			byFlag := slices.Concat([]string{"--nats", e.url}, e.flags)
			byConfig := []string{"-c", cfg}
			with := func(args, more []string) result { return call(t, slices.Concat(args, more)...) }

			if r := call(t, "check", "-c", cfg).want(t, 0); !strings.Contains(r.out, "the first worker creates the streams, or codeferry provision -c "+cfg) {
				t.Errorf("check before the streams: %s", r.out)
			}
			with([]string{"provision"}, byFlag).want(t, 0)
			with([]string{"provision"}, byConfig).want(t, 0)
			if _, err := e.js.Stream(t.Context(), wire.StreamName); err != nil {
				t.Fatal(err)
			}
			// The connected server can't know how many servers keep the streams.
			if r := call(t, "check", "-c", e.config(t, sandboxURL, ", replicas: 3", "")).want(t, 0); !strings.Contains(r.out, "the streams and consumers exist") {
				t.Errorf("check: %s", r.out)
			}

			now := time.Now().UTC()
			store := func(subject string, what any) {
				t.Helper()
				b, err := json.Marshal(what)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := e.js.Publish(t.Context(), subject, b); err != nil {
					t.Fatal(err)
				}
			}
			id := messages.NewID(now)
			store(wire.DeadSubject("default", messages.SMS, messages.ReasonRejected), messages.DeadLetter{
				ID: id, App: "default", Channel: messages.SMS, Type: messages.SignIn, To: "+86130****5678", Reason: messages.ReasonRejected, DeadAt: now,
			})
			store(wire.OutcomeSubject("default", messages.SMS, messages.StatusDead), messages.Outcome{
				ID: id, App: "default", Channel: messages.SMS, Status: messages.StatusDead, Reason: messages.ReasonRejected, At: now,
			})
			for _, args := range [][]string{
				{"status", id}, {"dead", "list"}, {"dead", "list", "--limit", "0"}, {"dead", "list", "--summary"}, {"dead", "show", id},
			} {
				for _, flags := range [][]string{byFlag, byConfig} {
					if r := with(args, flags).want(t, 0); !strings.Contains(r.out, "rejected") {
						t.Errorf("%v %v: %s", args, flags, r.out)
					}
				}
			}
			if r := with([]string{"dead", "replay", "--all", "--dry-run"}, byFlag).want(t, 0); !strings.Contains(r.out, "not kept") {
				t.Errorf("dead replay: %s", r.out)
			}
			if r := with([]string{"dead", "delete", id, "--yes"}, byConfig).want(t, 0); !strings.HasPrefix(r.out, "1 ") {
				t.Errorf("dead delete: %s", r.out)
			}
			if r := with([]string{"dead", "list"}, byFlag).want(t, 0); r.out != "no dead letters\n" {
				t.Errorf("dead list at the end: %s", r.out)
			}
			send := []string{"send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456"}
			with(send, byFlag).want(t, 0)
			with(send, byConfig).want(t, 0)
			if s, err := e.js.Stream(t.Context(), wire.StreamName); err != nil || s.CachedInfo().State.Msgs != 2 {
				t.Errorf("the stream does not have both codes: %v", err)
			}
		})
	}
}

// TestAWorkerReachesJetStreamElsewhere: the worker creates the streams, sends, retries, and
// sends a replayed dead letter, with its claims in the ledger.
func TestAWorkerReachesJetStreamElsewhere(t *testing.T) {
	t.Parallel()
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range map[string]func(*testing.T) elsewhere{"over a leaf node": overALeaf, "over an account's import": overAnImport} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			bench := slices.Concat([]string{"bench", "-n", "50", "--claims", "on", "--json", "--nats", e.url}, e.flags)
			if r := call(t, bench...).want(t, 0); !strings.Contains(r.out, `"sent":50`) {
				t.Errorf("bench: %s", r.out)
			}

			box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
			sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
			fetch(t, http.MethodPut, sandboxURL+"/settings", `{"flowControl": false}`)
			cfg := e.config(t, sandboxURL, "", fmt.Sprintf("sealing: {keys: [%s]}\nworker: {claims: on, retry: {initialInterval: 20ms}}\n", secret))
			run := spawn(t, "run", "-c", cfg, "--log-format", "text")
			awaitReady(t, "http://"+run.find(`listen=(\S+)`)[1])
			send := []string{"send", "-c", cfg, "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s", "--json"}
			call(t, send...).want(t, 0)

			faults := func(list string) {
				t.Helper()
				if status, text := fetch(t, http.MethodPut, sandboxURL+"/faults", list); status != http.StatusNoContent {
					t.Fatal(status, text)
				}
			}
			faults(`[{"action":"SendSms","code":"Throttling.User","count":1}]`)
			if r := call(t, send...).want(t, 0); !strings.Contains(r.out, "retrying") {
				t.Errorf("a retry: %s", r.out)
			}
			faults(`[{"action":"SendSms","code":"isv.MOBILE_NUMBER_ILLEGAL","count":1}]`)
			id := ids(t, call(t, send...).want(t, exitFailed).out)[0]
			replayed := e.listen(t, func(o messages.Outcome) bool { return o.ID == id && o.Epoch == 1 && o.Status == messages.StatusSent })
			call(t, "dead", "replay", id, "--yes", "-c", cfg).want(t, 0)
			replayed()
			if status := run.stop(); status != 0 {
				t.Errorf("exit status %d: %s", status, run.output())
			}
			if r := call(t, "status", id, "-c", cfg).want(t, 0); !strings.Contains(r.out, ", replay 1 (") {
				t.Errorf("the status of a replay: %s", r.out)
			}
		})
	}
}

// TestJetStreamThatIsNotThere: the error names the settings that say where JetStream is.
func TestJetStreamThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) elsewhere{"over a leaf node": overALeaf, "over an account's import": overAnImport} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := url.Parse(start(t).url)
			if err != nil {
				t.Fatal(err)
			}
			var env []string
			if server.User != nil {
				server.User, env = nil, []string{"NATS_USER=anyone", "NATS_PASSWORD=pass-anyone"}
			}
			for _, flags := range [][]string{nil, {"--js-domain", "other"}} {
				for _, args := range [][]string{{"provision"}, {"status", "x"}, {"dead", "list"}, {"dead", "list", "--summary"}, {"dead", "show", "x"}, {"dead", "replay", "--all", "--yes"}, {"bench", "-n", "1"}} {
					r := callIn(t, env, slices.Concat(args, []string{"--nats", server.String()}, flags)...).want(t, exitFailed)
					if !strings.Contains(r.err, "--js-domain") || !strings.Contains(r.err, "nats.apiPrefix") || strings.Count(r.err, "\n") != 1 {
						t.Errorf("%v %v: want one line that names --js-domain and nats.apiPrefix, got %s", args, flags, r.err)
					}
				}
			}
		})
	}
}

func TestJetStreamFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"status x --js-domain a.b", "--js-domain"},
		{"status x --js-domain >", "--js-domain"},
		{"status x --js-api-prefix a..b", "--js-api-prefix"},
		{"status x --js-api-prefix .", "--js-api-prefix"},
		{"status x --js-domain hub --js-api-prefix $JS.hub.API", "--js-api-prefix"},
		{"bench --js-domain a.b --nats nats://127.0.0.1:1", "--js-domain"},
		{"bench --js-domain hub", "--nats"},
		{"bench --js-api-prefix js.hub", "--nats"},
		{"bench --creds x", "--nats"},
		{"bench --nats http://127.0.0.1:1", "--nats begins with http://"},
	} {
		r := call(t, strings.Fields(tt.args)...).want(t, exitUsage)
		if !strings.Contains(r.err, tt.want) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: want one line that names %s, got %s", tt.args, tt.want, r.err)
		}
	}
}

// TestRolesOverALeafNode: the users of a leaf node need the permissions of
// deploy/nats-roles.conf with the domain's API in place of $JS.API, as docs/roles.md says. The
// users of the domain's own server need them unchanged.
func TestRolesOverALeafNode(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile(root + "/deploy/nats-roles.conf")
	if err != nil {
		t.Fatal(err)
	}
	with := func(text string) *server.Options {
		opts, err := server.ProcessConfigFile(write(t, "nats-roles.conf", text))
		if err != nil {
			t.Fatal(err)
		}
		return opts
	}
	_, leaves := hub(t)
	over := with(strings.NewReplacer("$JS.API.", "$JS.hub.API.", "$KV.", "$JS.hub.API.$KV.", "jetstream: enabled", "").Replace(string(list)))
	over.ServerName = "leaf"
	over.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: []*url.URL{leaves}, LocalAccount: "CODEFERRY"}}
	leaf := &guarded{t, natstest.StartWith(t, over).Addr().String()}
	awaitHub(t, leaf.url("provisioner"), nats.CustomInboxPrefix("_INBOX_provisioner"))

	itself := with(string(list))
	itself.JetStream, itself.StoreDir, itself.JetStreamDomain = true, t.TempDir(), "hub"
	own := &guarded{t, natstest.StartWith(t, itself).Addr().String()}

	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	fetch(t, http.MethodPut, sandboxURL+"/settings", `{"flowControl": false}`)
	for name, g := range map[string]*guarded{"over a leaf node": leaf, "at the domain's own server": own} {
		as := func(role string, args ...string) result { return g.as(role, append(args, "--js-domain", "hub")...) }
		as("provisioner", "provision").want(t, 0)
		e := elsewhere{url: g.url("worker"), field: "domain: hub"}
		cfg := e.config(t, sandboxURL, ", inboxPrefix: _INBOX_worker", "worker: {claims: on, retry: {initialInterval: 20ms}}\n")
		run := spawn(t, "run", "-c", cfg, "--log-format", "text")
		awaitReady(t, "http://"+run.find(`listen=(\S+)`)[1])
		if status, text := fetch(t, http.MethodPut, sandboxURL+"/faults", `[{"action":"SendSms","code":"isv.MOBILE_NUMBER_ILLEGAL","count":1}]`); status != http.StatusNoContent {
			t.Fatal(status, text)
		}
		send := []string{"send", "--channel", "sms", "--type", "SignIn", "--code", "123456", "--wait", "20s", "--json", "--to"}
		id := ids(t, as("publisher", append(send, "13012345678")...).want(t, exitFailed).out)[0]
		as("publisher", append(send, "13112345678")...).want(t, 0)
		for _, args := range [][]string{{"status", id}, {"dead", "list"}, {"dead", "show", id}, {"dead", "delete", id, "--dry-run"}} {
			if r := as("operator", args...).want(t, 0); r.err != "" {
				t.Errorf("%s: %v: %s", name, args, r.err)
			}
		}
		if status := run.stop(); status != 0 || strings.Contains(run.output(), "does not permit") {
			t.Errorf("%s: the worker ended with %d: %s", name, status, run.output())
		}
	}
}
