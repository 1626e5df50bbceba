// Package endtoend holds tests alone: every connector as it is configured, through
// the worker and a real nats-server to a provider's stand-in, and what arrives
// there.
package endtoend
