package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/testmain"
)

// asProgram makes the test binary behave as codeferry, so that the tests run real processes.
// CODEFERRY_BIN names a built binary to use instead. Then each command is a process: without
// it, call runs most of them inside the test's process.
const asProgram = "CODEFERRY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	if file := os.Getenv(asNATS); file != "" {
		if err := natstest.Run(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testmain.Wide(3)
	if err := programEnvironment(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// programEnvironment gives this process the environment of the commands that it starts or runs
// itself: programVariables, the passwords of the roles, no standard input, and none of the variables of the nats command
// line, since those of whoever runs the tests name another server.
func programEnvironment() error {
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	os.Stdin = stdin
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "NATS_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	variables := slices.Clone(programVariables)
	for _, role := range roles { // deploy/nats-roles.conf reads these
		variables = append(variables, strings.ToUpper(role)+"_PASSWORD=pass-"+role)
	}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// programVariables are the environment variables of each command.
var programVariables = []string{
	"XDG_CONFIG_HOME=/nowhere",
	"ALIBABA_CLOUD_ACCESS_KEY_ID=" + fakealiyun.DefaultKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + fakealiyun.DefaultKeySecret,
}

// patience is the limit of every wait.
const patience = check.Patience

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
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// result is the exit status and the output of a command that has ended.
type result struct {
	status   int
	out, err string
}

// call runs a command to its end. It runs inside the test's process, because the start of a
// process takes more time than most commands. It is a process of its own if the tests have a
// built binary, and if it changes its process: dev, run, sandbox and bench do.
func call(t *testing.T, args ...string) result {
	t.Helper()
	return callIn(t, nil, args...)
}

// callIn is call with more environment variables. With any, the command is a process of its
// own.
func callIn(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ownProcess := len(args) > 0 && slices.Contains([]string{"dev", "run", "sandbox", "bench"}, args[0])
	if ownProcess || len(env) > 0 || os.Getenv("CODEFERRY_BIN") != "" {
		return callProcess(t, env, args...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs syncbuf.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- execute(ctx, args, streams{in: strings.NewReader(""), out: &out, err: &errs})
	}()
	status := exitFailed
	select {
	case status = <-ended:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		t.Fatalf("%v did not end within %v: %s%s", args, patience, out.String(), errs.String())
	}
	return result{status, out.String(), errs.String()}
}

func callProcess(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := command(ctx, t, args...)
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%v did not end within %v: %s%s", args, patience, out.String(), errs.String())
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
		t.Fatalf("exit status %d, want %d; stdout: %s stderr: %s", r.status, status, r.out, r.err)
	}
	return r
}

// process is a command that runs until the test stops it.
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
	return watchProcess(t, command(context.WithoutCancel(t.Context()), t, args...))
}

func watchProcess(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{}), grown: make(chan struct{}, 1)}
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
		_ = p.cmd.Wait() // stop reads the status from ProcessState
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
			p.t.Fatalf("the process ended without the output %s: %s", pattern, p.output())
		case <-limit:
			p.t.Fatalf("no output matches %s within %v: %s", pattern, patience, p.output())
		}
	}
}

// stop ends the process like Ctrl-C, and returns its exit status.
func (p *process) stop() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("the process does not stop within %v: %s", patience, p.output())
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

// inbox returns the messages that the sandbox accepted.
func inbox(t *testing.T, url, to string) []map[string]any {
	t.Helper()
	_, text := fetch(t, http.MethodGet, url+"/inbox?to="+to, "")
	var got []map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("the inbox is not JSON: %v: %s", err, text)
	}
	return got
}

// write makes a file in a temporary folder of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
