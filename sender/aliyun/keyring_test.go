package aliyun

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// clock is a clock that a test sets.
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

// script is a source that says what it is told, and counts how often it is asked.
type script struct {
	clock  *clock
	asked  int
	life   time.Duration // of its keys; 0 for ever
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

// wantKey gets a key and compares its id; "" for an error.
func wantKey(t *testing.T, r *keyring, want string) (*keys, *sender.Error) {
	t.Helper()
	k, err := r.get(t.Context(), time.Minute)
	got := ""
	if err == nil {
		got = k.reveal().AccessKeyId
	}
	if got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	return k, err
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
		if _, err := wantKey(t, r, ""); err == nil || err.Class != sender.Unavailable || err.Detail != "it is out" {
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
	first, _ := wantKey(t, r, "key-1")
	r.drop(first)
	wantKey(t, r, "key-2")
	r.drop(first) // an answer that comes late
	wantKey(t, r, "key-2")
}

func TestKeysThatAreOverOrNone(t *testing.T) {
	s := &script{life: -time.Second}
	if _, err := wantKey(t, scripted(s), ""); err == nil || err.Class != sender.Unavailable || err.Code != codeNoKeys {
		t.Error(err)
	}
	r := newKeyring(func(context.Context) (*keys, *sender.Error) { return nil, nil })
	if _, err := wantKey(t, r, ""); err == nil || err.Class != sender.AccountDown {
		t.Error(err)
	}
}

// TestOneAsks: of a hundred that want keys one asks, and all get them.
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

// TestOthersDoNotWait: whoever has keys that are still good sends with them, while
// one asks for new ones.
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

// TestWhoAsksGivesUp: that one caller had no more time is no answer for another.
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
		if _, err := r.get(ctx, time.Minute); err == nil || err.Class != sender.Unavailable {
			t.Error(err)
		}
	})
	<-begun
	over, done := context.WithCancel(t.Context())
	done()
	if _, err := r.get(over, time.Minute); err == nil || err.Class != sender.Unavailable || err.Code != codeNoKeys {
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
		_, _ = r.get(t.Context(), time.Minute)
	}()
	wantKey(t, r, "key")
}

// TestHalfOfTheTimeIsForTheKeys: keys that are slow leave a message the time for its
// answer, and no doubt.
func TestHalfOfTheTimeIsForTheKeys(t *testing.T) {
	const timeout = time.Hour
	c, err := newClient("http://127.0.0.1:1", DefaultRegion, timeout, exchange.Options{})
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

// TestKeysDontShow: not even where printing can't ask a field how.
func TestKeysDontShow(t *testing.T) {
	k := newKeys("test", "ZQXid", "ZQXsecret", "ZQXtoken")
	r := newKeyring(given("test", sender.NewSecret("ZQXid"), sender.NewSecret("ZQXsecret"), sender.NewSecret("ZQXtoken")))
	if _, err := r.get(t.Context(), time.Minute); err != nil {
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
