package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go/jetstream"
)

// TestHintsCarryTheServerFlags: the command of a hint, in a shell, has the same server flags as
// the command that printed it, and no password.
func TestHintsCarryTheServerFlags(t *testing.T) {
	t.Parallel()
	given := serverFlags{
		NATS: "nats://me:s3cret@a:4222,b", Config: "my config's.yaml",
		natsFlags: natsFlags{
			Context: "prod", Creds: "~/deploy.creds", NKey: "n", TLSCA: "ca", TLSCert: "cert", TLSKey: "$HOME/key", TLSFirst: true, InboxPrefix: "_INBOX_operator",
			jetStreamFlags: jetStreamFlags{JSDomain: "hub", JSAPIPrefix: "$JS.hub.API"},
		},
	}
	text := given.command("status", "id 1")
	if strings.Contains(text, "s3cret") {
		t.Errorf("the hint has the password: %s", text)
	}
	words, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+text).Output()
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Split(strings.TrimSuffix(string(words), "\n"), "\n")
	if args[0] != "codeferry" || args[1] != "status" || args[2] != "id 1" {
		t.Fatalf("the hint is %s", text)
	}
	want := given
	want.NATS = "nats://a:4222,nats://b"
	// The parser refuses two logins at once, and two places of JetStream.
	for _, without := range []struct {
		flags []string
		want  func(*serverFlags)
	}{
		{[]string{"--nkey", "--js-domain"}, func(f *serverFlags) { f.NKey, f.JSDomain = "", "" }},
		{[]string{"--creds", "--js-api-prefix"}, func(f *serverFlags) { f.Creds, f.JSAPIPrefix = "", "" }},
	} {
		var left []string
		for i := 3; i < len(args); i++ {
			if slices.Contains(without.flags, args[i]) {
				i++
				continue
			}
			left = append(left, args[i])
		}
		var read serverFlagsOnly
		parser, err := kong.New(&read)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(left); err != nil {
			t.Fatalf("%s: %v", left, err)
		}
		same := want
		without.want(&same)
		if serverFlags(read) != same {
			t.Errorf("the hint has the flags %+v, want %+v", read, same)
		}
	}
	check.Equal(t, "without flags", serverFlags{}.command("status", "1"), "codeferry status 1")
}

// serverFlagsOnly are the flags without the warning about a password, which needs the
// program's streams.
type serverFlagsOnly serverFlags

// TestMissingStreamsNameTheServer: the command that creates them has the flags.
func TestMissingStreamsNameTheServer(t *testing.T) {
	t.Parallel()
	missing := fmt.Errorf("read: %w", jetstream.ErrStreamNotFound)
	f := serverFlags{NATS: "nats://a"}
	if err := f.withProvision(missing); !errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "codeferry provision --nats nats://a") {
		t.Errorf("got %v", err)
	}
	if err := (serverFlags{}).withProvision(missing); !errors.Is(err, missing) || strings.Contains(err.Error(), "provision") {
		t.Errorf("without flags: %v", err)
	}
	if err := f.withProvision(nil); err != nil {
		t.Errorf("without an error: %v", err)
	}
}
