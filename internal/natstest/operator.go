package natstest

import (
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Operator is a server's operator with one account, for logins by credentials files.
type Operator struct {
	t       testing.TB
	key     nkeys.KeyPair
	account nkeys.KeyPair
}

// NewOperator makes an operator and its account.
func NewOperator(t testing.TB) *Operator {
	t.Helper()
	return &Operator{t, newKey(t, nkeys.CreateOperator), newKey(t, nkeys.CreateAccount)}
}

func newKey(t testing.TB, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t testing.TB, key nkeys.KeyPair) string {
	t.Helper()
	p, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Trust has a server that is not started yet trust the operator. Its account has a
// JetStream without limits.
func (o *Operator) Trust(opts *server.Options) {
	o.t.Helper()
	operator := jwt.NewOperatorClaims(public(o.t, o.key))
	system := newKey(o.t, nkeys.CreateAccount)
	operator.SystemAccount = public(o.t, system)
	accounts := &server.MemAccResolver{}
	for key, name := range map[nkeys.KeyPair]string{o.account: "codeferry", system: "SYS"} {
		claims := jwt.NewAccountClaims(public(o.t, key))
		claims.Name = name
		if key == o.account {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
		}
		token, err := claims.Encode(o.key)
		if err != nil {
			o.t.Fatal(err)
		}
		if err := accounts.Store(public(o.t, key), token); err != nil {
			o.t.Fatal(err)
		}
	}
	token, err := operator.Encode(o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	if operator, err = jwt.DecodeOperatorClaims(token); err != nil {
		o.t.Fatal(err)
	}
	opts.TrustedOperators, opts.AccountResolver, opts.SystemAccount = []*jwt.OperatorClaims{operator}, accounts, public(o.t, system)
}

// Creds returns the content of a credentials file of a new user. It expires at until; a
// zero until is never.
func (o *Operator) Creds(until time.Time) []byte {
	o.t.Helper()
	user := newKey(o.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(o.t, user))
	claims.Name = "worker"
	if !until.IsZero() {
		claims.Expires = until.Unix()
	}
	token, err := claims.Encode(o.account)
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

// NKey makes a user's nkey, and returns its seed and its public part.
func NKey(t testing.TB) (seed []byte, name string) {
	t.Helper()
	key := newKey(t, nkeys.CreateUser)
	seed, err := key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return seed, public(t, key)
}
