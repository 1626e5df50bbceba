package faults

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/codeferry/codeferry/internal/fakes/relay"
	"github.com/codeferry/codeferry/internal/freeport"
)

// cluster holds the nats-servers of a plan and their addresses.
type cluster struct {
	servers []*process
	// configs are the servers' configurations, without their users.
	configs []string
	// addrs are the servers' hosts and ports, url is the plan's URL for all of them.
	addrs []string
	url   string
	// routes[i][j] relays node i's route to node j. Empty if no node is cut off.
	routes [][]*relay.Relay
	// release gives back their ports.
	release func()
}

// urlOf is the URL of servers at addresses, for a user; an empty user is left out.
func urlOf(user, password string, addrs []string) string {
	scheme := "nats://"
	if user != "" {
		scheme += user + ":" + password + "@"
	}
	return scheme + strings.Join(addrs, ","+scheme)
}

func newCluster(p Plan, dir string, log io.Writer) (*cluster, error) {
	n := map[Broker]int{R1: 1, R3: 3, Embedded: 1}[p.Broker]
	ports, release, err := freeport.Ports(2 * n)
	if err != nil {
		return nil, err
	}
	c := &cluster{release: release}
	for i := range n {
		c.addrs = append(c.addrs, freeport.Addr(ports[i]))
	}
	if p.Broker == Embedded {
		c.url = urlOf("", "", c.addrs)
		return c, nil // the server runs in the worker
	}
	c.url = urlOf(planUser, planPassword, c.addrs)
	limit := ""
	if p.Times[FullStore] > 0 {
		limit = fmt.Sprintf(", max_file_store: %d", storeSize)
	}
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("n%d", i))
		config := fmt.Sprintf("server_name: n%d\nlisten: %q\njetstream {store_dir: %q%s}\n", i, c.addrs[i], name, limit)
		if n > 1 {
			routes, err := c.openRoutes(p, i, ports[n:])
			if err != nil {
				c.kill()
				return nil, err
			}
			// no_advertise: otherwise a worker would learn addresses that bypass its relay.
			// advertise: at the one that the nodes tell each other, nobody answers, so they
			// have no routes beside these.
			config += fmt.Sprintf("cluster {name: faults, listen: %q, no_advertise: true, advertise: \"127.0.0.1:1\", routes: [%s]}\n", freeport.Addr(ports[n+i]), strings.Join(routes, ", "))
		}
		c.configs = append(c.configs, config)
		c.servers = append(c.servers, &process{role: "nats", args: []string{name + ".conf"}, log: log})
	}
	if err := c.configure(firstPassword); err != nil {
		c.kill()
		return nil, err
	}
	for _, s := range c.servers {
		if err := s.start(); err != nil {
			c.kill()
			return nil, err
		}
	}
	return c, nil
}

// openRoutes returns the URLs of a node's routes to the others, which listen for routes at ports.
func (c *cluster) openRoutes(p Plan, node int, ports []int) (urls []string, err error) {
	relays := make([]*relay.Relay, len(ports))
	c.routes = append(c.routes, relays)
	for i, port := range ports {
		to := freeport.Addr(port)
		if p.Times[NodeCut] > 0 && i != node {
			if relays[i], err = relay.New(to); err != nil {
				return nil, err
			}
			to = relays[i].Addr()
		}
		urls = append(urls, "nats-route://"+to)
	}
	return urls, nil
}

// setRoutes sets all routes from and to a node.
func (c *cluster) setRoutes(node int, s relay.State) {
	for from, relays := range c.routes {
		for to, r := range relays {
			if r != nil && (from == node || to == node) {
				r.Set(s)
			}
		}
	}
}

// configure writes the servers' configurations, with the workers' password. A server may be
// starting, so each file changes at once.
func (c *cluster) configure(password string) error {
	for i, s := range c.servers {
		users := fmt.Sprintf("authorization {users: [{user: %q, password: %q}, {user: %q, password: %q}]}\n", planUser, planPassword, workerUser, password)
		fresh := s.args[0] + ".new"
		err := os.WriteFile(fresh, []byte(c.configs[i]+users), 0o600)
		if err == nil {
			err = os.Rename(fresh, s.args[0])
		}
		if err != nil {
			return fmt.Errorf("configure a nats-server: %w", err)
		}
	}
	return nil
}

// admit gives the workers another password.
func (c *cluster) admit(password string) error {
	if err := c.configure(password); err != nil {
		return err
	}
	for _, s := range c.servers {
		s.reload() // a stopped server reads it when it starts
	}
	return nil
}

// kill ends the servers, and gives back their ports.
func (c *cluster) kill() {
	for _, p := range c.servers {
		p.kill()
	}
	for _, relays := range c.routes {
		for _, r := range relays {
			if r != nil {
				r.Close()
			}
		}
	}
	c.release()
}
