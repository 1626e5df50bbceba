package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Target says which server to connect to, and as whom.
type Target struct {
	// URL is the server's; several are separated by commas.
	URL string
	// Creds is a credentials file; none where it is empty.
	Creds string
	// InboxPrefix is what the subjects of answers begin with, where the server allows
	// no others. Default: _INBOX.
	InboxPrefix string
	// Name is the connection's, for the server's operators.
	Name string
	// Denied hears of a request that the server does not permit; nothing else answers
	// it. Default: nobody but the log.
	Denied func(error)
}

// dialTimeout bounds the connecting to one server.
const dialTimeout = 2 * time.Second

// Connect connects once: an error tells whom it could not reach. Once it stands,
// the connection comes back by itself for as long as it takes, and log says
// when it went and came. What is published while it is away fails at once.
func Connect(t Target, log zerolog.Logger) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(t.Name),
		nats.Timeout(dialTimeout),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be on their way
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				log.Warn().Err(err).Msg("NATS is away; what waits there is taken up again when it is back")
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info().Str("server", nc.ConnectedAddr()).Msg("NATS is back")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn().Err(err).Msg("NATS reports an error")
			if t.Denied != nil && errors.Is(err, nats.ErrPermissionViolation) {
				t.Denied(err)
			}
		}),
	}
	if t.Creds != "" {
		opts = append(opts, nats.UserCredentials(t.Creds))
	}
	if t.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(t.InboxPrefix))
	}
	nc, err := nats.Connect(t.URL, opts...)
	if err != nil {
		return nil, connectError(t, err)
	}
	return nc, nil
}

func connectError(t Target, err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return errors.New("connect to NATS: the address is none; it is such as nats://127.0.0.1:4222") // the error quotes it, with what may be a password
	}
	t.URL = Redacted(t.URL)
	var tlsErr *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout), errors.As(err, &dns):
		return fmt.Errorf("NATS at %s can't be reached; is it running, and is the address right? (%w)", t.URL, err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return fmt.Errorf("NATS at %s refuses the credentials; give a credentials file with --creds or nats.creds (%w)", t.URL, err)
	case errors.As(err, &tlsErr):
		return fmt.Errorf("NATS at %s has a certificate that is not trusted here (%w)", t.URL, err)
	}
	return fmt.Errorf("connect to NATS at %s: %w", t.URL, err)
}

// Redacted returns servers' URLs without their passwords and tokens.
func Redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, s := range list {
		u, err := url.Parse(strings.TrimSpace(s))
		switch {
		case err != nil:
			list[i] = "[an address that is none]" // it may hold anything
		case u.User != nil:
			u.User = nil
			list[i] = u.String()
		}
	}
	return strings.Join(list, ",")
}
