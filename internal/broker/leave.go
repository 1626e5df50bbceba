package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages/wire"
)

// LeaveSilent returns ensure, a Keeper's Ensure, so that it also makes the connection leave a
// server at which JetStream has not answered for some seconds, if there are others. It logs that.
func LeaveSilent(nc *nats.Conn, log zerolog.Logger, ensure func(context.Context) error) func(context.Context) error {
	leaver := wire.NewLeaver(nc, time.Now, func(server string, silent time.Duration) {
		log.Warn().Str("server", server).Stringer("silent", silent.Round(time.Millisecond)).
			Msg("JetStream does not answer at this NATS server; leaving it for another one")
	})
	return noting(leaver, ensure)
}

type listener interface {
	Answered()
	Silent(begun time.Time)
}

// noting tells l whether JetStream answers ensure.
func noting(l listener, ensure func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		begun := time.Now()
		err := ensure(ctx)
		switch {
		case ctx.Err() != nil, unconnected(err):
		case unavailable(err):
			l.Silent(begun)
		default:
			l.Answered()
		}
		return err
	}
}

// unconnected reports whether there was no connection, or it was lost before the answer came.
// While a connection looks for a server, that is no answer: otherwise each server would be left
// after the shortest time again, if JetStream answers nowhere.
func unconnected(err error) bool {
	return wire.IsUnsent(err) || errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionReconnecting)
}

// unavailable reports whether JetStream does not answer, or only that it is not available.
func unavailable(err error) bool {
	if _, answered := errors.AsType[*UnfitError](err); answered {
		return false
	}
	api, refused := errors.AsType[*jetstream.APIError](err)
	return silent(err) || errors.Is(err, ErrNoJetStream) || refused && api.ErrorCode == wire.CodeClusterNotAvailable
}
