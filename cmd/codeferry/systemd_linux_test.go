package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/testrig"
)

// unit is a process that a unit of systemd has started.
type unit struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket *net.UnixConn
	// journal gets the lines of the journal when the process has ended.
	journal chan []string
}

// startUnit starts a command as systemd does.
func startUnit(t *testing.T, args ...string) *unit {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	cmd := command(context.WithoutCancel(t.Context()), t, args...)
	journal, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	info, err := stderr.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := info.Sys().(*syscall.Stat_t)
	cmd.Stderr = stderr
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "s"), "WATCHDOG_USEC=200000", fmt.Sprintf("JOURNAL_STREAM=%d:%d", at.Dev, at.Ino))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stderr.Close()
	lines := make(chan []string, 1)
	go func() {
		var all []string
		for s := bufio.NewScanner(journal); s.Scan(); {
			all = append(all, s.Text())
		}
		lines <- all
	}()
	return &unit{t, cmd, socket, lines}
}

// next waits for a notification.
func (u *unit) next(want string) {
	u.t.Helper()
	if err := u.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		u.t.Fatal(err)
	}
	var all []string
	for {
		b := make([]byte, 1000)
		n, err := u.socket.Read(b)
		if err != nil {
			u.t.Fatalf("no notification %q: %v; there were %q", want, err, all)
		}
		if all = append(all, string(b[:n])); string(b[:n]) == want {
			return
		}
	}
}

// rest returns the notifications that came and were not read. It does not wait for more.
func (u *unit) rest() (all []string) {
	u.t.Helper()
	raw, err := u.socket.SyscallConn()
	if err != nil {
		u.t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		for b := make([]byte, 1000); ; {
			n, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_DONTWAIT)
			if err != nil {
				return true
			}
			all = append(all, string(b[:n]))
		}
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return all
}

// TestSystemdOfAPortInUse: a worker that can't listen was never ready, and the journal has the
// reason as an error.
func TestSystemdOfAPortInUse(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	u := startUnit(t, "run", "-c", configFor(t, freeAddr(t), "http://127.0.0.1:1"), "--listen", l.Addr().String())
	lines := <-u.journal
	if err := u.cmd.Wait(); u.cmd.ProcessState.ExitCode() != exitFailed {
		t.Errorf("it ended with %v, want status %d", err, exitFailed)
	}
	for _, n := range u.rest() {
		if strings.Contains(n, "READY") {
			t.Errorf("it was ready: %q", n)
		}
	}
	if n := len(lines); n == 0 || !strings.HasPrefix(lines[n-1], "<3>codeferry: can't listen on "+l.Addr().String()) {
		t.Errorf("the journal has no error: %q", lines)
	}
}

// TestSystemd: a worker tells systemd that it is ready before NATS is there, keeps the
// watchdog quiet, says when NATS is there and when it stops, and the lines in the journal have
// priorities.
func TestSystemd(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	u := startUnit(t, "run", "-c", configFor(t, addr, "http://127.0.0.1:1"), "--listen", "127.0.0.1:0")
	next := u.next
	next("READY=1\nSTATUS=waiting for NATS")
	next("WATCHDOG=1")
	testrig.Server(t, addr)
	next("STATUS=running")
	next("WATCHDOG=1")
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	next("STOPPING=1\nSTATUS=stopping")
	all := <-u.journal
	if err := u.cmd.Wait(); err != nil {
		t.Error(err)
	}
	levels := map[string]string{`"level":"info"`: "<6>{", `"level":"warn"`: "<4>{"}
	for _, line := range all {
		for level, prefix := range levels {
			if strings.Contains(line, level) {
				if !strings.HasPrefix(line, prefix) {
					t.Errorf("the journal's line does not begin with %s: %s", prefix, line)
				}
				delete(levels, level)
			}
		}
	}
	if len(levels) > 0 {
		t.Errorf("the log has no line with %v: %q", levels, all)
	}
}

// TestJournalPriority: a level has the priority of syslog(3), and only the journal gets it.
func TestJournalPriority(t *testing.T) {
	t.Parallel()
	for level, want := range map[zerolog.Level]string{
		zerolog.DebugLevel: "<7>", zerolog.InfoLevel: "<6>", zerolog.WarnLevel: "<4>", zerolog.ErrorLevel: "<3>", zerolog.NoLevel: "<6>",
	} {
		if got := journalPriority(level); got != want {
			t.Errorf("%s has the priority %s, want %s", level, got, want)
		}
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := info.Sys().(*syscall.Stat_t)
	for value, want := range map[string]bool{fmt.Sprintf("%d:%d", at.Dev, at.Ino): true, fmt.Sprintf("%d:%d", at.Dev, at.Ino+1): false, "": false, "x": false} {
		if got := toJournal(f, func(string) (string, bool) { return value, true }); got != want {
			t.Errorf("with JOURNAL_STREAM=%q: the file is the journal: %t, want %t", value, got, want)
		}
	}
	if toJournal(f, func(string) (string, bool) { return "", false }) {
		t.Error("without JOURNAL_STREAM a file is taken for the journal")
	}
}
