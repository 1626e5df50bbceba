package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/service"
)

// role is the environment variable with the role of a process that the tests start.
const role = "CODEFERRY_FAULTS_ROLE"

// Main has to be called first in every program that runs a plan. In a process that was started
// as a worker or a nats-server it runs that, and does not return.
func Main() {
	var err error
	switch os.Getenv(role) {
	case "":
		return
	case "worker":
		err = worker(os.Args[1], os.Args[2])
	case "nats":
		err = natstest.Run(os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// worker runs a worker with a configuration and a clock that is ahead by skew; a negative skew
// is behind.
func worker(file, skew string) error {
	ahead, err := time.ParseDuration(skew)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	source := config.NewSource(file, config.Env{})
	cfg, err := source.Load()
	if err != nil {
		return err
	}
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	return service.Run(ctx, service.Options{
		Config: cfg, Log: log, AckWait: ackWait,
		Now:       func() time.Time { return time.Now().Add(ahead) },
		Reload:    &service.Reload{Load: source.Load, Changed: source.Changed},
		Listening: func(addr string) { log.Info().Str("http", addr).Msg(metricsReady) },
	})
}

// metricsReady is in the log line of a worker that has the address of its metrics.
const metricsReady = "metrics are served"

// watcher watches the lives of a process, each from a start to its end.
type watcher interface {
	// begins is called before each start. It returns variables for the process, and what gets
	// the lines of its output.
	begins() (env []string, seen func(line []byte))
	// ends is called at the end of the life. It is clean if the process has ended by itself and
	// without an error.
	ends(clean bool)
}

// process can be killed and started again, or stopped and continued. Several goroutines can
// call its methods at once.
type process struct {
	role string
	args []string
	log  io.Writer
	// seen is called with each line of its output. Default: nothing is called.
	seen func(line []byte)
	// watcher watches its lives. Default: nobody does.
	watcher watcher

	mu     sync.Mutex
	cmd    *exec.Cmd
	frozen bool
	// up is closed once a nats-server is ready or has ended, and exited once the process has.
	up, exited chan struct{}
}

// start starts the process, unless it runs.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start a %s: %w", p.role, err)
	}
	cmd := exec.Command(self, p.args...) //nolint:gosec,noctx // itself; it ends by kill
	cmd.Env = append(os.Environ(), role+"="+p.role)
	watched := func([]byte) {}
	if p.watcher != nil {
		env, seen := p.watcher.begins()
		cmd.Env, watched = append(cmd.Env, env...), seen
	}
	up := make(chan struct{})
	isUp := sync.OnceFunc(func() { close(up) })
	out := &lineWriter{to: p.log, seen: func(line []byte) {
		if bytes.Contains(line, []byte(natsReady)) {
			isUp()
		}
		if p.seen != nil {
			p.seen(line)
		}
		watched(line)
	}}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a %s: %w", p.role, err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		err := cmd.Wait() // it was killed, or its log says why it ended
		if p.watcher != nil {
			p.watcher.ends(err == nil)
		}
		isUp()
	}()
	p.cmd, p.up, p.exited = cmd, up, exited
	return nil
}

// natsReady is in the log of a nats-server that is ready.
const natsReady = "Server is ready"

// kill ends the process as a power failure would, and waits for its end; false if it does not
// run, or is frozen.
func (p *process) kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		return false
	}
	return p.end(syscall.SIGKILL)
}

// stop ends the process as an orchestrator would, and waits for its end: with SIGTERM, and
// after a grace with SIGKILL.
func (p *process) stop(grace time.Duration) {
	p.thaw() // a frozen process does not get the signal
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	cmd := p.cmd
	impatient := time.AfterFunc(grace, func() { _ = cmd.Process.Kill() }) // it may just have ended
	defer impatient.Stop()
	p.end(syscall.SIGTERM)
}

// end ends the process by a signal; false if it does not run. p.mu has to be held.
func (p *process) end(sig os.Signal) bool {
	if p.cmd == nil {
		return false
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself
	<-p.exited
	p.cmd = nil
	return true
}

// freeze suspends the process, as happens on a machine that is moved or out of memory; false
// if it does not run.
func (p *process) freeze() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = p.cmd != nil && p.cmd.Process.Signal(syscall.SIGSTOP) == nil
	return p.frozen
}

// thaw continues the process.
func (p *process) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // it can't have ended
		p.frozen = false
	}
}

// reload makes a nats-server read its configuration again, if it runs. It waits until the
// server is ready: before, the signal would end it.
func (p *process) reload() {
	p.mu.Lock()
	cmd, up := p.cmd, p.up
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	<-up
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == cmd { // otherwise it reads its configuration when it starts
		_ = cmd.Process.Signal(syscall.SIGHUP) // it may have ended by itself
	}
}
