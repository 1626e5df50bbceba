package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// The oldest NATS that has everything that codeferry uses.
const (
	minMajor = 2
	minMinor = 12
)

// ErrTooOld says that nats-server lacks features that codeferry uses.
var ErrTooOld = errors.New("nats-server is too old")

// CheckServer refuses a server that is too old, with ErrTooOld.
func CheckServer(nc *nats.Conn) error {
	v := nc.ConnectedServerVersion()
	if v == "" {
		return nats.ErrDisconnected
	}
	return checkVersion(v)
}

func checkVersion(version string) error {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) == 3 {
		major, err1 := strconv.Atoi(strings.TrimPrefix(parts[0], "v"))
		minor, err2 := strconv.Atoi(parts[1])
		if err1 == nil && err2 == nil {
			if major > minMajor || major == minMajor && minor >= minMinor {
				return nil
			}
			return fmt.Errorf("%w: it is %s, and codeferry needs %d.%d or newer", ErrTooOld, version, minMajor, minMinor)
		}
	}
	return fmt.Errorf("%w: it reports version %q, and codeferry needs %d.%d or newer", ErrTooOld, version, minMajor, minMinor)
}

// Provision makes the streams, the ledger and the consumers, or changes existing ones to what
// o says, except sizes that o leaves out. It blocks until the server has done so. Its error
// names the field that can't be changed, or the size that has no room.
func Provision(ctx context.Context, js jetstream.JetStream, o wire.StreamOptions) error {
	if err := CheckServer(js.Conn()); err != nil {
		return err
	}
	f := found{streams: make(map[string]*jetstream.StreamInfo)}
	for _, cfg := range wire.StreamConfigs(o) {
		s, err := js.Stream(ctx, cfg.Name)
		switch {
		case err == nil:
			f.streams[cfg.Name] = s.CachedInfo()
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return provisionError("stream "+cfg.Name, err)
		}
	}
	for _, cfg := range wire.StreamConfigs(o) {
		if err := provisionStream(ctx, js, o, f, cfg); err != nil {
			return provisionError("stream "+cfg.Name, err)
		}
	}
	for _, c := range messages.Channels() {
		// The consumer is not read first: the provisioner may not have permission for that.
		if _, err := js.CreateOrUpdateConsumer(ctx, wire.StreamName, wire.ConsumerConfig(c, o)); err != nil {
			if _, ok := errors.AsType[*jetstream.APIError](err); ok {
				err = fmt.Errorf("%w; fields that can't be changed need a new consumer: %s", err, remedy("consumer"))
			}
			return provisionError("consumer "+string(c), err)
		}
	}
	return nil
}

// provisionStream makes a stream, or changes an existing one to its definition.
func provisionStream(ctx context.Context, js jetstream.JetStream, o wire.StreamOptions, f found, cfg jetstream.StreamConfig) error {
	info := f.streams[cfg.Name]
	if info == nil {
		if f.used() {
			cfg = wire.RecreatedConfig(cfg, time.Now())
		}
		_, _, err := makeStream(ctx, js, cfg)
		return err
	}
	all, fixed := compare("stream "+cfg.Name, streamFields, info.Config, cfg, true)
	for _, d := range all {
		if d.action == refuse {
			return errors.New(d.String() + "; it can't be changed in place: " + remedy(d.of))
		}
	}
	fixed.Description, fixed.Replicas = cfg.Description, cfg.Replicas
	if bytes := newSize(o, info); bytes > 0 {
		fixed.MaxBytes = bytes
	}
	_, err := js.UpdateStream(ctx, fixed)
	return sized(fixed, err)
}

func provisionError(what string, err error) error {
	return fmt.Errorf("provision %s: %w", what, Explain(err))
}
