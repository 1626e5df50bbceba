package deploy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/freeport"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/messages"
)

const nodes, workers = 3, 3

var rollAll = flag.Bool("roll", false, "stop each node of the cluster, one after another, in place of one")

// TestCluster runs the cluster of docker-compose.yml as processes, with the same files: three
// NATS nodes with roles, the provisioner, and three workers. While codes are published, a node is
// stopped and started again; with -roll each one. Every code arrives once, and the workers' metrics say so.
func TestCluster(t *testing.T) {
	t.Parallel()
	box := fakealiyun.New(fakealiyun.Options{})
	provider := httptest.NewServer(box)
	t.Cleanup(func() { box.Close(); provider.Close() })
	c := startCluster(t, provider.URL)

	c.provision(t)
	var at []string // where each worker serves its metrics
	for range workers {
		at = append(at, c.startWorker(t))
	}

	nc, err := messages.Connect(c.urls(), nats.UserInfo("publisher", "no-secret-for-trying-it-out-publisher"), nats.CustomInboxPrefix("_INBOX_publisher"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	publisher, err := messages.NewPublisher(nc, messages.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const each = 60
	sent := 0
	publish := func() {
		for range each {
			code := messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: fmt.Sprintf("user-%d", sent)}
			m := &messages.SendCode{ID: fmt.Sprintf("cluster-%d", sent), To: fmt.Sprintf("+861301234%04d", sent), Payload: messages.Payload{"code": "123456"}}
			check.Eventually(t, "NATS stores a code", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := publisher.Publish(ctx, code, m) // the same ID, so it is stored once
				return err == nil
			})
			sent++
		}
	}
	publish()
	stopped := 1
	if *rollAll {
		stopped = nodes
	}
	for i := range stopped {
		c.stop(i)
		publish()
		c.start(t, i)
		c.wait(t)
	}
	check.Eventually(t, "every code is sent", func() bool { return len(box.Inbox("")) >= sent })
	check.Eventually(t, "the workers count every code as sent, and none waits", func() bool {
		total, waiting := 0, 0
		for _, a := range at {
			for _, m := range regexp.MustCompile(`(?m)^(codeferry_messages_total\{channel="sms",connector="aliyun-sms",outcome="sent",reason=""\}|codeferry_waiting\{channel="sms"\}) (-?\d+)$`).FindAllStringSubmatch(metricsWith(t, a, "no-secret-for-trying-it-out-alone"), -1) {
				n, err := strconv.Atoi(m[2])
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(m[1], "codeferry_waiting") {
					waiting += max(n, -n)
				} else {
					total += n
				}
			}
		}
		return total == sent && waiting == 0
	})
	got := make(map[string]int)
	for _, m := range box.Inbox("") {
		got[m.To]++
	}
	for to, n := range got {
		if n != 1 {
			t.Errorf("%s got %d SMS, want 1", to, n)
		}
	}
	if len(got) != sent {
		t.Errorf("%d recipients got an SMS, want %d", len(got), sent)
	}
}

// clusterRig is the cluster of docker-compose.yml on this machine.
type clusterRig struct {
	// dir has the files that the services get, and bin is codeferry.
	dir, bin string
	options  []*server.Options
	running  []*server.Server
}

// startCluster starts the nodes with deploy/cluster/nats.conf. Only names, ports and folders
// are others.
func startCluster(t *testing.T, provider string) *clusterRig {
	t.Helper()
	c := &clusterRig{dir: t.TempDir(), running: make([]*server.Server, nodes)}
	c.bin = filepath.Join(c.dir, "codeferry")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", c.bin, root+"/cmd/codeferry").CombinedOutput(); err != nil {
		t.Fatalf("build codeferry: %v\n%s", err, out)
	}
	ports, release, err := freeport.Ports(2 * nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	here := []string{"/run/secrets/", c.dir + "/", "http://sandbox:9090", provider, "listen: 0.0.0.0:8080", "listen: 127.0.0.1:0"}
	for i := range nodes {
		here = append(here, fmt.Sprintf("nats-%d:4222", i+1), freeport.Addr(ports[i]), fmt.Sprintf("nats-%d:6222", i+1), freeport.Addr(ports[nodes+i]))
	}
	env, err := os.ReadFile(root + "/deploy/cluster/secrets/nats.env")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(string(env), -1) {
		here = append(here, "$"+m[1], m[2])
	}
	replace := strings.NewReplacer(here...)
	secrets, err := filepath.Glob(root + "/deploy/cluster/secrets/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(secrets, root+"/deploy/nats-roles.conf", root+"/deploy/cluster/codeferry.yaml", root+"/deploy/cluster/nats.conf") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		put(t, c.dir+"/"+filepath.Base(path), replace.Replace(string(text)))
	}
	conf, err := os.ReadFile(c.dir + "/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		name := fmt.Sprintf("nats-%d", i+1)
		one := strings.NewReplacer("$NODE", name, "/data", c.dir+"/"+name, "http_port: 8222", "port: "+strconv.Itoa(ports[i]), "port: 6222", "listen: "+freeport.Addr(ports[nodes+i]))
		path := c.dir + "/" + name + ".conf"
		put(t, path, one.Replace(string(conf)))
		o, err := server.ProcessConfigFile(path)
		if err != nil {
			t.Fatal(err)
		}
		o.Host, o.NoSigs, o.NoLog = "127.0.0.1", true, true
		c.options = append(c.options, o)
		c.start(t, i)
		t.Cleanup(func() { c.stop(i) })
	}
	c.wait(t)
	return c
}

// provision makes the streams as the service provision does: of the secrets it has the
// provisioner's alone, so the others are away meanwhile.
func (c *clusterRig) provision(t *testing.T) {
	t.Helper()
	secrets, err := filepath.Glob(root + "/deploy/cluster/secrets/*")
	if err != nil {
		t.Fatal(err)
	}
	away, moved := t.TempDir(), 0
	move := func(from, to string) {
		t.Helper()
		for _, path := range secrets {
			if name := filepath.Base(path); name != "provisioner.json" {
				moved++
				if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	move(c.dir, away)
	if moved == 0 {
		t.Fatal("the worker has no secrets")
	}
	if out, err := c.codeferry(t, "provision", "--context", c.dir+"/provisioner.json", "-c", c.dir+"/codeferry.yaml").CombinedOutput(); err != nil {
		t.Fatalf("codeferry provision: %v\n%s", err, out)
	}
	move(away, c.dir)
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *clusterRig) urls() string {
	var all []string
	for _, o := range c.options {
		all = append(all, "nats://"+freeport.Addr(o.Port))
	}
	return strings.Join(all, ",")
}

func (c *clusterRig) start(t *testing.T, i int) {
	t.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	if err != nil {
		t.Fatal(err)
	}
	c.running[i] = s
	s.Start()
}

func (c *clusterRig) stop(i int) {
	c.running[i].Shutdown()
	c.running[i].WaitForShutdown()
}

// wait waits until each node is connected, and has caught up with the others in every stream and
// consumer, as docs/deployment.md says. If a node is stopped before, what was on the way to a worker
// comes again only after AckWait.
func (c *clusterRig) wait(t *testing.T) {
	t.Helper()
	for _, s := range c.running {
		check.Eventually(t, s.Name()+" is healthy", func() bool {
			return s.ReadyForConnections(time.Second) && s.Healthz(&server.HealthzOptions{}).StatusCode == http.StatusOK
		})
	}
}

// codeferry is a command. It ends with the test.
func (c *clusterRig) codeferry(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), c.bin, args...)
}

// startWorker starts a worker, waits until it runs, and returns where it serves its metrics.
// The worker has to end as it should when the test does.
func (c *clusterRig) startWorker(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, c.bin, "run", "-c", c.dir+"/codeferry.yaml", "--log-format", "json")
	var log syncbuf.Buffer
	cmd.Stderr, cmd.Cancel = &log, func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("a worker ended with %v", err)
		}
		if t.Failed() {
			t.Logf("a worker's log:\n%s", &log)
		}
	})
	started := regexp.MustCompile(`"listen":"([^"]+)".*"message":"codeferry runs"`)
	var at string
	check.Eventually(t, "a worker runs", func() bool {
		if m := started.FindStringSubmatch(log.String()); m != nil {
			at = m[1]
		}
		return at != ""
	})
	return at
}
