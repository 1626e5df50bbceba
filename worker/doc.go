// Package worker takes codes from JetStream and sends them through the connectors.
//
// # The way of a message
//
// A message goes through the stages in this order. Each stage has its own file:
//
//	open        stage_open.go        decode, unseal, and find its app, id and expiry
//	doubt       stage_doubt.go       read in the ledger whether another worker may have tried it
//	repeated    stage_repeated.go    drop what was sent already, if the stream may have forgotten
//	validate    stage_validate.go    dead-letter what can never be sent
//	ask         stage_ask.go         ask the providers about a message in doubt
//	superseded  stage_superseded.go  drop a code that a newer one has superseded
//	expire      stage_expire.go      dead-letter a code that has expired
//	defer       stage_defer.go       under overload, let newer codes go first
//	route       stage_route.go       choose the connectors
//	send        stage_send.go        try them: bulkhead, render, rate limit, breaker, request
//	decide      decide.go            retry, defer, dead letter or doubt, after the attempts failed
//	settle      settle.go            ack, term, nak, dead letter, ledger, outcome
//
// Each stage decides or passes the message on; none calls an earlier one. Decide is a pure
// function, without I/O. Settle is the only place that acks, naks, terminates or writes
// dead letters.
//
// # Around the stages
//
// A pool (pool.go) has a channel's slots and pulls messages for them. reconnect.go starts
// the pulling again after the consumer or the connection was lost. consumer.go knows which
// messages an earlier consumer may have handed out. A connector (connector.go) has a
// circuit breaker (breaker.go) and a rate limiter (rate_limiter.go); the pool's bulkhead
// (bulkhead.go) limits a connector or app in trouble to its share of the slots. The reaper
// (reaper.go) finds messages that the server has lost track of.
//
// JetStream's pull and ack protocols are in internal/jetpull. What workers tell each other
// about a message is in internal/ledger. After a restart of NATS, recently_sent.go reads
// from the outcomes what the stream has forgotten.
package worker
