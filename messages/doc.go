// Package messages is codeferry's public contract: what an auth service
// publishes (SendCode), what it can hear back (Outcome), what is kept of a
// message that could not be sent (DeadLetter), and the subjects, streams and
// consumers that carry them over NATS JetStream.
//
// The package depends on nats.go and the standard library only, so that an
// auth service can import it at no other cost. A service in another language
// needs none of it: the wire is plain JSON on a plain subject, described in
// docs/wire.md.
package messages
