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
	"github.com/codeferry/codeferry/sender/internal/expiry"
)

// keys sign requests. They are held by functions, so printing a value that holds them
// does not show them.
type keys struct {
	reveal func() *credentials.Credentials
	// sign returns a text's HMAC-SHA1 with the secret, as signature 1.0 defines it.
	sign func(text []byte) [sha1.Size]byte
	// expires is when the keys expire; zero if that is not known.
	expires time.Time
	// local is true if getting the keys takes no request. They are then read again often,
	// to notice a change.
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

// usable reports whether there are keys that have not expired.
func (k *keys) usable(now time.Time) bool {
	return k != nil && (k.expires.IsZero() || now.Before(k.expires))
}

const (
	// pause is how long to wait before asking again a source that is local or has failed.
	pause = time.Second
	// ahead is how long before they expire keys are renewed.
	ahead = 5 * time.Minute
	// forever is longer than any process lives.
	forever = 100 * 365 * 24 * time.Hour
)

// renew returns the time to ask the source again after it gave the keys.
func (k *keys) renew(now time.Time) time.Time {
	switch {
	case k.local:
		return now.Add(pause)
	case k.expires.IsZero():
		return now.Add(forever)
	}
	return k.expires.Add(-min(ahead, k.expires.Sub(now)/4))
}

// source returns keys. It blocks until it has some or ctx ends. If it is not set up, it
// returns neither keys nor an error. Its error is of class Unavailable, or AccountDown if
// keys or a role are refused; no message has left yet. Only one goroutine calls it at a
// time.
type source func(ctx context.Context) (*keys, *sender.Error)

// codeNoKeys is the Code of an error about keys, for which Aliyun gave no code.
const codeNoKeys = "SDK.NoCredentials"

const keysAdvice = "Check the connector's credentials: their type, and the file, the role or the address that the keys come from."

func noKeys(class sender.Class, detail string) *sender.Error {
	return &sender.Error{Class: class, Code: codeNoKeys, Detail: detail, Advice: keysAdvice}
}

// given returns a source of known keys.
func given(provider string, id, secret, token sender.Secret) source {
	k := newKeys(provider, id.Reveal(), secret.Reveal(), token.Reveal())
	return func(context.Context) (*keys, *sender.Error) { return k, nil }
}

// keyring keeps the keys of a source while they are valid. If several callers want keys,
// one of them asks the source, in its own goroutine and within its own time. The others
// use the present keys, or wait if there are none.
type keyring struct {
	source source
	now    func() time.Time

	mu sync.Mutex
	// keys are the last ones that the source gave; nil for none.
	keys *keys
	// err is why the source gave no keys the last time.
	err *sender.Error
	// next is when to ask the source again.
	next time.Time
	// asking is closed when the caller that asks is done; nil if none asks.
	asking chan struct{}
}

func newKeyring(s source) *keyring { return &keyring{source: s, now: time.Now} }

// get returns keys that are valid now. It waits for them at most for patience, and not
// beyond notAfter, unless that is zero.
func (r *keyring) get(ctx context.Context, patience time.Duration, notAfter time.Time) (*keys, *sender.Error) {
	if k := r.ready(); k != nil {
		return k, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, free := expiry.Bound(ctx, notAfter)
	defer free()
	k, err := r.wait(ctx)
	if err != nil && expiry.Ended(ctx) {
		return nil, sender.Expired("the code expired before there were keys to sign its request")
	}
	return k, err
}

// wait returns keys that are valid now, and asks the source for them if no other caller
// does.
func (r *keyring) wait(ctx context.Context) (*keys, *sender.Error) {
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

// ready returns the keys if they are valid and it is not yet time to ask for new ones.
func (r *keyring) ready() *keys {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.keys.usable(now) && (now.Before(r.next) || r.asking != nil) {
		return r.keys
	}
	return nil
}

// ask asks the source and keeps its answer. If the source fails, keys that are still
// valid stay. If the caller's time ran out, nothing is kept: that says nothing about the
// source.
func (r *keyring) ask(ctx context.Context, asking chan struct{}) (*keys, *sender.Error) {
	defer func() { // whatever happens, the others must go on
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
		err = noKeys(sender.Unavailable, "the keys have already expired; check them, and this machine's clock")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.keys, r.err, r.next = k, nil, k.renew(now)
		return k, nil
	}
	r.next, r.err = now.Add(pause), nil
	if !expiry.Ended(ctx) && ctx.Err() == nil {
		r.err = err
	}
	if r.keys.usable(now) {
		return r.keys, nil
	}
	again := *err
	return nil, &again
}

// drop forgets keys that Aliyun has refused, so the next request asks the source. It
// keeps newer keys.
func (r *keyring) drop(refused *keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == refused {
		r.keys, r.err, r.next = nil, nil, time.Time{}
	}
}
