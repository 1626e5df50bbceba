package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/freeport"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages/wire"
)

// nodes is the number of nats-servers, and of replicas.
const nodes = 3

// cluster is three nats-servers, each a process of its own, with the streams of codeferry
// provision.
type cluster struct {
	nodes [nodes]node
	nc    *nats.Conn
	js    jetstream.JetStream
}

type node struct {
	name, url, monitor string
	pid                int
}

// streams are the options of the streams: the defaults, with a copy on each node.
var streams = wire.StreamOptions{Replicas: nodes}

// startCluster starts the servers, and makes the streams. oneWay is how long anything takes
// from one server to another.
func startCluster(t *testing.T, oneWay time.Duration) *cluster {
	t.Helper()
	ports, release, err := freeport.Ports(3 * nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	var c cluster
	var entries, routes [nodes]string
	for i := range nodes {
		entries[i] = freeport.Addr(ports[i])
		if oneWay > 0 {
			entries[i] = delayed(t, entries[i], oneWay)
		}
		routes[i] = "nats-route://" + entries[i]
	}
	dir := t.TempDir()
	for i := range nodes {
		listen, monitor := freeport.Addr(ports[nodes+i]), freeport.Addr(ports[2*nodes+i])
		file := filepath.Join(dir, fmt.Sprintf("n%d.conf", i))
		others := append(append([]string(nil), routes[:i]...), routes[i+1:]...)
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\nhttp: %q\njetstream {store_dir: %q}\ncluster {name: scale, listen: %q, advertise: %q, routes: [%s]}\n",
			i, listen, monitor, strings.TrimSuffix(file, ".conf"), freeport.Addr(ports[i]), entries[i], strings.Join(others, ", "))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.nodes[i] = node{fmt.Sprintf("n%d", i), "nats://" + listen, "http://" + monitor, startServer(t, file)}
	}
	for i := range nodes {
		natstest.Eventually(t, c.nodes[i].name+" answers", func(ctx context.Context) error {
			_, err := c.nodes[i].get(ctx, "/healthz?js-server-only=true")
			return err
		})
	}
	c.nc = c.connect(t, 0)
	c.js = natstest.JetStream(t, c.nc)
	natstest.Eventually(t, "the streams are made", func(context.Context) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return broker.Provision(ctx, c.js, streams)
	})
	return &c
}

// startServer starts a nats-server, which ends with the test, and returns its process id.
func startServer(t *testing.T, file string) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, file)
	cmd.Env = append(os.Environ(), role+"=nats")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it runs until then
		_ = cmd.Wait()         // its error is the kill
	})
	return cmd.Process.Pid
}

// connect connects to one node, as a worker does.
func (c *cluster) connect(t *testing.T, i int) *nats.Conn {
	t.Helper()
	var nc *nats.Conn
	natstest.Eventually(t, "a connection to "+c.nodes[i].name, func(ctx context.Context) (err error) {
		nc, err = broker.Connect(ctx, broker.Target{URL: c.nodes[i].url, Name: "scale"}, zerolog.Nop())
		return err
	})
	t.Cleanup(nc.Close)
	return nc
}

// indexOf returns the number of a node by its name.
func (c *cluster) indexOf(name string) int {
	for i, n := range c.nodes {
		if n.name == name {
			return i
		}
	}
	return 0
}

// leader is the number of the node that leads CODEFERRY.
func (c *cluster) leader(t *testing.T) int {
	t.Helper()
	s, err := c.js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	return c.indexOf(s.CachedInfo().Cluster.Leader)
}

// consumer returns what the server says about the consumer of sms.
func (c *cluster) consumer(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	consumer, err := c.js.Consumer(ctx, wire.StreamName, "sms")
	if err != nil {
		return nil, err
	}
	return consumer.CachedInfo(), nil
}

// served is what a server counts.
type served struct {
	Connections   int    `json:"connections"`
	Subscriptions int    `json:"subscriptions"`
	InMsgs        uint64 `json:"in_msgs"`
	OutMsgs       uint64 `json:"out_msgs"`
	OutBytes      uint64 `json:"out_bytes"`
	Memory        uint64 `json:"mem"`
}

// served adds up what the servers count.
func (c *cluster) served(t *testing.T) (all served) {
	t.Helper()
	for _, n := range c.nodes {
		body, err := n.get(t.Context(), "/varz")
		if err != nil {
			t.Fatal(err)
		}
		var one served
		if err := json.Unmarshal(body, &one); err != nil {
			t.Fatal(err)
		}
		all.Connections += one.Connections
		all.Subscriptions += one.Subscriptions
		all.InMsgs += one.InMsgs
		all.OutMsgs += one.OutMsgs
		all.OutBytes += one.OutBytes
		all.Memory += one.Memory
	}
	return all
}

func (n node) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.monitor+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", n.name, resp.Status)
	}
	return body, err
}
