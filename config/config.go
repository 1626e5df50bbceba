// Package config reads codeferry.yaml: strictly, with every mistake reported at
// once and where it stands, and secrets from the environment or from files.
package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// Config is the whole configuration.
type Config struct {
	NATS NATS `yaml:"nats"`
	// DataDir is where the embedded server keeps its data. Default: ./data.
	DataDir string `yaml:"dataDir"`
	// EncryptionKey encrypts the embedded server's data, 32 characters or more. It
	// is given from the first start on, and stays the same. Default: none, and the
	// data is plain.
	EncryptionKey sender.Secret `yaml:"encryptionKey"`
	// Listen is the address of metrics and health. Default: 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// HTTP is who may ask there for more than health.
	HTTP       HTTP                 `yaml:"http"`
	Apps       map[string]App       `yaml:"apps"`
	Connectors map[string]Connector `yaml:"connectors"`
	Worker     Worker               `yaml:"worker"`
	Sealing    Sealing              `yaml:"sealing"`

	// Warnings are what is right in the file and yet hardly meant, in its order.
	Warnings Problems
}

// NATS says which server to use.
type NATS struct {
	// URL is the server's; several are separated by commas. Left out: the
	// embedded server.
	URL string `yaml:"url"`
	// Listen is the embedded server's address. Default: 127.0.0.1:4222.
	Listen string `yaml:"listen"`
	// Creds is a credentials file.
	Creds string `yaml:"creds"`
	// InboxPrefix is what the subjects of answers begin with, where the server's
	// permissions allow no others. Default: _INBOX.
	InboxPrefix string `yaml:"inboxPrefix"`
	// Replicas is how many servers keep each stream. Default: 1; use 3 in a cluster.
	Replicas int `yaml:"replicas"`
	// MaxBytes bounds the waiting messages; a publish beyond it is refused.
	// Default: 1GiB.
	MaxBytes Bytes `yaml:"maxBytes"`
}

// StreamOptions returns what the configuration says about the streams.
func (n NATS) StreamOptions() messages.StreamOptions {
	return messages.StreamOptions{Replicas: n.Replicas, MaxBytes: int64(n.MaxBytes)}
}

// App is one app's way for each channel.
type App struct {
	// Email and SMS are the connectors, in the order to try them.
	Email []Step `yaml:"email"`
	SMS   []Step `yaml:"sms"`
	// CodeTTL is how long a code is good that says nothing itself, from when the
	// stream stored it. Default: 10m.
	CodeTTL time.Duration `yaml:"codeTTL"`
}

// Worker is how the pool works.
type Worker struct {
	// Concurrency is how many messages of a channel are sent at once. Default: 64.
	Concurrency int `yaml:"concurrency"`
	// Claims says whether a message is claimed in the ledger before it is sent:
	// auto, on or off. Default: auto.
	Claims Claims `yaml:"claims"`
	// Grace is how long a worker that is told to stop finishes what it has begun.
	// Default: 25s.
	Grace time.Duration `yaml:"grace"`
	// Patience is how long a user waits for a code before newer ones go first
	// while more comes in than can go out. Default: 10s.
	Patience time.Duration `yaml:"patience"`
	// AccountPause is how long a connector is left alone whose account is out or
	// whose configuration is wrong, before one message tries it again. Default: 20s.
	AccountPause time.Duration `yaml:"accountPause"`
	// HealthPause is the same for one that can't be reached, or throttles.
	// Default: 5s.
	HealthPause time.Duration `yaml:"healthPause"`
	Retry       Retry         `yaml:"retry"`
}

// Sealing says how the private parts of messages are encrypted.
type Sealing struct {
	// Keys are the private keys, codeferry keygen's, in the order of preference:
	// each opens what was sealed for it, and with the first one dead letters are
	// sealed. Default: none; where the server is embedded, one of its own.
	Keys []messages.PrivateKey `yaml:"keys"`
	// RequireSealed refuses messages that are not sealed: they become dead letters.
	RequireSealed bool `yaml:"requireSealed"`
}

// Retry is the exponential backoff between the attempts for a message.
type Retry struct {
	// InitialInterval is the first wait. Default: 1s.
	InitialInterval time.Duration `yaml:"initialInterval"`
	// Multiplier is what each wait is longer by than the one before. Default: 2.
	Multiplier float64 `yaml:"multiplier"`
	// MaxInterval is the longest wait. Default: 1m.
	MaxInterval time.Duration `yaml:"maxInterval"`
	// RandomizationFactor spreads a wait by this share to both sides. Default: 0.5.
	RandomizationFactor float64 `yaml:"randomizationFactor"`
	// MaxAttempts is how many attempts a message has. Default: 8.
	MaxAttempts int `yaml:"maxAttempts"`
}

// Default returns a configuration without apps and connectors.
func Default() *Config {
	return &Config{
		NATS:    NATS{Listen: "127.0.0.1:4222", Replicas: messages.DefaultReplicas, MaxBytes: messages.DefaultMaxBytes},
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

// DefaultCodeTTL is how long a code is good where neither it nor its app says so.
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
	switch v := Claims(text); v {
	case ClaimsAuto, ClaimsOn, ClaimsOff:
		*c = v
		return nil
	}
	return fmt.Errorf("%q is none of auto, on and off", text)
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
		return fmt.Errorf("%q is no size; write it like 512MiB", text)
	}
	*b = Bytes(n * unit)
	return nil
}

// DefaultAskGrace is how long a provider is asked about a message in doubt.
const DefaultAskGrace = 3 * time.Second

// OnDoubt says what happens to a message of which no one can tell whether it
// was sent.
type OnDoubt string

// The values of a connector's onDoubt.
const (
	// Resend sends it again: the same code twice is noise.
	Resend OnDoubt = "resend"
	// Dead makes it a dead letter.
	Dead OnDoubt = "dead"
)

// UnmarshalText reads one of the values.
func (o *OnDoubt) UnmarshalText(text []byte) error {
	switch v := OnDoubt(text); v {
	case Resend, Dead:
		*o = v
		return nil
	}
	return fmt.Errorf("%q is neither resend nor dead", text)
}

// Connector is a provider's configuration and what codeferry adds to each.
type Connector struct {
	// Type is the provider: one of ConnectorTypes.
	Type string
	// OnDoubt says what happens to a message in doubt, where the provider can't be
	// asked. Default: resend.
	OnDoubt OnDoubt
	// AskGrace is how long a provider that can be asked is asked about a message
	// in doubt before it counts as not sent. Default: 3s.
	AskGrace time.Duration
	// RateLimit is the most messages a second that a worker sends through the
	// connector. Default: 0, no limit.
	RateLimit float64
	// Settings is the provider's own part.
	Settings sender.Config
}

// Format writes the connector without its settings, whatever the verb: where a
// verb does not fit a pointer, fmt shows what is behind it without asking it,
// and so the secrets too.
func (c Connector) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{type:%s onDoubt:%s askGrace:%v rateLimit:%v}", c.Type, c.OnDoubt, c.AskGrace, c.RateLimit)
}
