package messages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// At a sign-up the auth service makes a code and publishes it. After Publish has returned
// without an error, codeferry sends the code, even if the service stops now.
func ExamplePublisher() {
	url, stop := exampleServer()
	defer stop()

	nc, err := messages.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	publisher, err := messages.NewPublisher(nc, messages.PublisherOptions{})
	if err != nil {
		log.Fatal(err)
	}

	// signUp is what the service does for each visitor.
	signUp := func(ctx context.Context, userID, phone, code string) error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // a visitor waits
		defer cancel()
		ack, err := publisher.Publish(ctx,
			messages.Subject{Channel: messages.SMS, Key: userID}, // never the phone number
			&messages.SendCode{
				To:        phone,
				Type:      messages.Register,
				Payload:   messages.Payload{"code": code, "locale": "zh-CN"},
				ExpiresAt: time.Now().Add(10 * time.Minute),
			})
		var wrong *messages.FieldError
		switch {
		case err == nil:
			fmt.Printf("the code for %s is message %d\n", messages.Mask(phone), ack.Sequence) // keep ack.ID for `codeferry status`
			return nil
		case errors.As(err, &wrong):
			return fmt.Errorf("ask the visitor to correct it: %w", err)
		case errors.Is(err, messages.ErrStreamFull), errors.Is(err, messages.ErrNotConnected), errors.Is(err, messages.ErrNoStream):
			return fmt.Errorf("no code was sent, ask the visitor to come back: %w", err)
		}
		return fmt.Errorf("the code may have been sent, offer to send another: %w", err)
	}

	ctx := context.Background()
	for _, phone := range []string{"+8613012345678", "130-oops"} {
		if err := signUp(ctx, "user-4711", phone, "123456"); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// the code for +86130****5678 is message 1
	// ask the visitor to correct it: to is not a phone number such as +8613012345678: it needs 5 to 17 digits after an optional + or 00
}

// Many codes at once: publish all, then wait for each.
func ExamplePublisher_PublishAsync() {
	url, stop := exampleServer()
	defer stop()

	nc, err := messages.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	publisher, err := messages.NewPublisher(nc, messages.PublisherOptions{})
	if err != nil {
		log.Fatal(err)
	}

	var all []messages.Pending
	for i := range 3 {
		pending, err := publisher.PublishAsync(
			messages.Subject{Channel: messages.Email, Key: fmt.Sprintf("invitation-%d", i)},
			&messages.SendCode{
				To:      "foo@example.com",
				Type:    messages.OrganizationInvitation,
				Payload: messages.Payload{"link": "https://example.com/join"},
			})
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, pending)
	}
	for _, pending := range all {
		ack, err := pending.Wait(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("stored", ack.Sequence)
	}
	// Output:
	// stored 1
	// stored 2
	// stored 3
}

// A code can't be sent while its user waits for it: the auth service gets the outcome, and
// offers another way.
func ExampleSubscribeOutcomes() {
	url, stop := exampleServer()
	defer stop()

	nc, err := messages.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithCancel(context.Background()) // until the service ends
	defer cancel()

	examplePlayWorker(nc, messages.Outcome{
		ID: "01JDCT5Z6Q0000000000000000", App: messages.DefaultApp, Channel: messages.SMS, Type: messages.SignIn, Key: "user-4711",
		Status: messages.StatusDead, Reason: messages.ReasonLimited, To: "+86130****5678",
	})

	err = messages.SubscribeOutcomes(ctx, nc, messages.OutcomesOptions{
		Statuses:     []messages.Status{messages.StatusDead},
		Durable:      "auth",                             // continues after a restart; the service's instances share it
		Since:        time.Now().Add(-time.Minute),       // the first time
		ErrorHandler: func(err error) { log.Print(err) }, // it tries again by itself
	}, func(_ context.Context, o messages.Outcome) error {
		switch o.Reason {
		case messages.ReasonDoubt, messages.ReasonPoison:
			fmt.Println(o.Key + ": has it arrived? If not, ask for another code.")
		case messages.ReasonExpired:
			fmt.Println(o.Key + ": that took too long; ask for another code.")
		default:
			fmt.Printf("%s: no code can be sent to %s (%s); use your mail address instead.\n", o.Key, o.To, o.Reason)
		}
		cancel() // only the example ends here
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// user-4711: no code can be sent to +86130****5678 (limited); use your mail address instead.
}

// examplePlayWorker publishes an outcome as a worker does.
func examplePlayWorker(nc *nats.Conn, o messages.Outcome) {
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	body, err := json.Marshal(o)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := js.Publish(context.Background(), wire.OutcomeSubject(o.App, o.Channel, o.Status), body); err != nil {
		log.Fatal(err)
	}
}

// After an outage `codeferry dead replay --reissue` asks for new codes in place of the
// expired ones. The auth service makes them for users who still wait.
func ExampleOnReissue() {
	url, stop := exampleServer()
	defer stop()

	nc, err := messages.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	publisher, err := messages.NewPublisher(nc, messages.PublisherOptions{})
	if err != nil {
		log.Fatal(err)
	}
	phones := map[string]string{"user-4711": "+8613012345678"} // the service's own database

	requests, err := messages.OnReissue(context.Background(), nc, messages.DefaultApp, "auth", func(ctx context.Context, r messages.Reissue) error {
		phone, ok := phones[r.Key]
		if !ok {
			return errors.New("this user no longer exists") // the dead letter stays
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := publisher.Publish(ctx,
			messages.Subject{App: r.App, Channel: r.Channel, Type: r.Type, Key: r.Key},
			&messages.SendCode{To: phone, Type: r.Type, Payload: messages.Payload{"code": "654321"}})
		if err == nil {
			fmt.Println("a new code is on its way to", messages.Mask(phone))
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = requests.Unsubscribe() }()

	// The operator's command does this for each dead letter.
	for _, user := range []string{"user-4711", "user-0815"} {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := wire.RequestReissue(ctx, nc, messages.Reissue{
			ID: "01JDCT5Z6Q0000000000000000", App: messages.DefaultApp, Channel: messages.SMS, Type: messages.SignIn, Key: user,
		})
		cancel()
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// a new code is on its way to +86130****5678
	// ask for a new code: the auth service makes no new code: this user no longer exists
}

// exampleServer is a NATS server with codeferry's streams. In production a worker or
// `codeferry provision` creates them.
func exampleServer() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "codeferry")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		log.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the server is not ready")
	}
	nc, err := messages.Connect(s.ClientURL())
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	for _, cfg := range wire.StreamConfigs(wire.StreamOptions{}) {
		if _, err := js.CreateStream(context.Background(), cfg); err != nil {
			log.Fatal(err)
		}
	}
	return s.ClientURL(), func() {
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}
}
