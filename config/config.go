// Package config reads codeferry.yaml. It is strict: it reports every mistake at once,
// each with its line and column. Secrets can come from the environment or from files.
package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// Config is the whole configuration.
type Config struct {
	NATS NATS `yaml:"nats"`
	// DataDir is where the embedded server keeps its data. In a configuration it is
	// relative to that one's folder. Default: ./data.
	DataDir string `yaml:"dataDir"`
	// EncryptionKey encrypts the embedded server's data: 32 characters or more. Set it
	// before the first start, and do not change it. Default: none, the data is not
	// encrypted.
	EncryptionKey sender.Secret `yaml:"encryptionKey"`
	// Listen is the address of metrics and health. Default: 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// HTTP says who has access to more than health there.
	HTTP       HTTP                 `yaml:"http"`
	Apps       map[string]App       `yaml:"apps"`
	Connectors map[string]Connector `yaml:"connectors"`
	Worker     Worker               `yaml:"worker"`
	Sealing    Sealing              `yaml:"sealing"`

	// Warnings are about settings that are valid but probably not meant, in the file's
	// order.
	Warnings Problems
}

// NATS says which server to use.
type NATS struct {
	// URL is the server's; commas separate several. Default: none, the embedded
	// server.
	URL string `yaml:"url"`
	// Listen is the embedded server's address. Default: 127.0.0.1:4222.
	Listen string `yaml:"listen"`
	// User is the name of the user. It needs a password. Set only one login: a user, a
	// token, an nkey or a credentials file. Default: none.
	User string `yaml:"user"`
	// Password is the user's password. Default: none.
	Password sender.Secret `yaml:"password"`
	// Token is the token to log in with. Default: none.
	Token sender.Secret `yaml:"token"`
	// NKey is a file with the seed of a user's nkey. It is read again at each
	// connection, but another key needs a restart. Default: none.
	NKey Path `yaml:"nkey"`
	// Creds is a credentials file: a user's JWT and nkey seed. It is read again at each
	// connection. A user or a token can be set together with it, for an auth callout
	// that needs both. Default: none.
	Creds Path `yaml:"creds"`
	// TLS says how the worker verifies the server, and which certificate it shows.
	TLS NATSTLS `yaml:"tls"`
	// InboxPrefix is the prefix of the subjects of answers. Set it if the server's
	// permissions allow no other subjects. Default: _INBOX.
	InboxPrefix string `yaml:"inboxPrefix"`
	// Domain is the JetStream domain that has the streams, one token of a subject.
	// Default: none, the server's own JetStream.
	Domain string `yaml:"domain"`
	// APIPrefix is the prefix of JetStream's API subjects, with or without its last dot.
	// Set it if an account imports the API under another prefix. It excludes Domain.
	// Default: $JS.API.
	APIPrefix string `yaml:"apiPrefix"`
	// Replicas is how many servers keep each stream. Default: 1; use 3 in a cluster.
	Replicas int `yaml:"replicas"`
	// MaxBytes is the limit for waiting messages; the server refuses a publish beyond
	// it. The server reserves this size and the next ones for the streams in its store.
	// 0 does not change a stream that exists, and creates a stream with the default.
	// Default: 0, which creates it with 256MiB.
	MaxBytes Bytes `yaml:"maxBytes"`
	// OutcomesBytes is the limit for outcomes; beyond it the server deletes the oldest.
	// Default: 0, which creates the stream with 128MiB.
	OutcomesBytes Bytes `yaml:"outcomesBytes"`
	// DeadBytes is the limit for dead letters; beyond it the server deletes the oldest.
	// Default: 0, which creates the stream with 64MiB.
	DeadBytes Bytes `yaml:"deadBytes"`
	// LedgerBytes is the limit for the ledger; beyond it the server deletes the oldest
	// entries. Default: 0, which creates the stream with 32MiB.
	LedgerBytes Bytes `yaml:"ledgerBytes"`
}

// NATSTLS are the settings of TLS to a NATS server. If one of them is set, the worker
// refuses a server without TLS. The files are in PEM, and are read again at each
// connection.
type NATSTLS struct {
	// CAFile has the root certificates of the CA that signs the servers' certificates.
	// Default: the system's roots.
	CAFile Path `yaml:"caFile"`
	// CertFile has the client certificate, followed by its intermediate certificates.
	// Default: none.
	CertFile Path `yaml:"certFile"`
	// KeyFile has the private key of the client certificate. It is required if there is
	// a client certificate.
	KeyFile Path `yaml:"keyFile"`
	// ServerName is the name that the server's certificate must have. Default: the host
	// of the server's URL.
	ServerName string `yaml:"serverName"`
	// HandshakeFirst starts TLS before the server's first message. Set it if the server
	// has handshake_first. Default: false.
	HandshakeFirst bool `yaml:"handshakeFirst"`
}

// StreamOptions returns what the configuration says about the streams.
func (n NATS) StreamOptions() wire.StreamOptions {
	return wire.StreamOptions{
		Replicas: n.Replicas, MaxBytes: int64(n.MaxBytes),
		OutcomesBytes: int64(n.OutcomesBytes), DeadBytes: int64(n.DeadBytes), LedgerBytes: int64(n.LedgerBytes),
	}
}

// App is one app's route for each channel.
type App struct {
	// Email and SMS are the connectors, in the order to try them.
	Email []Step `yaml:"email"`
	SMS   []Step `yaml:"sms"`
	// CodeTTL is how long a code is valid after the stream stored it, if the message has
	// no expiresAt. Default: 10m.
	CodeTTL time.Duration `yaml:"codeTTL"`
}

// Worker configures the worker.
type Worker struct {
	// Concurrency is how many messages of a channel a worker sends at once. Default: 64.
	Concurrency int `yaml:"concurrency"`
	// Claims says whether a worker claims a message in the ledger before it sends it:
	// auto, on or off. Default: auto.
	Claims Claims `yaml:"claims"`
	// Grace is how long a worker that stops has to finish the messages in flight.
	// Default: 25s.
	Grace time.Duration `yaml:"grace"`
	// Patience is the age after which a waiting code is deferred under overload, so that
	// newer codes go first. Default: 10s.
	Patience time.Duration `yaml:"patience"`
	// AccountPause is how long the circuit breaker of a connector stays open if its
	// account is out of credit or its configuration is wrong. Then one message tries
	// the connector. Default: 20s.
	AccountPause time.Duration `yaml:"accountPause"`
	// HealthPause is the same for a connector that can't be reached, or whose provider
	// throttles. Default: 5s.
	HealthPause time.Duration `yaml:"healthPause"`
	Retry       Retry         `yaml:"retry"`
}

// Sealing says how the private parts of messages are encrypted.
type Sealing struct {
	// Keys are private keys from codeferry keygen, in the order of preference. Each
	// opens what was sealed for it; the first one seals dead letters. Default: none; the
	// embedded server makes a key of its own.
	Keys []wire.PrivateKey `yaml:"keys"`
	// RequireSealed makes a message that is not sealed a dead letter. Default: false.
	RequireSealed bool `yaml:"requireSealed"`
}

// Retry is the exponential backoff between the attempts of a message.
type Retry struct {
	// InitialInterval is the first wait. Default: 1s.
	InitialInterval time.Duration `yaml:"initialInterval"`
	// Multiplier is the factor from each wait to the next. Default: 2.
	Multiplier float64 `yaml:"multiplier"`
	// MaxInterval is the longest wait. Default: 1m.
	MaxInterval time.Duration `yaml:"maxInterval"`
	// RandomizationFactor makes each wait longer or shorter by a random share, at most
	// this one. Default: 0.5.
	RandomizationFactor float64 `yaml:"randomizationFactor"`
	// MaxAttempts is the most attempts for a message. Default: 8.
	MaxAttempts int `yaml:"maxAttempts"`
}

// Default returns a configuration without apps and connectors.
func Default() *Config {
	return &Config{
		NATS:    NATS{Listen: "127.0.0.1:4222", Replicas: wire.DefaultReplicas},
		DataDir: "./data",
		Listen:  "127.0.0.1:8080",
		Worker: Worker{
			Concurrency: 64,
			Claims:      ClaimsAuto,
			Grace:       25 * time.Second,
			Patience:    10 * time.Second,

			AccountPause: 20 * time.Second,
			HealthPause:  5 * time.Second,

			Retry: Retry{
				InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Minute,
				RandomizationFactor: 0.5, MaxAttempts: 8,
			},
		},
	}
}

// DefaultCodeTTL is how long a code is valid if neither the message nor its app says so.
const DefaultCodeTTL = 10 * time.Minute

// Claims says when messages are claimed in the ledger.
type Claims string

// The values of worker.claims.
const (
	ClaimsAuto Claims = "auto"
	ClaimsOn   Claims = "on"
	ClaimsOff  Claims = "off"
)

// UnmarshalText reads one of the values.
func (c *Claims) UnmarshalText(text []byte) error {
	return sender.ReadOneOf(c, text, ClaimsAuto, ClaimsOn, ClaimsOff)
}

// Bytes is a size, written as a number of bytes or with KiB, MiB or GiB.
type Bytes int64

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	s, unit := string(text), int64(1)
	for name, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if t, ok := strings.CutSuffix(s, name); ok {
			s, unit = strings.TrimSpace(t), n
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/unit {
		return fmt.Errorf("%q is not a size such as 512MiB", text)
	}
	*b = Bytes(n * unit)
	return nil
}

// DefaultAskGrace is how long a worker asks a provider about a message in doubt.
const DefaultAskGrace = 3 * time.Second

// OnDoubt says what happens to a message in doubt: nobody knows whether it was sent.
type OnDoubt string

// The values of a connector's onDoubt.
const (
	// Resend sends it again: a user can get the same code twice.
	Resend OnDoubt = "resend"
	// Dead makes it a dead letter.
	Dead OnDoubt = "dead"
)

// UnmarshalText reads one of the values.
func (o *OnDoubt) UnmarshalText(text []byte) error {
	return sender.ReadOneOf(o, text, Resend, Dead)
}

// Connector is a provider's configuration, with the settings that all connectors have.
type Connector struct {
	// Type is the provider: one of [ConnectorTypes].
	Type string
	// OnDoubt says what happens to a message in doubt if the provider can't be asked.
	// Default: resend.
	OnDoubt OnDoubt
	// AskGrace is how long a worker asks the provider about a message in doubt. If the
	// provider then still does not know the message, it counts as not sent. Default: 3s.
	AskGrace time.Duration
	// RateLimit is the most messages a second that one worker sends through the
	// connector. Default: 0, no limit.
	RateLimit float64
	// Settings are the provider's own settings.
	Settings sender.Config
}

// Format writes the connector without its settings, for each verb. If a verb does not
// fit a pointer, fmt prints its fields without calling their methods, and so would print
// the secrets.
func (c Connector) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{type:%s onDoubt:%s askGrace:%v rateLimit:%v}", c.Type, c.OnDoubt, c.AskGrace, c.RateLimit)
}
