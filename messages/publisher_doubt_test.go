package messages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestPublishRepeatsAfterALostAck: Publish repeats the try, and the stream keeps one message.
func TestPublishRepeatsAfterALostAck(t *testing.T) {
	t.Parallel()
	publishes := map[string]publishFunc{
		"Publish": func(ctx context.Context, p *messages.Publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
			return p.Publish(ctx, s, m)
		},
		"PublishAsync": func(ctx context.Context, p *messages.Publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
			pending, err := p.PublishAsync(s, m)
			if err != nil {
				return messages.Ack{}, err
			}
			return pending.Wait(ctx)
		},
	}
	for name, publish := range publishes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, dialer := natstest.Start(t), newLossyDialer(2)
			js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
			p := newPublisher(t, srv.Connect(t, nats.SetCustomDialer(dialer)), messages.PublisherOptions{AckWait: 50 * time.Millisecond})
			s, m := code()
			ack, err := publish(t.Context(), p, s, m)
			if err != nil {
				t.Errorf("error is %v, want none", err)
			}
			if ack.Sequence != 1 || !ack.Duplicate {
				t.Errorf("Ack = %+v, want sequence 1 and a duplicate", ack)
			}
			if n := len(dialer.lost); n != 2 {
				t.Errorf("%d acknowledgements were lost, want 2", n)
			}
			if n := natstest.Stored(t, js); n != 1 {
				t.Errorf("%d messages are stored, want 1", n)
			}
		})
	}
}

// TestPublishWhileATryIsInProcess: a stream with several replicas refuses a repeat while they
// store the first try. Publish repeats it until the stream acknowledges it.
func TestPublishWhileATryIsInProcess(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	answers := []string{
		`{"error": {"code": 409, "err_code": 10158, "description": "duplicate message id is in process"}, "stream": "CODEFERRY", "seq": 0}`,
		`{"error": {"code": 409, "err_code": 10158, "description": "duplicate message id is in process"}, "stream": "CODEFERRY", "seq": 0}`,
		`{"stream": "CODEFERRY", "seq": 7, "duplicate": true}`,
	}
	if _, err := nc.Subscribe("codeferry.send.>", func(m *nats.Msg) {
		_ = m.Respond([]byte(answers[0]))
		answers = answers[min(1, len(answers)-1):]
	}); err != nil {
		t.Fatal(err)
	}
	s, m := code()
	ack, err := newPublisher(t, nc, messages.PublisherOptions{}).Publish(t.Context(), s, m)
	if err != nil {
		t.Errorf("Publish: %v", err)
	}
	check.Equal(t, "Sequence", ack.Sequence, 7)
	check.Equal(t, "Duplicate", ack.Duplicate, true)
}

// TestPublishAgainAfterDoubt: Publish returns the id together with ErrInDoubt. With this id
// the stream recognizes the second publish as a duplicate.
func TestPublishAgainAfterDoubt(t *testing.T) {
	t.Parallel()
	srv, dialer := natstest.Start(t), newLossyDialer(1000)
	js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
	p := newPublisher(t, srv.Connect(t, nats.SetCustomDialer(dialer)), messages.PublisherOptions{AckWait: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-dialer.lost // it is stored, but its ack is lost
		cancel()
	}()
	s, m := code()
	ack, err := p.Publish(ctx, s, m)
	if !errors.Is(err, messages.ErrInDoubt) || !errors.Is(err, context.Canceled) {
		t.Fatalf("Publish: %v, want ErrInDoubt with the context's error", err)
	}
	if ack.ID == "" || ack.Sequence != 0 {
		t.Fatalf("with the error Publish returns %+v, want only the id", ack)
	}
	dialer.lose.Store(0)
	m.ID = ack.ID
	again, err := p.Publish(t.Context(), s, m)
	if err != nil {
		t.Errorf("the second publish: %v", err)
	}
	if again.ID != ack.ID || !again.Duplicate {
		t.Errorf("the second publish returns %+v, want a duplicate of %s", again, ack.ID)
	}
	if n := natstest.Stored(t, js); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}

// TestPublishReturnsErrInDoubt: if the message may have been stored, the error never says
// that it was not.
func TestPublishReturnsErrInDoubt(t *testing.T) {
	t.Parallel()
	denials := []error{messages.ErrNoStream, messages.ErrStreamFull, messages.ErrNotConnected}
	after := map[string]func(*natstest.Server, *nats.Conn, jetstream.JetStream, context.CancelFunc) error{
		"nothing": func(*natstest.Server, *nats.Conn, jetstream.JetStream, context.CancelFunc) error { return nil },
		"the server goes": func(s *natstest.Server, _ *nats.Conn, _ jetstream.JetStream, _ context.CancelFunc) error {
			s.Stop()
			return nil
		},
		"the connection is closed": func(_ *natstest.Server, nc *nats.Conn, _ jetstream.JetStream, _ context.CancelFunc) error {
			nc.Close()
			return nil
		},
		"the stream goes": func(_ *natstest.Server, _ *nats.Conn, js jetstream.JetStream, _ context.CancelFunc) error {
			return js.DeleteStream(context.Background(), wire.StreamName)
		},
		"the caller gives up": func(_ *natstest.Server, _ *nats.Conn, _ jetstream.JetStream, cancel context.CancelFunc) error {
			cancel()
			return nil
		},
	}
	for name, then := range after {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, dialer := natstest.Start(t), newLossyDialer(1000)
			js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
			nc := srv.Connect(t, nats.SetCustomDialer(dialer))
			p := newPublisher(t, nc, messages.PublisherOptions{AckWait: 50 * time.Millisecond, Timeout: 400 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			s, m := code()
			go func() {
				_, err := p.Publish(ctx, s, m)
				done <- err
			}()
			<-dialer.lost // it is stored, but its ack is lost
			if err := then(srv, nc, js, cancel); err != nil {
				t.Error(err)
			}
			err := <-done
			if err == nil {
				t.Fatal("no error")
			}
			for _, denial := range denials {
				if errors.Is(err, denial) {
					t.Errorf("error is %v, but the message was stored", err)
				}
			}
			if !errors.Is(err, messages.ErrInDoubt) {
				t.Errorf("error is %v, want ErrInDoubt", err)
			}
			if !strings.Contains(err.Error(), "may have been stored") {
				t.Errorf("error is %v, which does not say that it may have been stored", err)
			}
			if strings.Contains(err.Error(), m.To) || strings.Contains(err.Error(), s.Key) {
				t.Errorf("the error shows the address or the key: %v", err)
			}
		})
	}
}
