// Package messages is for auth services: it publishes codes over NATS JetStream, and
// receives their outcomes. It depends only on nats.go and the standard library.
//
// # Quick start
//
//	nc, err := messages.Connect("nats://127.0.0.1:4222")
//	// ...
//	publisher, err := messages.NewPublisher(nc, messages.PublisherOptions{})
//	// ...
//	ack, err := publisher.Publish(ctx,
//		messages.Subject{Channel: messages.SMS, Key: userID}, // never the phone number
//		&messages.SendCode{
//			To:        "+8613012345678",
//			Type:      messages.SignIn,
//			Payload:   messages.Payload{"code": "123456"},
//			ExpiresAt: time.Now().Add(10 * time.Minute),
//		})
//
// [Connect] makes the connection that a [Publisher] needs: it buffers no publish, leaves a
// silent server within seconds, and reconnects by itself. A process needs one connection and
// one Publisher. [Publisher.Publish] waits until the stream has stored the code.
// [Publisher.PublishAsync] is for many codes at once.
//
// # Guarantees
//
// After a publish without an error, codeferry promises for the code, in this order:
//
//   - It is never lost. It is sent, it is superseded by a newer code for the same [Subject],
//     or it becomes a [DeadLetter] that says why.
//   - It is never sent twice, if the provider can be asked: if no answer comes, codeferry
//     asks the provider before it sends again. If the provider can't be asked (mail), the
//     operator's setting onDoubt decides, and the outcome says so.
//   - It is never sent late: not at or after its ExpiresAt.
//   - It is never leaked: no log, error, outcome or dead letter shows the code or the whole
//     address. A printed [SendCode] is masked, also as JSON. With a [Sealer] only the
//     workers can read it.
//
// # Errors of a publish
//
// A *[FieldError] names the field that is wrong, and says what it takes. After
// [ErrNoStream], [ErrStreamFull], [ErrNotConnected] and [ErrNoAnswers] the code was not
// stored and will not be sent. After [ErrInDoubt], or any other error, it may have been stored. To repeat a
// publish without the risk of a second code, set SendCode.ID to Ack.ID. A publish returns
// Ack.ID together with the error.
//
// # Outcomes
//
// [SubscribeOutcomes] calls a function with each [Outcome]: sent, retrying, or dead with its
// [Reason]. [OnReissue] takes requests for a new code after an old one has expired.
//
// # Tests
//
// Package messagestest has a fake publisher for a service's own tests. It needs no server,
// refuses the same messages as the real one, and can fail with each of the errors.
//
// # Other languages
//
// A service in another language does not need this package: a message is plain JSON on a
// plain subject. docs/wire.md describes it.
//
// # Compatibility
//
// Versions follow Semantic Versioning. Within a major version:
//
//   - What this package exports stays, with the same meaning. The list is in
//     testdata/api.txt, and a test compares the package with it.
//   - Names on the wire stay: JSON fields, subjects, headers, streams. A worker takes messages
//     from older publishers, and an older listener understands newer workers.
//   - New versions may add fields, options, types, statuses and reasons. So ignore a [Status]
//     or [Reason] that you do not know, name the fields in composite literals, and implement
//     [Pending] only in tests.
//   - Texts of errors, [Outcome].Detail and [Reason.Advice] are for people and may change.
//     Compare errors with [errors.Is] and [errors.As].
//
// Package wire, for workers and tools, is not part of this promise.
package messages
