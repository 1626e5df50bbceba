// Package endtoend holds only tests. They send messages through a real nats-server and the
// worker, with every connector and its configuration, to a provider's fake, and check what
// arrives there.
package endtoend
