package broker

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

const defaultPort = "4222"

// SameServers reports whether two lists of URLs name the same servers. Their users may
// differ.
func SameServers(a, b string) bool {
	servers, err := hosts(a)
	others, otherErr := hosts(b)
	return err == nil && otherErr == nil && slices.Equal(servers, others)
}

// hosts returns the servers of a list, sorted and without users.
func hosts(urls string) (all []string, err error) {
	for s := range strings.SplitSeq(urls, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			return nil, errors.New("an invalid address") // the error quotes it, perhaps with a password
		}
		port := u.Port()
		if port == "" {
			port = defaultPort
		}
		all = append(all, u.Scheme+"://"+net.JoinHostPort(u.Hostname(), port))
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Renew gives a connection the users, passwords and tokens of t, which has to name the same
// servers. They take effect when it connects the next time; if the connection is lost, it
// tries again at once.
func Renew(nc *nats.Conn, t Target) error {
	servers, err := t.servers()
	if err != nil {
		return err
	}
	if err := nc.SetServerPool(servers); err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok {
			return errors.New("take the new login: an address is not valid") // the error quotes it
		}
		return fmt.Errorf("take the new login: %w", err)
	}
	if nc.IsConnected() {
		return nil
	}
	if err := nc.ForceReconnect(); err != nil {
		return fmt.Errorf("take the new login: %w", err)
	}
	return nil
}
