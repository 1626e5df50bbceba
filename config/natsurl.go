package config

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// natsSchemes are those that the client dials.
var natsSchemes = []string{"nats", "tls", "ws", "wss"}

const exampleServer = "nats://127.0.0.1:4222"

// CheckServers tells what is wrong with a list of NATS servers' URLs, which commas
// separate. The error's text follows the setting's name, and quotes nothing of the list:
// a password may stand in it.
func CheckServers(urls string) error {
	websockets, others := false, false
	for s := range strings.SplitSeq(urls, ",") {
		u, err := parseServer(s)
		if err != nil {
			return err
		}
		if strings.HasPrefix(u.Scheme, "ws") {
			websockets = true
		} else {
			others = true
		}
	}
	if websockets && others {
		return errors.New("mixes ws:// or wss:// with nats:// or tls://; use only one kind")
	}
	return nil
}

// errNoServer is an address that can't be read. A password that is not encoded is the
// usual reason.
var errNoServer = errors.New("is not an address; write it like " + exampleServer +
	", and percent-encode special characters in its user, password or token, or set these by settings of their own")

// parseServer reads one URL. Its error quotes nothing of it.
func parseServer(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errors.New("has an empty address; write each like " + exampleServer)
	}
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errNoServer // the error quotes it
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		return nil, errors.New("begins with " + u.Scheme + "://, but NATS uses nats:// or tls://; write it like " + exampleServer)
	case !slices.Contains(natsSchemes, u.Scheme):
		return nil, errors.New("begins with an unknown scheme; use nats://, tls://, ws:// or wss://, such as " + exampleServer)
	case u.Hostname() == "":
		return nil, errors.New("has no host; write it like " + exampleServer)
	case u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Path, "@"):
		return nil, errNoServer // a password has cut it off
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, errNoServer
		}
	}
	return u, nil
}

// InlineLogin says which login stands in a list of servers' URLs: "user and password",
// "token", or "" if none does.
func InlineLogin(urls string) string {
	for s := range strings.SplitSeq(urls, ",") {
		u, err := parseServer(s)
		if err != nil || u.User == nil {
			continue
		}
		if _, ok := u.User.Password(); ok {
			return "user and password"
		}
		return "token"
	}
	return ""
}
