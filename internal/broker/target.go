package broker

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

// Target says which server to connect to, and as whom.
type Target struct {
	// URL is the server's; several are separated by commas.
	URL string
	// User and Password, or Token, log in; they stand in place of what is in URL. Default:
	// none.
	User            string
	Password, Token sender.Secret
	// NKey is a file with the seed of a user's nkey. Default: none.
	NKey string
	// Creds is a credentials file. Default: none.
	Creds string
	// TLS says how the server is verified, and which certificate the client shows.
	TLS config.NATSTLS
	// InboxPrefix is what the subjects of answers begin with, where the server allows
	// no others. Default: _INBOX.
	InboxPrefix string
	// Domain is the JetStream domain that has the streams. Default: none, the server's
	// own JetStream.
	Domain string
	// APIPrefix is what the subjects of JetStream's API begin with; it excludes Domain.
	// Default: $JS.API.
	APIPrefix string
	// Name is the connection's, for the server's operators.
	Name string
	// Denied hears of a request that the server does not permit; nothing else answers
	// it. Default: nobody but the log.
	Denied func(error)
	// Refused hears why a server did not take the lost connection again: its login or TLS. It
	// hears nil when the connection is back, or when no server has said so in two rounds of
	// tries. Default: nobody but the log.
	Refused func(error)
	// Settings name what the target was made of, for errors. Default: the configuration's
	// fields.
	Settings Settings
}

// Settings are the names of a target's settings, as a user knows them: an error says
// which one to correct. A name that is empty is that of the configuration's field.
type Settings struct {
	// URL, Token, NKey, Creds, CA, ServerName, HandshakeFirst and InboxPrefix name one
	// setting each.
	URL, Token, NKey, Creds, CA, ServerName, HandshakeFirst, InboxPrefix string
	// User names the settings of the user and the password, and Cert those of the client's
	// certificate and its key.
	User, Cert string
	// Login names all the settings of a login, for a target that has none.
	Login string
	// Unnamed names the settings that name a server, if none of them does: URL is a default.
	Unnamed string
}

// Or returns the settings, with others' names in place of those that are empty.
func (s Settings) Or(others Settings) Settings {
	return Settings{
		URL: cmp.Or(s.URL, others.URL), User: cmp.Or(s.User, others.User), Token: cmp.Or(s.Token, others.Token), NKey: cmp.Or(s.NKey, others.NKey), Creds: cmp.Or(s.Creds, others.Creds),
		CA: cmp.Or(s.CA, others.CA), Cert: cmp.Or(s.Cert, others.Cert), ServerName: cmp.Or(s.ServerName, others.ServerName), HandshakeFirst: cmp.Or(s.HandshakeFirst, others.HandshakeFirst),
		Login: cmp.Or(s.Login, others.Login), InboxPrefix: cmp.Or(s.InboxPrefix, others.InboxPrefix),
		Unnamed: cmp.Or(s.Unnamed, others.Unnamed),
	}
}

// named returns the settings with every name.
func (s Settings) named() Settings {
	return s.Or(Settings{ //nolint:gosec // the names of settings
		URL: "nats.url", User: "nats.user and nats.password", Token: "nats.token", NKey: "nats.nkey", Creds: "nats.creds",
		CA: "nats.tls.caFile", Cert: "nats.tls.certFile and nats.tls.keyFile", ServerName: "nats.tls.serverName", HandshakeFirst: "nats.tls.handshakeFirst",
		Login: "nats.user and nats.password, nats.token, nats.nkey or nats.creds", InboxPrefix: "nats.inboxPrefix",
	})
}

// TargetOf returns the server that a configuration names. Its URL is empty if that is
// the embedded one.
func TargetOf(n config.NATS, name string) Target {
	return Target{
		URL: n.URL, User: n.User, Password: n.Password, Token: n.Token, NKey: string(n.NKey), Creds: string(n.Creds), TLS: n.TLS,
		InboxPrefix: n.InboxPrefix, Domain: n.Domain, APIPrefix: n.APIPrefix, Name: name,
	}
}

// SameLogin tells whether two targets have the same users, passwords and tokens, and
// name the same servers in the same order.
func (t Target) SameLogin(other Target) bool {
	return t.URL == other.URL && t.User == other.User &&
		t.Password.Reveal() == other.Password.Reveal() && t.Token.Reveal() == other.Token.Reveal()
}

// LoginName returns the name of the user that logs in with a password. It is "" with any
// other login.
func (t Target) LoginName() string {
	if t.User != "" || !t.Token.IsZero() || config.InlineLogin(t.URL) != "user and password" {
		return t.User
	}
	all, err := t.servers()
	if err != nil || len(all) == 0 {
		return ""
	}
	u, err := url.Parse(all[0])
	if err != nil || u.User == nil {
		return ""
	}
	return u.User.Username()
}

// servers returns the servers' URLs with the login in each: from there the client takes
// it at each connection, and Renew can give it another one. They are checked.
func (t Target) servers() (all []string, err error) {
	if err := config.CheckServers(t.URL); err != nil {
		return nil, &settingError{t.Settings.named().URL, err}
	}
	for s := range strings.SplitSeq(t.URL, ",") {
		s = strings.TrimSpace(s)
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			return nil, &settingError{t.Settings.named().URL, errors.New("is not an address")} // err quotes it
		}
		switch {
		case t.User != "":
			u.User = url.UserPassword(t.User, t.Password.Reveal())
		case !t.Token.IsZero():
			u.User = url.User(t.Token.Reveal())
		}
		// The client takes a comma for the end of the URL.
		all = append(all, strings.ReplaceAll(u.String(), ",", "%2C"))
	}
	return all, nil
}

// Hosts returns the host and port of each server of a list of URLs.
func Hosts(urls string) (all []string) {
	if urls == "" {
		return nil
	}
	for s := range strings.SplitSeq(Redacted(urls), ",") {
		u, err := url.Parse(s)
		if err != nil {
			all = append(all, s)
			continue
		}
		port := "4222"
		switch u.Scheme {
		case "ws":
			port = "80"
		case "wss":
			port = "443"
		}
		all = append(all, net.JoinHostPort(strings.ToLower(u.Hostname()), cmp.Or(u.Port(), port)))
	}
	return all
}

// options returns how to log in and to verify the server. Its error says which file
// can't be used.
func (t Target) options() (opts []nats.Option, err error) {
	if t.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(t.InboxPrefix))
	}
	login, err := t.loginOptions()
	if err != nil {
		return nil, err
	}
	secure, err := t.tlsOptions()
	if err != nil {
		return nil, err
	}
	return append(append(opts, login...), secure...), nil
}
