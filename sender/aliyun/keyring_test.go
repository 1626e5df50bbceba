package aliyun

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// script is a source with set answers. It counts the calls.
type script struct {
	clock  *clock
	asked  int
	life   time.Duration // of its keys; 0 means no end
	local  bool
	failed *sender.Error
}

func (s *script) source(context.Context) (*keys, *sender.Error) {
	s.asked++
	if s.failed != nil {
		return nil, s.failed
	}
	k := newKeys("test", fmt.Sprint("key-", s.asked), "secret", "")
	k.local = s.local
	if s.life != 0 {
		k.expires = s.clock.now().Add(s.life)
	}
	return k, nil
}

func scripted(s *script) *keyring {
	s.clock = newClock()
	r := newKeyring(s.source)
	r.now = s.clock.now
	return r
}

// getKey gets keys and compares their ID; "" for an error.
func getKey(t *testing.T, r *keyring, want string) (*keys, *sender.Error) {
	t.Helper()
	k, err := r.get(t.Context(), time.Minute, time.Time{})
	got := ""
	if err == nil {
		got = k.reveal().AccessKeyId
	}
	if got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	return k, err
}

func wantKey(t *testing.T, r *keyring, want string) {
	t.Helper()
	_, _ = getKey(t, r, want)
}

func TestKeysAreRenewedBeforeTheirEnd(t *testing.T) {
	for _, c := range []struct {
		life, kept time.Duration
		local      bool
	}{
		{life: time.Hour, kept: time.Hour - ahead - 1},
		{life: time.Minute, kept: 45*time.Second - 1},
		{life: 0, kept: 24 * 365 * time.Hour},
		{life: 0, kept: pause - 1, local: true},
		{life: time.Hour, kept: pause - 1, local: true},
	} {
		s := &script{life: c.life, local: c.local}
		r := scripted(s)
		wantKey(t, r, "key-1")
		s.clock.pass(c.kept)
		wantKey(t, r, "key-1")
		if c.life == 0 && !c.local {
			continue
		}
		s.clock.pass(1)
		wantKey(t, r, "key-2")
	}
}

func TestKeysOutliveASourceThatFails(t *testing.T) {
	s := &script{life: time.Hour}
	r := scripted(s)
	wantKey(t, r, "key-1")
	s.failed = noKeys(sender.Unavailable, "it is out")
	s.clock.pass(time.Hour - ahead)
	for range 10 {
		wantKey(t, r, "key-1")
	}
	if s.asked != 2 {
		t.Errorf("asked %d times at once", s.asked)
	}
	s.clock.pass(ahead - 1)
	wantKey(t, r, "key-1")
	s.clock.pass(pause) // the keys are over now
	for range 10 {
		if _, err := getKey(t, r, ""); err == nil || err.Class != sender.Unavailable || err.Detail != "it is out" {
			t.Error(err)
		}
	}
	if s.asked != 4 {
		t.Errorf("asked %d times", s.asked)
	}
	s.failed = nil
	wantKey(t, r, "") // it is left alone for a while
	s.clock.pass(pause)
	wantKey(t, r, "key-5")
}

func TestKeysThatAreRefused(t *testing.T) {
	s := new(script)
	r := scripted(s)
	first, _ := getKey(t, r, "key-1")
	r.drop(first)
	wantKey(t, r, "key-2")
	r.drop(first) // an answer that comes late
	wantKey(t, r, "key-2")
}

func TestKeysThatAreOverOrNone(t *testing.T) {
	s := &script{life: -time.Second}
	if _, err := getKey(t, scripted(s), ""); err == nil || err.Class != sender.Unavailable || err.Code != codeNoKeys {
		t.Error(err)
	}
	r := newKeyring(func(context.Context) (*keys, *sender.Error) { return nil, nil })
	if _, err := getKey(t, r, ""); err == nil || err.Class != sender.AccountDown {
		t.Error(err)
	}
}

// TestOneAsks: if a hundred callers want keys, one asks the source, and all get them.
func TestOneAsks(t *testing.T) {
	const all = 100
	begun, answer := make(chan struct{}, all), make(chan struct{})
	r := newKeyring(func(context.Context) (*keys, *sender.Error) {
		begun <- struct{}{}
		<-answer
		return newKeys("test", "key", "secret", ""), nil
	})
	var waiting sync.WaitGroup
	for range all {
		waiting.Go(func() { wantKey(t, r, "key") })
	}
	<-begun
	close(answer)
	waiting.Wait()
	if n := len(begun); n != 0 {
		t.Errorf("%d more have asked", n)
	}
}

// TestOthersDoNotWait: while one caller asks for new keys, the others use the present
// ones if these are still valid.
func TestOthersDoNotWait(t *testing.T) {
	c := newClock()
	begun, answer := make(chan struct{}, 1), make(chan struct{})
	first := true
	r := newKeyring(func(context.Context) (*keys, *sender.Error) {
		id := "old"
		if !first {
			begun <- struct{}{}
			<-answer
			id = "new"
		}
		first = false
		k := newKeys("test", id, "secret", "")
		k.local = true
		return k, nil
	})
	r.now = c.now
	wantKey(t, r, "old")
	c.pass(pause)
	var asker sync.WaitGroup
	asker.Go(func() { wantKey(t, r, "new") })
	<-begun
	wantKey(t, r, "old")
	close(answer)
	asker.Wait()
	wantKey(t, r, "new")
}

// TestWhoAsksGivesUp: if the time of the caller that asks runs out, another caller asks
// again.
func TestWhoAsksGivesUp(t *testing.T) {
	begun := make(chan struct{}, 2)
	asked := 0
	r := newKeyring(func(ctx context.Context) (*keys, *sender.Error) {
		begun <- struct{}{}
		if asked++; asked == 1 {
			<-ctx.Done()
			return nil, noKeys(sender.Unavailable, "no more time")
		}
		return newKeys("test", "key", "secret", ""), nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := r.get(ctx, time.Minute, time.Time{}); err == nil || err.Class != sender.Unavailable {
			t.Error(err)
		}
	})
	<-begun
	over, done := context.WithCancel(t.Context())
	done()
	if _, err := r.get(over, time.Minute, time.Time{}); err == nil || err.Class != sender.Unavailable || err.Code != codeNoKeys {
		t.Error(err)
	}
	for range 10 {
		all.Go(func() { wantKey(t, r, "key") })
	}
	cancel()
	all.Wait()
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// TestKeysThatComeTooLate: a message's NotAfter ends its wait for keys, whether it or
// another message asks the source. Other messages go on waiting.
func TestKeysThatComeTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := newKeyring(func(ctx context.Context) (*keys, *sender.Error) {
			if asked++; asked == 1 {
				<-ctx.Done()
				return nil, noKeys(sender.Unavailable, "no more time")
			}
			return newKeys("test", "key", "secret", ""), nil
		})
		notAfter := time.Now().Add(2 * time.Second)
		var all sync.WaitGroup
		for who, end := range map[string]time.Time{"who asks": notAfter, "who waits": notAfter.Add(-time.Second)} {
			all.Go(func() {
				if who == "who waits" {
					<-time.After(time.Millisecond)
				}
				_, err := r.get(t.Context(), time.Minute, end)
				if err == nil || err.Class != sender.Unavailable || err.Code != sender.CodeExpired {
					t.Errorf("%s: got %v, want that it has expired", who, err)
				}
				if got := time.Now(); !got.Equal(end) {
					t.Errorf("%s: it waited until %s, want %s", who, got, end)
				}
			})
		}
		all.Wait()
		wantKey(t, r, "key")
		if asked != 2 {
			t.Errorf("the source was asked %d times, want 2", asked)
		}
	})
}

func TestASourceThatPanics(t *testing.T) {
	asked := 0
	r := newKeyring(func(context.Context) (*keys, *sender.Error) {
		if asked++; asked == 1 {
			panic("once")
		}
		return newKeys("test", "key", "secret", ""), nil
	})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		_, _ = r.get(t.Context(), time.Minute, time.Time{})
	}()
	wantKey(t, r, "key")
}

// TestHalfOfTheTimeIsForTheKeys: slow keys leave a message enough time for its answer.
func TestHalfOfTheTimeIsForTheKeys(t *testing.T) {
	const timeout = time.Hour
	c, err := newClient("http://127.0.0.1:1", DefaultRegion, timeout, httpclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var until time.Time
	c.keys = newKeyring(func(ctx context.Context) (*keys, *sender.Error) {
		until, _ = ctx.Deadline()
		return nil, noKeys(sender.Unavailable, "it is out")
	})
	began := time.Now()
	err = c.Do(t.Context(), NewAction(dm.CreateDescAccountSummaryRequest()), nil, dm.CreateDescAccountSummaryResponse())
	if e := sender.AsError(err); e.Class != sender.Unavailable || e.Code != codeNoKeys {
		t.Error(err)
	}
	if until.Before(began.Add(timeout/2)) || until.After(time.Now().Add(timeout/2)) {
		t.Errorf("the source has until %s, it is %s", until, began)
	}
}

// TestKeysDontShow: not even if fmt can't call a field's methods.
func TestKeysDontShow(t *testing.T) {
	k := newKeys("test", "ZQXid", "ZQXsecret", "ZQXtoken")
	r := newKeyring(given("test", sender.NewSecret("ZQXid"), sender.NewSecret("ZQXsecret"), sender.NewSecret("ZQXtoken")))
	if _, err := r.get(t.Context(), time.Minute, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{k, *k, struct{ k keys }{*k}, r, r.source} {
			shown := fmt.Sprintf(verb, v)
			for _, mark := range []string{"ZQX", fmt.Sprintf("%x", "ZQX"), fmt.Sprintf("%X", "ZQX"), fmt.Sprint([]byte("ZQX"))} {
				if strings.Contains(shown, strings.Trim(mark, "[]")) {
					t.Errorf("%s shows %s", verb, shown)
				}
			}
		}
	}
}
