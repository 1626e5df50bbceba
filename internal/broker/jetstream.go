package broker

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// JetStream returns the JetStream that t names, over a connection to t's server. It
// does no I/O. A request whose context has no deadline waits for at most 5s.
func JetStream(nc *nats.Conn, t Target) (jetstream.JetStream, error) {
	var js jetstream.JetStream
	var err error
	switch {
	case t.Domain != "" && t.APIPrefix != "":
		err = errors.New("a domain and an API prefix are both set, and each gives the start of the API's subjects; leave one of them out")
	case t.Domain != "":
		js, err = jetstream.NewWithDomain(nc, t.Domain)
	case t.APIPrefix != "":
		js, err = jetstream.NewWithAPIPrefix(nc, t.APIPrefix)
	default:
		js, err = jetstream.New(nc)
	}
	if err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return js, nil
}

// ErrNoJetStream says that JetStream does not answer: it is off, or elsewhere.
var ErrNoJetStream = errors.New("nothing answers for JetStream: start nats-server with -js, or enable it for the account; " +
	"if it is in a domain or in another account, name that by nats.domain or nats.apiPrefix (--js-domain, --js-api-prefix)")

// Explain adds ErrNoJetStream to an error that says that JetStream does not answer, and says
// plainly that there was no connection. It returns any other error unchanged.
func Explain(err error) error {
	switch {
	case errors.Is(err, ErrNoJetStream), errors.Is(err, messages.ErrNoStream): // already explained
		return err
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w (%w)", ErrNoJetStream, err)
	}
	return wire.Unsent(err)
}
