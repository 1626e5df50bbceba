package sendertest

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// AnsweredAfter makes a call whose request is handed over before notAfter and answered
// after it, and checks that it succeeds. The server closes reached when the request has
// come, and answers when AnsweredAfter closes answer. AnsweredAfter returns false if the
// request did not come in time.
func AnsweredAfter(t testing.TB, notAfter time.Time, reached <-chan struct{}, answer chan<- struct{}, call func() error) bool {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- call() }()
	select {
	case <-reached:
	case err := <-result:
		close(answer)
		WantExpired(t, err)
		return false
	}
	const more = 50 * time.Millisecond // time for a bug to end the wait at notAfter
	select {
	case err := <-result:
		t.Errorf("the wait for the answer ended %s before NotAfter and the answer: %v", time.Until(notAfter), err)
		close(answer)
		return true
	case <-time.After(time.Until(notAfter) + more):
	}
	close(answer)
	if err := <-result; err != nil {
		t.Errorf("the message was handed over before NotAfter and accepted after it, but the call failed: %v", err)
	}
	return true
}

// WantExpired checks that err means that a message was not handed over because its
// NotAfter came.
func WantExpired(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("it succeeded; nothing may be handed over at or after Message.NotAfter")
	}
	e := Want(t, err, sender.Unavailable)
	if e.Code != sender.CodeExpired {
		t.Errorf("the code is %q, want %q, because Message.NotAfter came first: %v", e.Code, sender.CodeExpired, err)
	}
	if e.Detail == "" {
		t.Errorf("the error has no detail for a person: %v", err)
	}
}

// Patience is a connector's time-out that is longer than any time of Soon.
const Patience = 20 * time.Second

// Soon calls f with a time that comes soon. While f returns false, because this machine
// was too slow to reach the point that f wants before that time, Soon calls f again with
// a later one. The wait in f must end by that time, not by a time-out of Patience.
func Soon(t testing.TB, f func(notAfter time.Time) bool) {
	t.Helper()
	for ahead := 100 * time.Millisecond; ; ahead *= 2 {
		began := time.Now()
		far := f(began.Add(ahead))
		switch took := time.Since(began); {
		case took >= Patience:
			t.Errorf("the wait ended after %s, by the time-out; NotAfter was after %s", took, ahead)
			return
		case far || t.Failed():
			return
		case ahead >= Patience/2:
			t.Fatalf("f did not reach its point within %s", ahead)
		}
	}
}

// Closed reports whether a channel is closed.
func Closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
