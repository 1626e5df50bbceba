package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// neverSent is for messages that were never sent.
func neverSent(context.Context, *jetpull.Message) bool { return false }

// sentLog is a list of sent publishes, in place of the outcomes.
type sentLog struct {
	mu sync.Mutex
	// reads counts the reads, of is the span of the last one.
	reads int
	of    span
	// started is when the server started.
	started  time.Time
	startErr error
	// sent is reported at once, later after the log is up to date.
	sent, later map[publish]time.Time
	takes       time.Duration
	err         error
	leads       string
	leadErr     error
	asked       int
}

func (l *sentLog) remembers(context.Context) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started, l.startErr
}

func (l *sentLog) read(ctx context.Context, of span, sent func(publish, time.Time), upToDate func()) error {
	l.mu.Lock()
	l.reads, l.of = l.reads+1, of
	now, later, takes, err := l.sent, l.later, l.takes, l.err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if sleep(ctx, takes); ctx.Err() != nil {
		return ctx.Err()
	}
	for name, at := range now {
		sent(name, at)
	}
	upToDate()
	for name, at := range later {
		sent(name, at)
	}
	<-ctx.Done()
	return nil
}

func (l *sentLog) leader(context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.leads, l.leadErr
}

// count returns how often it was read.
func (l *sentLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

func (l *sentLog) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// remembering runs f with a recentlySent over a log, in a bubble.
func remembering(t *testing.T, l *sentLog, f func(t *testing.T, r *recentlySent, log *safeText)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := new(safeText)
		r := newRecentlySent(l.read, l.remembers, l.leader, zerolog.New(log))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.run(ctx) })
		f(t, r, log)
		stop()
		running.Wait()
	})
}

// safeText is a log that many goroutines write.
type safeText struct{ syncbuf.Buffer }

func (s *safeText) lines() int { return strings.Count(s.String(), "\n") }

// again returns a message that is published with an id and stored at a time.
func again(id string, at time.Time) *jetpull.Message {
	return &jetpull.Message{Subject: "codeferry.send.default.sms.SignIn.user-1", Header: nats.Header{jetstream.MsgIDHeader: {id}}, StoredAt: at, Sequence: 9}
}

func TestSentBefore(t *testing.T) {
	const window = duplicateWindow
	for name, tt := range map[string]struct {
		// first is how long ago the message that was sent was stored.
		first time.Duration
		id    string
		want  bool
	}{
		"a moment ago":                  {time.Second, "a", true},
		"just within the window":        {window - 1, "a", true},
		"before the window":             {window, "a", false},
		"another id":                    {time.Second, "b", false},
		"the message itself comes back": {0, "a", true},
	} {
		l := new(sentLog)
		remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
			now := time.Now()
			l.sent = map[publish]time.Time{publishOf(again("a", now)): now.Add(-tt.first)}
			if r.sentBefore(t.Context(), again("a", now)) {
				t.Errorf("%s: it knows a message although nothing can be forgotten", name)
			}
			if l.count() != 0 {
				t.Errorf("%s: it reads although nothing can be forgotten", name)
			}
			r.mayHaveForgotten()
			if got := r.sentBefore(t.Context(), again(tt.id, now)); got != tt.want {
				t.Errorf("%s: sent before: got %t, want %t", name, got, tt.want)
			}
			want := now.Add(-window - time.Minute)
			l.set(func() {
				if !l.of.from.Equal(want) || !l.of.to.IsZero() {
					t.Errorf("%s: read from %v to %v, want from %v and no end", name, l.of.from, l.of.to, want)
				}
			})
		})
	}
}

// TestRecentlySentServerRemembers: outcomes since the server started are not read, except late
// ones.
func TestRecentlySentServerRemembers(t *testing.T) {
	const back = readBack + readOnAfterRestart
	for name, tt := range map[string]struct {
		// ago is how long ago the server started.
		ago time.Duration
		// nobody knows.
		nobody bool
		err    error
		reads  int
		known  bool
	}{
		"for longer than is read":  {ago: back + 1, reads: 0},
		"for as long as is read":   {ago: back, reads: 1, known: true},
		"for a minute":             {ago: time.Minute, reads: 1, known: true},
		"nobody knows":             {nobody: true, reads: 1, known: true},
		"the server does not tell": {ago: back + 1, err: errors.New("no answer"), reads: 1, known: true},
	} {
		l := new(sentLog)
		remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
			now := time.Now()
			l.sent = map[publish]time.Time{publishOf(again("a", now)): now}
			want := span{from: now.Add(-readBack)}
			if l.startErr = tt.err; !tt.nobody {
				l.started = now.Add(-tt.ago)
			}
			if !tt.nobody && tt.err == nil {
				want.to = l.started.Add(readOnAfterRestart)
			}
			r.mayHaveForgotten()
			if known := r.sentBefore(t.Context(), again("a", now)); known != tt.known || time.Since(now) != 0 {
				t.Errorf("%s: sent before is %t after %v, want %t at once", name, known, time.Since(now), tt.known)
			}
			if n := l.count(); n != tt.reads {
				t.Errorf("%s: it reads %d times, want %d", name, n, tt.reads)
			}
			if tt.reads > 0 && l.of != want {
				t.Errorf("%s: it reads %v, want %v", name, l.of, want)
			}
			if tt.reads == 0 && (r.until.Load() != 0 || r.known != nil) {
				t.Errorf("%s: it still compares messages with an empty list", name)
			}
		})
	}
}

// TestRecentlySentDrops: a reading that began later is not dropped.
func TestRecentlySentDrops(t *testing.T) {
	l := new(sentLog)
	r := newRecentlySent(l.read, l.remembers, l.leader, zerolog.Nop())
	r.mayHaveForgotten()
	r.drop(make(chan struct{}))
	if r.until.Load() == 0 || r.known == nil {
		t.Error("it dropped the reading of a later restart")
	}
	r.drop(r.complete)
	if r.until.Load() != 0 || r.known != nil {
		t.Error("it did not drop its own reading")
	}
}

// TestRecentlySentLateOutcomes: an outcome from before the restart can be published after it.
func TestRecentlySentLateOutcomes(t *testing.T) {
	l := new(sentLog)
	remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
		now := time.Now()
		l.later = map[publish]time.Time{publishOf(again("a", now)): now}
		r.mayHaveForgotten() // it begins
		synctest.Wait()
		r.mayHaveForgotten() // a server has started again
		synctest.Wait()
		if !r.sentBefore(t.Context(), again("a", now)) {
			t.Error("a late outcome is not known")
		}
	})
}

// TestRecentlySentWaits: messages wait while the outcomes are read, but not for long.
func TestRecentlySentWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		takes, want time.Duration
		known       bool
	}{
		"it takes no time": {0, 0, true},
		"it takes a while": {time.Second, time.Second, true},
		"it takes long":    {time.Minute, heldAtMost, false},
	} {
		l := &sentLog{takes: tt.takes}
		remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
			began := time.Now()
			l.sent = map[publish]time.Time{publishOf(again("a", began)): began}
			r.mayHaveForgotten()
			known := r.sentBefore(t.Context(), again("a", began))
			if took := time.Since(began); took != tt.want || known != tt.known {
				t.Errorf("%s: known %t after %v, want %t after %v", name, known, took, tt.known, tt.want)
			}
			before := time.Now()
			r.sentBefore(t.Context(), again("b", began))
			if took := time.Since(before); took != 0 {
				t.Errorf("%s: the next message waits for %v", name, took)
			}
			ended, end := context.WithCancel(t.Context())
			end()
			sleep(t.Context(), 2*readOnAfterRestart)
			r.mayHaveForgotten()
			before = time.Now()
			r.sentBefore(ended, again("a", began))
			if took := time.Since(before); took != 0 {
				t.Errorf("%s: a message whose worker stops waits for %v", name, took)
			}
		})
	}
}

// TestRecentlySentForgottenAgain: after a second restart the outcomes are read again, and messages
// that wait for the first reading wait for the second.
func TestRecentlySentForgottenAgain(t *testing.T) {
	l := &sentLog{takes: time.Second}
	remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
		now := time.Now()
		r.mayHaveForgotten()
		r.mayHaveForgotten()
		sleep(t.Context(), heldAtMost)
		if l.count() != 1 {
			t.Errorf("two pools that begin read %d times, want once", l.count())
		}
		l.set(func() { l.takes = 10 * time.Second })
		r.mayHaveForgotten()
		var known atomic.Bool
		sleep(t.Context(), heldAtMost+time.Second)
		l.set(func() { l.takes, l.sent = time.Second, map[publish]time.Time{publishOf(again("a", now)): now} })
		r.mayHaveForgotten()
		known.Store(r.sentBefore(t.Context(), again("a", now)))
		if !known.Load() || l.count() != 3 {
			t.Errorf("known %t after %d reads, want true after 3", known.Load(), l.count())
		}
	})
}

// TestRecentlySentForgottenWhileAMessageWaits: the message waits for the later reading too.
func TestRecentlySentForgottenWhileAMessageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		first, second := make(chan struct{}), make(chan struct{})
		r := &recentlySent{complete: first, began: now}
		r.until.Store(now.Add(time.Hour).UnixNano())
		known := make(chan bool, 1)
		go func() { known <- r.sentBefore(t.Context(), again("a", now)) }()
		synctest.Wait()
		r.mu.Lock()
		close(first)
		r.complete = second
		r.mu.Unlock()
		synctest.Wait()
		r.mu.Lock()
		r.known = map[publish]time.Time{publishOf(again("a", now)): now}
		close(second)
		r.mu.Unlock()
		if !<-known {
			t.Error("the message did not wait for the later reading")
		}
	})
}

// TestRecentlySentForTheWindow: after the window the stream knows the ids itself.
func TestRecentlySentForTheWindow(t *testing.T) {
	l := new(sentLog)
	remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
		now := time.Now()
		l.sent = map[publish]time.Time{publishOf(again("a", now)): now}
		r.mayHaveForgotten()
		sleep(t.Context(), duplicateWindow-1)
		if !r.sentBefore(t.Context(), again("a", now)) {
			t.Error("the message was forgotten before the window was over")
		}
		sleep(t.Context(), lookEvery+time.Second)
		synctest.Wait()
		if r.until.Load() != 0 || r.known != nil {
			t.Error("the message is kept after the window")
		}
	})
}

// TestRecentlySentLeaderChanges: the new leader may have started after the last publish.
func TestRecentlySentLeaderChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		first, then string
		err         error
		want        int
	}{
		"another one leads":           {"n1", "n2", nil, 1},
		"the same one leads":          {"n1", "n1", nil, 0},
		"nobody knows":                {"n1", "", errNoLeader, 0},
		"there is one server":         {"", "", nil, 0},
		"one server, never asked for": {"", "n1", nil, 0},
	} {
		l := &sentLog{leads: tt.first}
		remembering(t, l, func(t *testing.T, _ *recentlySent, _ *safeText) {
			sleep(t.Context(), lookEvery+1)
			synctest.Wait()
			l.set(func() { l.leads, l.leadErr = tt.then, tt.err })
			sleep(t.Context(), lookEvery)
			synctest.Wait()
			if l.count() != tt.want {
				t.Errorf("%s: read %d times, want %d", name, l.count(), tt.want)
			}
			if tt.err != nil { // the old leader leads again, after a moment without a leader
				l.set(func() { l.leads, l.leadErr = "n2", nil })
				sleep(t.Context(), lookEvery)
				synctest.Wait()
				if l.count() != 1 {
					t.Errorf("%s: read %d times once a leader is there, want 1", name, l.count())
				}
			}
		})
	}
}

// TestRecentlySentOutcomesCantBeRead: messages are still sent, the error is logged once, and
// reading is tried again.
func TestRecentlySentOutcomesCantBeRead(t *testing.T) {
	l := &sentLog{err: errors.New("no stream")}
	remembering(t, l, func(t *testing.T, r *recentlySent, log *safeText) {
		now := time.Now()
		r.mayHaveForgotten()
		if r.sentBefore(t.Context(), again("a", now)) || time.Since(now) != 0 {
			t.Errorf("a message waits for %v", time.Since(now))
		}
		sleep(t.Context(), 2*readPause+1)
		synctest.Wait()
		if l.count() != 3 || log.lines() != 1 {
			t.Errorf("it read %d times and logged %d times, want 3 and 1", l.count(), log.lines())
		}
		l.set(func() { l.err, l.sent = nil, map[publish]time.Time{publishOf(again("a", now)): now} })
		sleep(t.Context(), readPause)
		synctest.Wait()
		if !r.sentBefore(t.Context(), again("a", now)) {
			t.Error("it does not know the outcomes that could be read at last")
		}
	})
}

// TestRecentlySentReadsOn: it reads on for that time and no longer.
func TestRecentlySentReadsOn(t *testing.T) {
	l := new(sentLog)
	remembering(t, l, func(t *testing.T, r *recentlySent, _ *safeText) {
		ended := make(chan time.Time, 1)
		read := r.read
		r.read = func(ctx context.Context, of span, sent func(publish, time.Time), upToDate func()) error {
			defer func() { ended <- time.Now() }()
			return read(ctx, of, sent, upToDate)
		}
		for what, want := range []time.Duration{0, readOnAfterRestart} {
			began := time.Now()
			r.mayHaveForgotten()
			if took := (<-ended).Sub(began); took != want {
				t.Errorf("reading %d takes %v, want %v", what, took, want)
			}
		}
	})
}

func TestPublishOf(t *testing.T) {
	at := time.Unix(0, 1700000000000000000)
	one := publishOf(again("a", at))
	different := map[string]*jetpull.Message{
		"another id":      again("b", at),
		"another subject": {Subject: "codeferry.send.default.email.SignIn.user-1", Header: again("a", at).Header, StoredAt: at, Sequence: 9},
		"no id":           {Subject: again("a", at).Subject, StoredAt: at, Sequence: 9},
		"another place":   {Subject: again("a", at).Subject, StoredAt: at, Sequence: 10},
		"another time":    {Subject: again("a", at).Subject, StoredAt: at.Add(1), Sequence: 9},
	}
	seen := map[publish]string{one: "the first"}
	for name, m := range different {
		p := publishOf(m)
		if other, ok := seen[p]; ok {
			t.Errorf("%s has the name of %s", name, other)
		}
		seen[p] = name
	}
	same := again("a", at.Add(time.Hour))
	same.Sequence, same.Data = 77, []byte("another body")
	if publishOf(same) != one {
		t.Error("the same publish has another name when it is stored again")
	}
	if got, ok := parsePublish(one.String()); !ok || got != one || len(one.String()) != 16 {
		t.Errorf("%s is read as %s, %t", one, got, ok)
	}
	for _, bad := range []string{"", "0011", one.String() + "00", "zz" + one.String()[2:], one.String()[:15]} {
		if _, ok := parsePublish(bad); ok {
			t.Errorf("%q is read as a name", bad)
		}
	}
}

func FuzzParsePublish(f *testing.F) {
	f.Add("00112233445566ff")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parsePublish(s); ok && !strings.EqualFold(p.String(), s) {
			t.Errorf("%q is read as %s", s, p)
		}
	})
}

func TestRepeatedStage(t *testing.T) {
	for _, sent := range []bool{true, false} {
		s := repeatedStage{sentBefore: func(context.Context, *jetpull.Message) bool { return sent }}
		v, decided := s.handle(t.Context(), &delivery{msg: again("a", time.Now())})
		if decided != sent || sent && (v.action != actDone || v.detail != "it was sent before") {
			t.Errorf("sent before %t: decided %t, action %d, %q", sent, decided, v.action, v.detail)
		}
	}
}
