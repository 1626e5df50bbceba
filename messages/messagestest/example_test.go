package messagestest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/messagestest"
)

// codePublisher is the interface that the service uses: *messages.Publisher in production,
// and the fake in tests.
type codePublisher interface {
	Publish(ctx context.Context, s messages.Subject, m *messages.SendCode) (messages.Ack, error)
}

// signIn is the service under test.
func signIn(ctx context.Context, codes codePublisher, userID, phone string) string {
	_, err := codes.Publish(ctx,
		messages.Subject{Channel: messages.SMS, Key: userID},
		&messages.SendCode{To: phone, Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
	var wrong *messages.FieldError
	switch {
	case err == nil:
		return "A code is on its way."
	case errors.As(err, &wrong):
		return "This is not a phone number."
	case errors.Is(err, messages.ErrInDoubt):
		return "A code may be on its way. If it does not come, ask for another one."
	}
	return "No code was sent. Try again later."
}

// A service's test checks what it publishes, and what it says if a publish fails.
func ExamplePublisher() {
	ctx, codes := context.Background(), new(messagestest.Publisher)

	fmt.Println(signIn(ctx, codes, "user-4711", "+8613012345678"))
	for _, p := range codes.Published() {
		fmt.Println("published:", p.Subject, p.Message.Payload.Text("code"))
	}

	fmt.Println(signIn(ctx, codes, "user-4711", "130-oops"))

	for _, err := range []error{messages.ErrStreamFull, messages.ErrInDoubt} {
		codes.FailNext(err)
		fmt.Println(signIn(ctx, codes, "user-4711", "+8613012345678"))
	}
	// Output:
	// A code is on its way.
	// published: codeferry.send.default.sms.SignIn.user-4711 123456
	// This is not a phone number.
	// No code was sent. Try again later.
	// A code may be on its way. If it does not come, ask for another one.
}
