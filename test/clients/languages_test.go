package clients_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
)

const (
	examples = "../../examples"
	install  = "make deps installs it"
)

// language is one that has an example.
type language struct {
	name string
	dir  string
	// send runs the example, and check compares its sealing with the test vectors.
	send, check []string
	// sendHere and checkHere are the same command lines in the example's README.
	sendHere, checkHere string
	env                 []string
}

// languages returns all languages that have an example. CODEFERRY_PYTHON is an interpreter that
// has nats-py, and CODEFERRY_JAVA_LIB a class path with jnats. If one is not set, the example runs
// with a fake of its client: CI needs neither PyPI nor Maven Central.
func languages(t *testing.T) []language {
	t.Helper()
	asked(t)
	return []language{node(t), python(t), java(t)}
}

// asked skips a test that runs programs in other languages, except for make clients.
func asked(t *testing.T) {
	t.Helper()
	if os.Getenv("CODEFERRY_CLIENTS") == "" {
		t.Skip("make clients runs programs in other languages")
	}
}

func node(t *testing.T) language {
	t.Helper()
	program := program(t, "node")
	dir := filepath.Join(examples, "node")
	exists(t, filepath.Join(dir, "node_modules"))
	return language{
		name: "node", dir: dir,
		send: []string{program, "send-code.mjs"}, check: []string{program, "--test"},
		sendHere: "node send-code.mjs", checkHere: "npm test",
	}
}

func python(t *testing.T) language {
	t.Helper()
	l := language{
		name: "python", dir: filepath.Join(examples, "python"), env: []string{"PYTHONDONTWRITEBYTECODE=1"},
		sendHere: ".venv/bin/python send_code.py", checkHere: ".venv/bin/python -m unittest",
	}
	program := os.Getenv("CODEFERRY_PYTHON")
	if program == "" {
		program = pythonWithCryptography(t)
		l.env = append(l.env, "PYTHONPATH="+absolute(t, "fakes/python"))
		t.Log("python runs with a fake of nats-py")
	}
	l.send, l.check = []string{program, "send_code.py"}, []string{program, "-m", "unittest"}
	return l
}

// pythonWithCryptography returns the first interpreter that has the package. Debian's package is
// for /usr/bin/python3, and another python3 may be before it in PATH.
func pythonWithCryptography(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import cryptography").Run() == nil {
			return name
		}
	}
	check.Lacks(t, "no python3 has the package cryptography: "+install)
	return ""
}

func java(t *testing.T) language {
	t.Helper()
	program, compiler := program(t, "java"), program(t, "javac")
	dir, classes := filepath.Join(examples, "java"), t.TempDir()
	sources := glob(t, filepath.Join(dir, "src/main/java/com/example/*.java"))
	lib := os.Getenv("CODEFERRY_JAVA_LIB")
	if lib == "" {
		lib = "/usr/share/java/gson.jar"
		exists(t, lib)
		for _, pattern := range []string{"*.java", "*/*.java"} {
			sources = append(sources, glob(t, "fakes/java/io/nats/client/"+pattern)...)
		}
		t.Log("java runs with a fake of jnats")
	}
	ctx := testrig.Context(t)
	out, err := exec.CommandContext(ctx, compiler, append([]string{"-d", classes, "-cp", lib}, sources...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	run := []string{program, "-XX:TieredStopAtLevel=1", "-cp", classes + string(os.PathListSeparator) + lib}
	const runHere = "java -cp 'target/classes:target/dependency/*' "
	return language{
		name: "java", dir: dir,
		send: append(slices.Clip(run), "com.example.SendCode"), check: append(slices.Clip(run), "com.example.SealCheck"),
		sendHere: runHere + "com.example.SendCode", checkHere: runHere + "com.example.SealCheck",
	}
}

// with returns the language with more in its environment.
func (l language) with(env ...string) language {
	l.env = append(slices.Clip(l.env), env...)
	return l
}

// run is what a process said, and how it ended.
type run struct {
	out, err string
	status   int
}

// start runs one of the language's command lines to its end.
func (l language) start(t *testing.T, line []string, args ...string) run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), check.Patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, line[0], append(slices.Clip(line[1:]), args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, &out, &errOut
	cmd.Env = append(os.Environ(), l.env...)
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", line, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v does not end within %s\n%s%s", line, check.Patience, &out, &errOut)
	}
	return run{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// want checks how a process ended, and that it said something on its output, or on its
// error output if it failed.
func (r run) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	said, silent := r.out, r.err
	if status != 0 {
		said, silent = r.err, r.out
	}
	if r.status != status || silent != "" {
		t.Errorf("status %d, want %d; output %q, errors %q", r.status, status, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains("\n"+said, text) {
			t.Errorf("it does not say %q: %q", text, said)
		}
	}
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		check.Lacks(t, name+" is not installed: "+install)
	}
	return path
}

func exists(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		check.Lacks(t, path+" is not there: "+install)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: no files, %v", pattern, err)
	}
	return found
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
