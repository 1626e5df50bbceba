package sendertest

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// Provider describes a connector and its provider to Conformance: the provider's fake,
// and the ways in which it can fail.
type Provider struct {
	// New makes a connector with a good configuration that sends to an endpoint: a Fake's
	// or a Served's.
	New func(t testing.TB, endpoint string, timeout time.Duration) sender.Sender
	// Message makes a message that the fake accepts. Its payload has a code.
	Message func() *messages.SendCode
	// Private lists what no error may hold in addition to the message's recipient and
	// code: a key that is sent with the request, or another form of the recipient.
	Private []string
	// Words are parts of the message. No error may hold them, even if the provider repeats
	// the whole request.
	Words []string
	// Fake serves the provider's fake until the test ends.
	Fake func(t testing.TB) *Fake
	// Failures are the ways in which a request fails, by name. They include at least those
	// with a constant below. HTTP.Failures makes them for a provider over HTTP.
	Failures map[string]Failure
	// Late serves a provider that accepts a request only when its Answer is closed.
	Late func(t testing.TB) *Served
	// Repeats serves a provider that refuses each request with a text: what words returns
	// for the request's text.
	Repeats func(t testing.TB, words func(request string) string) *Served
	// Answers are the provider's own answers, by name, and what each means for a message:
	// at least one for each class in the table of codes. Each has the status and the header
	// that the provider's reference gives.
	Answers map[string]Answer
	// Codes walks the connector's table of codes.
	Codes Rows
}

// Fake is a fake provider that is being served.
type Fake struct {
	Endpoint string
	// Requests returns how many requests to send a message have come.
	Requests func() int
	// Accepted returns the recipients of the accepted messages.
	Accepted func() []string
}

// Served is a server that fails in one way.
type Served struct {
	Endpoint string
	// Requests returns how many complete requests have come.
	Requests func() int
	// Arrived is closed when the client has come as far as the server lets it.
	Arrived <-chan struct{}
	// Answer is closed by the test, to make a late server answer.
	Answer chan<- struct{}
}

// Failure is a way in which a request fails.
type Failure struct {
	Serve func(t testing.TB) *Served
	// Class is the error's class: Unavailable if the provider surely has nothing, and
	// Unknown if it may have accepted the message.
	Class sender.Class
	// Code is the error's code; empty for any code.
	Code string
	// Requests is how many requests must have come after it.
	Requests int
	// Slow is true if the failure ends by the connector's time-out.
	Slow bool
	// Warm is true if a first send must succeed, and leave its connection behind.
	Warm bool
}

// The failures that every provider must have.
const (
	NobodyListens = "nobody listens"
	NoSuchHost    = "no such host"
	// These come before the message is handed over.
	CutBefore   = "cut before the message"
	StallBefore = "silent before the message"
	// These come after it.
	CutAfter   = "cut after the message"
	ResetAfter = "reset after the message"
	StallAfter = "silent after the message"
	HalfAnswer = "half an answer"
	EmptyOne   = "an empty answer"
	HugeOne    = "a huge answer"
	OtherWords = "another protocol's answer"
)

// required holds the class of each failure that every provider must have.
var required = map[string]sender.Class{
	NobodyListens: sender.Unavailable, NoSuchHost: sender.Unavailable, CutBefore: sender.Unavailable, StallBefore: sender.Unavailable,
	CutAfter: sender.Unknown, ResetAfter: sender.Unknown, StallAfter: sender.Unknown,
	HalfAnswer: sender.Unknown, EmptyOne: sender.Unknown, HugeOne: sender.Unknown, OtherWords: sender.Unknown,
}

// Answer is a provider's answer, and what it means for a message.
type Answer struct {
	Serve func(t testing.TB) *Served
	Meaning
	// Code is the error's code; empty for any code.
	Code string
	// Says is a part of the provider's text that the error's detail must hold.
	Says string
	// RetryAfter is the error's RetryAfter; 0 for any.
	RetryAfter time.Duration
}

// Make makes the connector of a good configuration.
func Make(t testing.TB, c sender.Config) sender.Sender {
	t.Helper()
	if problems := c.Validate(); len(problems) > 0 {
		t.Fatalf("the configuration is wrong: %v", problems)
	}
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Render renders a message that fits.
func Render(t testing.TB, s sender.Sender, code *messages.SendCode) *sender.Message {
	t.Helper()
	m, err := s.Render(code)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
