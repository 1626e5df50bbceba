package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/service"
)

// role tells a process of the program's own what it is to be.
const role = "CODEFERRY_FAULTS_ROLE"

// Main has to be called first by whatever runs a plan: in a process that was
// started to be a worker or a nats-server it is that, and does not return.
func Main() {
	var err error
	switch os.Getenv(role) {
	case "":
		return
	case "worker":
		err = worker(os.Args[1])
	case "nats":
		err = natsServer(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func worker(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load(file, config.Env{})
	if err != nil {
		return err
	}
	return service.Run(ctx, service.Options{Config: cfg, Log: zerolog.New(os.Stderr).With().Timestamp().Logger()})
}

// natsServer runs a nats-server at its defaults: its arguments are its name, its
// port, its directory and, in a cluster, its cluster port and the routes.
func natsServer(args []string) error {
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	opts := &server.Options{ServerName: args[0], Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: args[2], NoSigs: true}
	if len(args) > 3 {
		clusterPort, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		opts.Cluster = server.ClusterOpts{Name: "faults", Host: "127.0.0.1", Port: clusterPort}
		opts.Routes = server.RoutesFromStr(args[4])
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return nil
}

// process is one that can be killed and started again.
type process struct {
	role string
	args []string
	log  io.Writer
	cmd  *exec.Cmd
}

func (p *process) start() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start a %s: %w", p.role, err)
	}
	p.cmd = exec.Command(self, p.args...) //nolint:gosec,noctx // itself; it ends by kill
	p.cmd.Env = append(os.Environ(), role+"="+p.role)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start a %s: %w", p.role, err)
	}
	return nil
}

// kill ends the process as a power cut would, and waits for its end.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop ends the process as an orchestrator would, and waits for its end.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(sig os.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself, which the wait shows
	_ = p.cmd.Wait()
	p.cmd = nil
}

// freePorts returns ports that were free a moment ago.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	listeners := make([]net.Listener, 0, n)
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	for i := range ports {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a port: %w", err)
		}
		listeners = append(listeners, l)
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("find a port: no TCP address")
		}
		ports[i] = addr.Port
	}
	return ports, nil
}

// cluster are the nats-servers of a plan, and where to reach them.
type cluster struct {
	servers []*process
	url     string
}

func newCluster(b Broker, dir string, log io.Writer) (*cluster, error) {
	n := map[Broker]int{R1: 1, R3: 3, Embedded: 1}[b]
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	urls, routes := make([]string, n), make([]string, n)
	for i := range n {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
		routes[i] = fmt.Sprintf("nats-route://127.0.0.1:%d", ports[n+i])
	}
	c.url = strings.Join(urls, ",")
	if b == Embedded {
		return c, nil // it lives in the worker
	}
	for i := range n {
		args := []string{fmt.Sprintf("n%d", i), strconv.Itoa(ports[i]), fmt.Sprintf("%s/n%d", dir, i)}
		if n > 1 {
			args = append(args, strconv.Itoa(ports[n+i]), strings.Join(routes, ","))
		}
		p := &process{role: "nats", args: args, log: log}
		if err := p.start(); err != nil {
			c.kill()
			return nil, err
		}
		c.servers = append(c.servers, p)
	}
	return c, nil
}

func (c *cluster) kill() {
	for _, p := range c.servers {
		p.kill()
	}
}

// within repeats f until it succeeds, for as long as d.
func within(ctx context.Context, d time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		try, done := context.WithTimeout(ctx, 5*time.Second)
		err := f(try)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
