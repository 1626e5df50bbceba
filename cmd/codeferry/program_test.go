package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/sandbox"
)

// asProgram makes the test's own binary behave as codeferry, so that the tests
// drive real processes. CODEFERRY_BIN names a built binary to drive instead.
const asProgram = "CODEFERRY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience bounds every wait for something that has to happen.
const patience = 30 * time.Second

func binary(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("CODEFERRY_BIN"); bin != "" {
		return bin
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func command(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Env = append(os.Environ(), asProgram+"=1",
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+sandbox.DefaultKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+sandbox.DefaultKeySecret)
	return cmd
}

// result is what a command that has ended left.
type result struct {
	status   int
	out, err string
}

// call runs a command to its end.
func call(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%v did not end: %s%s", args, out.String(), errs.String())
	}
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit { //nolint:errorlint // Run does not wrap it
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want fails the test unless the command ended with status.
func (r result) want(t *testing.T, status int) result {
	t.Helper()
	if r.status != status {
		t.Fatalf("exit status %d, not %d; stdout: %s stderr: %s", r.status, status, r.out, r.err)
	}
	return r
}

// process is a command that runs until it is stopped.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}

	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{}
}

// spawn starts a command that runs until the test ends.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(context.WithoutCancel(t.Context()), t, args...), ended: make(chan struct{}), grown: make(chan struct{}, 1)}
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			p.mu.Lock()
			p.text.WriteString(line)
			p.mu.Unlock()
			select {
			case p.grown <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // its status is looked at in the process's state
		_ = w.Close()
		<-read
	}()
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// find waits until the output holds a match, and returns its groups.
func (p *process) find(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	limit := time.After(patience)
	for {
		if m := re.FindStringSubmatch(p.output()); m != nil {
			return m
		}
		select {
		case <-p.grown:
		case <-p.ended:
			if m := re.FindStringSubmatch(p.output()); m != nil {
				return m
			}
			p.t.Fatalf("it ended without %s: %s", pattern, p.output())
		case <-limit:
			p.t.Fatalf("it does not say %s: %s", pattern, p.output())
		}
	}
}

// stop ends the process as Ctrl-C does, and returns its exit status.
func (p *process) stop() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("it does not stop: %s", p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// dev is a running codeferry dev.
type dev struct {
	*process
	nats, sandbox, http, data string
}

func spawnDev(t *testing.T, args ...string) dev {
	t.Helper()
	p := spawn(t, append([]string{"dev", "--listen", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"}, args...)...)
	p.find(`Outcomes, as they come`)
	return dev{
		process: p,
		nats:    p.find(`NATS +(nats://\S+)`)[1],
		sandbox: p.find(`sandbox +(http://\S+)`)[1],
		http:    p.find(`metrics +(http://\S+)/metrics`)[1],
		data:    p.find(`data +(\S+)`)[1],
	}
}

// fetch makes a request and returns its status and text.
func fetch(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// inbox returns what the sandbox accepted.
func inbox(t *testing.T, url, to string) []map[string]any {
	t.Helper()
	_, text := fetch(t, http.MethodGet, url+"/inbox?to="+to, "")
	var got []map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return got
}

// write makes a file in a folder of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
