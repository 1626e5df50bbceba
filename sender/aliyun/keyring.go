package aliyun

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Aliyun's signature 1.0 is HMAC-SHA1
	"hash"
	"sync"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"

	"github.com/codeferry/codeferry/sender"
)

// keys sign requests. They stand in functions, so that printing whatever holds
// them shows none of them.
type keys struct {
	reveal func() *credentials.Credentials
	// sign returns a text's HMAC-SHA1 by the secret, as signature 1.0 has it.
	sign func(text []byte) [sha1.Size]byte
	// expires is when they are over; zero where nothing says so.
	expires time.Time
	// local is whether they cost no request, so that asking for them again is the
	// way to see that they have changed.
	local bool
}

func newKeys(provider, id, secret, token string) *keys {
	c := &credentials.Credentials{AccessKeyId: id, AccessKeySecret: secret, SecurityToken: token, ProviderName: provider}
	macs := sync.Pool{New: func() any { return hmac.New(sha1.New, []byte(secret+"&")) }}
	return &keys{
		reveal: func() *credentials.Credentials { return c },
		sign: func(text []byte) (sum [sha1.Size]byte) {
			mac, _ := macs.Get().(hash.Hash)
			defer macs.Put(mac)
			mac.Reset()
			mac.Write(text)
			mac.Sum(sum[:0])
			return sum
		},
	}
}

// usable tells whether there are keys, and they are not over.
func (k *keys) usable(now time.Time) bool {
	return k != nil && (k.expires.IsZero() || now.Before(k.expires))
}

const (
	// pause is how long a source is left alone that costs no request, or has failed.
	pause = time.Second
	// ahead is how long before their end keys are renewed.
	ahead = 5 * time.Minute
	// forever is more than a process lives.
	forever = 100 * 365 * 24 * time.Hour
)

// renew returns when the source is asked again after it gave the keys.
func (k *keys) renew(now time.Time) time.Time {
	switch {
	case k.local:
		return now.Add(pause)
	case k.expires.IsZero():
		return now.Add(forever)
	}
	return k.expires.Add(-min(ahead, k.expires.Sub(now)/4))
}

// source gives keys. It blocks until it has some or ctx ends. It gives neither keys
// nor an error where it is not set up. Its error is of class Unavailable, or
// AccountDown where keys or a role are refused: no message has left yet. It is
// called by one goroutine at a time.
type source func(ctx context.Context) (*keys, *sender.Error)

// codeNoKeys is the Code of an error for which Aliyun gave none.
const codeNoKeys = "SDK.NoCredentials"

func noKeys(class sender.Class, detail string) *sender.Error {
	return &sender.Error{Class: class, Code: codeNoKeys, Detail: detail}
}

// given is a source of keys that are known.
func given(provider string, id, secret, token sender.Secret) source {
	k := newKeys(provider, id.Reveal(), secret.Reveal(), token.Reveal())
	return func(context.Context) (*keys, *sender.Error) { return k, nil }
}

// keyring keeps what a source gives for as long as it is good. Of those who want
// keys one asks the source, in its own goroutine and time; the others take the keys
// that there are, and wait where there are none.
type keyring struct {
	source source
	now    func() time.Time

	mu sync.Mutex
	// keys are the last that the source gave; nil for none.
	keys *keys
	// err is why the source gave none the last time.
	err *sender.Error
	// next is when the source is asked again.
	next time.Time
	// asking is closed when whoever asks has done so; nil where nobody does.
	asking chan struct{}
}

func newKeyring(s source) *keyring { return &keyring{source: s, now: time.Now} }

// get returns keys that are good now. It waits for them no longer than patience.
func (r *keyring) get(ctx context.Context, patience time.Duration) (*keys, *sender.Error) {
	if k := r.ready(); k != nil {
		return k, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		r.mu.Lock()
		now := r.now()
		k, err, asking := r.keys, r.err, r.asking
		early := now.Before(r.next)
		switch {
		case k.usable(now) && (early || asking != nil):
			r.mu.Unlock()
			return k, nil
		case early && err != nil:
			r.mu.Unlock()
			again := *err
			return nil, &again
		case asking == nil:
			asking = make(chan struct{})
			r.asking = asking
			r.mu.Unlock()
			return r.ask(ctx, asking)
		}
		r.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, noKeys(sender.Unavailable, "the keys did not come in time")
		}
	}
}

// ready returns the keys where they are good, and nobody has to ask for others.
func (r *keyring) ready() *keys {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.keys.usable(now) && (now.Before(r.next) || r.asking != nil) {
		return r.keys
	}
	return nil
}

// ask asks the source, and keeps what it says. Keys that are still good stay where
// it fails. That a caller had no more time says nothing of the source.
func (r *keyring) ask(ctx context.Context, asking chan struct{}) (*keys, *sender.Error) {
	defer func() { // whatever happens, the others go on
		r.mu.Lock()
		r.asking = nil
		r.mu.Unlock()
		close(asking)
	}()
	k, err := r.source(ctx)
	now := r.now()
	switch {
	case err != nil:
	case k == nil:
		err = noKeys(sender.AccountDown, "there are no keys")
	case !k.usable(now):
		err = noKeys(sender.Unavailable, "the keys that came are over already; look at them, and at this machine's clock")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.keys, r.err, r.next = k, nil, k.renew(now)
		return k, nil
	}
	r.next, r.err = now.Add(pause), nil
	if ctx.Err() == nil {
		r.err = err
	}
	if r.keys.usable(now) {
		return r.keys, nil
	}
	again := *err
	return nil, &again
}

// drop forgets keys that Aliyun has refused, so that the source is asked for the
// next request. Those that have come since are kept.
func (r *keyring) drop(refused *keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == refused {
		r.keys, r.err, r.next = nil, nil, time.Time{}
	}
}
