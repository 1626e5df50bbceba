package leave_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages/internal/leave"
)

// conn is a connection to one of some servers.
type conn struct {
	servers []string
	down    bool
	closed  bool
	left    int
	// reconnects counts also those that the Leaver did not make.
	reconnects uint64
}

func (c *conn) IsConnected() bool     { return !c.down }
func (c *conn) ConnectedAddr() string { return c.servers[c.left%len(c.servers)] }
func (c *conn) Servers() []string     { return c.servers }
func (c *conn) ForceReconnect() error {
	if c.closed {
		return errors.New("closed")
	}
	c.left++
	c.reconnects++
	return nil
}
func (c *conn) Stats() nats.Statistics { return nats.Statistics{Reconnects: c.reconnects} }

// TestSilent: a step is "a" for an answer, "s" for a request that is not answered, and "r" for a
// reconnect that somebody else made, with the second at which it is so; a request was made five
// seconds before.
func TestSilent(t *testing.T) {
	type step struct {
		what byte
		at   int
	}
	for name, c := range map[string]struct {
		conn  conn
		steps []step
		want  string // the server that is left at each step, or -
	}{
		"one is not enough":                           {conn{servers: []string{"a", "b"}}, []step{{'s', 10}}, "-"},
		"a silence of six seconds":                    {conn{servers: []string{"a", "b"}}, []step{{'s', 10}, {'s', 11}}, "- a"},
		"many at once":                                {conn{servers: []string{"a", "b"}}, []step{{'s', 10}, {'s', 11}, {'s', 11}, {'s', 11}}, "- a - -"},
		"there is no other server":                    {conn{servers: []string{"a"}}, []step{{'s', 10}, {'s', 30}}, "- -"},
		"there is no connection":                      {conn{servers: []string{"a", "b"}, down: true}, []step{{'s', 10}, {'s', 30}}, "- -"},
		"the connection is closed":                    {conn{servers: []string{"a", "b"}, closed: true}, []step{{'s', 10}, {'s', 30}}, "- -"},
		"an answer between":                           {conn{servers: []string{"a", "b"}}, []step{{'s', 10}, {'a', 11}, {'s', 12}, {'s', 16}, {'s', 17}}, "- - - - a"},
		"an answer to a later request":                {conn{servers: []string{"a", "b"}}, []step{{'a', 10}, {'s', 11}, {'s', 15}, {'s', 16}}, "- - - a"},
		"the next server gets twice the time":         {conn{servers: []string{"a", "b"}}, []step{{'s', 11}, {'s', 12}, {'s', 18}, {'s', 24}, {'s', 25}}, "- a - - b"},
		"after an answer it is six seconds again":     {conn{servers: []string{"a", "b"}}, []step{{'s', 11}, {'s', 12}, {'a', 13}, {'s', 18}, {'s', 19}}, "- a - - b"},
		"the longest time is a minute":                {conn{servers: []string{"a", "b", "c"}}, []step{{'s', 10}, {'s', 11}, {'s', 30}, {'s', 37}, {'s', 50}, {'s', 69}, {'s', 80}, {'s', 123}, {'s', 140}, {'s', 194}, {'s', 195}, {'s', 210}, {'s', 264}, {'s', 265}}, "- a - b - c - a - - b - - c"},
		"what was asked of the last server is not it": {conn{servers: []string{"a", "b"}}, []step{{'s', 10}, {'s', 11}, {'s', 12}, {'s', 16}, {'s', 22}, {'s', 23}}, "- a - - - b"},
		"another one has left it just before":         {conn{servers: []string{"a", "b"}}, []step{{'s', 10}, {'r', 11}, {'s', 12}, {'s', 17}, {'s', 18}}, "- - - - a"},
		"the connection is lost after it left":        {conn{servers: []string{"a", "b"}}, []step{{'s', 10}, {'s', 11}, {'r', 20}, {'s', 23}, {'s', 34}, {'s', 35}}, "- a - - - b"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Unix(1_000_000, 0)
			now, last := start, "-"
			l := leave.New(&c.conn, func() time.Time { return now }, func(server string, _ time.Duration) { last = server })
			var got []string
			for _, s := range c.steps {
				now, last = start.Add(time.Duration(s.at)*time.Second), "-"
				switch s.what {
				case 'a':
					l.Answered()
				case 'r':
					c.conn.reconnects++
				default:
					l.Silent(now.Add(-5 * time.Second))
				}
				got = append(got, last)
			}
			check.Equal(t, "the servers that were left", strings.Join(got, " "), c.want)
		})
	}
}
