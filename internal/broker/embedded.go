// Package broker has what codeferry needs of NATS: the embedded server, the connection of a
// worker, and the provisioning of streams and consumers.
package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/sender"
)

// Options configure the embedded server.
type Options struct {
	// Dir is the directory of its data; the server makes it if it is missing.
	Dir string
	// Listen is its address; port 0 chooses a free port.
	Listen string
	// Key encrypts the data. It has to be the same at every start. Default: none, and the
	// data is not encrypted.
	Key sender.Secret
	// Log gets the server's log. Default: none.
	Log zerolog.Logger
}

// Embedded is a nats-server in this process, with JetStream on and every write
// synced to the disk before it is acknowledged.
type Embedded struct {
	server *server.Server
	lock   *flock.Flock
	stop   sync.Once
}

const (
	// startWait limits the start; a store with a million messages opens in seconds.
	startWait = time.Minute
	// startLook is the interval between checks whether it has started.
	startLook = 100 * time.Millisecond
	// maxStore sets no real limit: the streams have their own, and so has the disk.
	maxStore  = 1 << 40
	maxMemory = 64 << 20
)

// Start starts the server and blocks until it accepts connections. Its error says which
// address is in use, that another process uses the data, or that the key does not fit the
// data. Then the data is unchanged.
func Start(o Options) (*Embedded, error) {
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %q is not an address like 127.0.0.1:4222: %w", o.Listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %q is not a port: %w", portText, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	e, err := start(o, host, port)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	e.lock = lock
	return e, nil
}

func start(o Options, host string, port int) (*Embedded, error) {
	on, err := checkStore(o.Dir, o.Key)
	if err != nil {
		return nil, err
	}
	if err := tidy(o, on.stored); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s, err := serve(o, host, port)
	if err != nil {
		return nil, err
	}
	// No worker can make a stream before Start returns.
	err = checkRecovered(s, o.Dir, o.Key, on)
	if err == nil && !o.Key.IsZero() {
		err = markStore(o.Dir, o.Key)
	}
	if err != nil {
		shutdown(s)
		return nil, err
	}
	return &Embedded{server: s}, nil
}

// tidy removes the remains of streams after a crash.
func tidy(o Options, left stored) error {
	for _, folder := range left.deleted {
		if err := finishDelete(folder); err != nil {
			return err
		}
		o.Log.Warn().Str("stream", filepath.Base(folder)).Msg("the stream was being deleted when the embedded NATS server ended; the delete is finished now")
	}
	for _, folder := range left.unfinished {
		to, err := setAside(o.Dir, folder)
		if err != nil {
			return err
		}
		o.Log.Warn().Str("stream", filepath.Base(folder)).Str("folder", to).Msg("the stream was being made or removed when the embedded NATS server ended, and can't be opened; its remains were set aside: delete the folder, or restore its meta.inf and meta.sum")
	}
	return nil
}

// serve starts the server and blocks until it takes connections.
func serve(o Options, host string, port int) (*server.Server, error) {
	opts := &server.Options{
		ServerName:         "codeferry",
		Host:               host,
		Port:               port,
		JetStream:          true,
		StoreDir:           o.Dir,
		SyncAlways:         true,
		JetStreamMaxStore:  maxStore,
		JetStreamMaxMemory: maxMemory,
		NoSigs:             true,
	}
	if !o.Key.IsZero() {
		opts.JetStreamKey, opts.JetStreamCipher = o.Key.Reveal(), server.AES
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	log := &natsLog{log: o.Log, fatal: make(chan string, 1)}
	s.SetLogger(log, false, false)
	s.Start() // does not block
	failed := "it was not ready within " + startWait.String()
	for limit := time.Now().Add(startWait); time.Now().Before(limit); {
		if s.ReadyForConnections(startLook) {
			return s, nil
		}
		select {
		case failed = <-log.fatal:
			limit = time.Time{}
		default:
		}
	}
	shutdown(s)
	return nil, startError(net.JoinHostPort(host, strconv.Itoa(port)), failed)
}

// ErrInUse says that another program listens on the address.
var ErrInUse = errors.New("the address is in use")

func startError(addr, failed string) error {
	if strings.Contains(failed, "address already in use") {
		return fmt.Errorf("embedded NATS: %w: %s", ErrInUse, addr)
	}
	return fmt.Errorf("embedded NATS: %s", failed)
}

func lockDir(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: make the data directory: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "codeferry.lock"))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: lock the data directory: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("embedded NATS: another codeferry uses the data in %s; stop it, or choose another directory", dir)
	}
	return lock, nil
}

// URL returns the server's address for clients.
func (e *Embedded) URL() string { return e.server.ClientURL() }

// Stop ends the server, and blocks until its data is closed. Further calls do
// nothing.
func (e *Embedded) Stop() {
	e.stop.Do(func() {
		shutdown(e.server)
		_ = e.lock.Unlock() // it also ends with the process
	})
}

func shutdown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// natsLog passes the server's log on. Errors that would end a stand-alone server go to fatal.
type natsLog struct {
	log   zerolog.Logger
	fatal chan string
}

func (l *natsLog) Noticef(format string, v ...any) {
	l.log.Debug().Str("from", "nats-server").Msgf(format, v...)
}

func (l *natsLog) Warnf(format string, v ...any) {
	l.log.Warn().Str("from", "nats-server").Msgf(format, v...)
}

func (l *natsLog) Errorf(format string, v ...any) {
	l.log.Error().Str("from", "nats-server").Msgf(format, v...)
}

func (l *natsLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default: // the first error is enough
	}
}

func (l *natsLog) Debugf(string, ...any) {}
func (l *natsLog) Tracef(string, ...any) {}
