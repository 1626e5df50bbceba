package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/service"
)

type sandboxCmd struct {
	Listen      string   `help:"Address; port 0 takes a free one." default:"127.0.0.1:9090"`
	AccessKey   []string `help:"Accept this key pair: ID:SECRET or, with STS, ID:SECRET:TOKEN. Repeatable. Default: testid:testsecret." placeholder:"ID:SECRET"`
	FlowControl bool     `help:"Limit SMS to a number as Aliyun does: 1 a minute, 5 an hour, 10 a day." default:"true" negatable:""`
}

// Help shows how the command is used.
func (sandboxCmd) Help() string {
	return `Examples:
  codeferry sandbox
  codeferry sandbox --listen 127.0.0.1:0 --access-key my-id:my-secret --no-flow-control
  curl 'http://127.0.0.1:9090/inbox?to=13012345678'
  curl -X PUT http://127.0.0.1:9090/faults -d '[{"action":"SendSms","httpStatus":503,"count":3}]'
  curl -X PUT http://127.0.0.1:9090/settings -d '{"flowControl":false}'

It answers SingleSendMail, DescAccountSummary, SendSms, SendSmsVerifyCode and
QuerySendDetails as strictly as Aliyun does, with signature V1 or V3
(ACS3-HMAC-SHA256), and delivers nothing. Point a connector's endpoint at it:
http://127.0.0.1:9090.`
}

// Run serves until ctx ends.
func (c *sandboxCmd) Run(ctx context.Context, s streams) error {
	keys, err := parseKeys(c.AccessKey)
	if err != nil {
		return err
	}
	box, err := startSandbox(ctx, c.Listen, "choose another with --listen", fakealiyun.Options{Keys: keys, FlowControl: c.FlowControl})
	if err != nil {
		return err
	}
	defer box.stop()
	_, _ = fmt.Fprintf(s.out, "sandbox on %s, inbox at %s/inbox\n", box.url, box.url)
	if !config.Loopback(c.Listen) {
		_, _ = fmt.Fprintf(s.err, "warning: --listen is %s: whoever reaches it can read the inbox; use 127.0.0.1 unless others need the sandbox\n", c.Listen)
	}
	<-ctx.Done()
	return nil
}

func parseKeys(pairs []string) ([]fakealiyun.Key, error) {
	var keys []fakealiyun.Key
	for _, p := range pairs {
		parts := strings.SplitN(p, ":", 3)
		if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
			return nil, &exitError{exitUsage, errors.New("--access-key takes ID:SECRET or ID:SECRET:TOKEN")}
		}
		k := fakealiyun.Key{ID: parts[0], Secret: parts[1]}
		if len(parts) == 3 {
			k.SecurityToken = parts[2]
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// runningSandbox is a sandbox with its HTTP server.
type runningSandbox struct {
	url    string
	box    *fakealiyun.Server
	server *http.Server
	ended  chan struct{}
}

// checkListen says what is wrong with an address to listen on.
func checkListen(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return &exitError{exitUsage, fmt.Errorf("can't listen on %s: it takes a host and a port, such as 127.0.0.1:8080", typed(addr))}
	}
	return nil
}

// startSandbox serves a sandbox. remedy says what to do if it can't listen on addr.
func startSandbox(ctx context.Context, addr, remedy string, o fakealiyun.Options) (*runningSandbox, error) {
	if err := checkListen(addr); err != nil {
		return nil, err
	}
	l, err := service.Listen(ctx, addr, remedy)
	if err != nil {
		return nil, err
	}
	box := fakealiyun.New(o)
	st := &runningSandbox{
		url: "http://" + reachable(l.Addr().String()), box: box, ended: make(chan struct{}),
		server: &http.Server{Handler: box, ReadHeaderTimeout: 5 * time.Second},
	}
	go func() {
		defer close(st.ended)
		_ = st.server.Serve(l) // until stop closes the server
	}()
	return st, nil
}

// reachable returns an address at which a client on this machine reaches a listener: if it
// listens on every address, loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

func (st *runningSandbox) stop() {
	st.box.Close() // first: it ends requests that hang on purpose
	_ = st.server.Close()
	<-st.ended
}
