package messagestest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/messagestest"
	"github.com/codeferry/codeferry/messages/wire"
)

// publisher has the methods of the real publisher and of the fake.
type publisher interface {
	Publish(ctx context.Context, s messages.Subject, m *messages.SendCode) (messages.Ack, error)
	PublishAsync(s messages.Subject, m *messages.SendCode) (messages.Pending, error)
}

var _, _ publisher = new(messages.Publisher), new(messagestest.Publisher)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func code() (messages.Subject, *messages.SendCode) {
	return messages.Subject{Channel: messages.SMS, Key: "u1"},
		&messages.SendCode{To: "+8613987650001", Type: messages.SignIn, Payload: messages.Payload{"code": "739205"}}
}

// publishes are the two ways to publish. Each waits for the acknowledgement.
var publishes = map[string]func(context.Context, publisher, messages.Subject, *messages.SendCode) (messages.Ack, error){
	"Publish": func(ctx context.Context, p publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
		return p.Publish(ctx, s, m)
	},
	"PublishAsync": func(ctx context.Context, p publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
		pending, err := p.PublishAsync(s, m)
		if err != nil {
			return messages.Ack{}, err
		}
		ack, err := pending.Wait(ctx)
		if pending.ID() != ack.ID {
			return ack, fmt.Errorf("Pending.ID() is %q, but the acknowledgement has %q", pending.ID(), ack.ID)
		}
		return ack, err
	},
}

// TestPublisherIsLikeTheRealOne: both publish the same messages, the real one over a server.
func TestPublisherIsLikeTheRealOne(t *testing.T) {
	t.Parallel()
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, sealer := range map[string]*messages.Sealer{"plain": nil, "sealed": messages.NewSealer(key.Public())} {
		opts := messages.PublisherOptions{Sealer: sealer, Now: func() time.Time { return noon }}
		nc := natstest.Start(t).Connect(t)
		js := natstest.Provision(t, nc, wire.StreamOptions{})
		original, err := messages.NewPublisher(nc, opts)
		if err != nil {
			t.Fatal(err)
		}
		for call, publish := range publishes {
			fake := &messagestest.Publisher{Options: opts}
			for what, edit := range map[string]func(*messages.Subject, *messages.SendCode){
				"a good message":     func(*messages.Subject, *messages.SendCode) {},
				"an id":              func(_ *messages.Subject, m *messages.SendCode) { m.ID = "login-1" },
				"the subject's type": func(s *messages.Subject, m *messages.SendCode) { s.Type, m.Type = m.Type, "" },
				"an app":             func(s *messages.Subject, _ *messages.SendCode) { s.App = "shop" },
				"all fields": func(_ *messages.Subject, m *messages.SendCode) {
					m.IP, m.ExpiresAt, m.Extra = "203.0.113.7", noon.Add(time.Hour), map[string]json.RawMessage{"tenant": json.RawMessage(`1`)}
				},
				"nested values": func(_ *messages.Subject, m *messages.SendCode) {
					m.Payload["user"] = messages.Payload{"name": "安", "age": 7}
				},
				"no address":              func(_ *messages.Subject, m *messages.SendCode) { m.To = "" },
				"a bad number":            func(_ *messages.Subject, m *messages.SendCode) { m.To = "oops" },
				"no type":                 func(_ *messages.Subject, m *messages.SendCode) { m.Type = "" },
				"an unknown type":         func(_ *messages.Subject, m *messages.SendCode) { m.Type = "signin" },
				"two types":               func(s *messages.Subject, _ *messages.SendCode) { s.Type = messages.Register },
				"no payload":              func(_ *messages.Subject, m *messages.SendCode) { m.Payload = nil },
				"a code that is not text": func(_ *messages.Subject, m *messages.SendCode) { m.Payload["code"] = 123456 },
				"what JSON can't hold":    func(_ *messages.Subject, m *messages.SendCode) { m.Payload["f"] = func() {} },
				"a bad id":                func(_ *messages.Subject, m *messages.SendCode) { m.ID = "a b" },
				"no key":                  func(s *messages.Subject, _ *messages.SendCode) { s.Key = "" },
				"the number as key":       func(s *messages.Subject, _ *messages.SendCode) { s.Key = "13987650001" },
				"a bad app":               func(s *messages.Subject, _ *messages.SendCode) { s.App = "a.b" },
				"no channel":              func(s *messages.Subject, _ *messages.SendCode) { s.Channel = "" },
				"an expired code":         func(_ *messages.Subject, m *messages.SendCode) { m.ExpiresAt = noon },
				"a large body":            func(_ *messages.Subject, m *messages.SendCode) { m.Payload["x"] = strings.Repeat("x", 17<<10) },
				"large once it is sealed": func(_ *messages.Subject, m *messages.SendCode) { m.Payload["x"] = strings.Repeat("x", 14<<10) },
			} {
				t.Run(name+", "+call+", "+what, func(t *testing.T) {
					s, m := code()
					edit(&s, m)
					if err := js.DeleteStream(t.Context(), wire.StreamName); err != nil {
						t.Fatal(err)
					}
					if _, err := js.CreateStream(t.Context(), wire.StreamConfigs(wire.StreamOptions{})[0]); err != nil {
						t.Fatal(err)
					}
					fake.Reset()
					ack, err := publish(t.Context(), fake, s, m)
					want, wantErr := publish(t.Context(), original, s, m)
					if fmt.Sprint(err) != fmt.Sprint(wantErr) {
						t.Fatalf("the fake returns the error %v, and the real one %v", err, wantErr)
					}
					if wantErr != nil {
						if len(fake.Published()) != 0 {
							t.Errorf("the fake has recorded a message that it refused: %v", fake.Published())
						}
						if ack != want {
							t.Errorf("with the error the fake returns %+v, and the real one %+v", ack, want)
						}
						return
					}
					if ack.Duplicate != want.Duplicate || (ack.ID == "") != (want.ID == "") {
						t.Errorf("the fake returns %+v, and the real one %+v", ack, want)
					}
					stored, err := js.Stream(t.Context(), wire.StreamName)
					if err != nil {
						t.Fatal(err)
					}
					raw, err := stored.GetMsg(t.Context(), want.Sequence)
					if err != nil {
						t.Fatal(err)
					}
					read, err := wire.Decode(raw.Data, s.Channel)
					if err != nil {
						t.Fatal(err)
					}
					if err := wire.NewOpener(key).Open(raw.Subject, read); err != nil {
						t.Fatal(err)
					}
					got := fake.Published()
					if len(got) != 1 {
						t.Fatalf("the fake has recorded %d messages, want 1", len(got))
					}
					if got[0].Subject.String() != raw.Subject {
						t.Errorf("the fake has recorded the subject %s, and the real one published to %s", got[0].Subject, raw.Subject)
					}
					if got[0].Message.ID != ack.ID {
						t.Errorf("the fake has recorded the id %s, but returned %s", got[0].Message.ID, ack.ID)
					}
					read.ID = ack.ID // the two made different ids
					if !reflect.DeepEqual(got[0].Message, *read) {
						t.Errorf("the fake has recorded %#v, and a worker reads %#v", got[0].Message, *read)
					}
				})
			}
		}
	}
}

// TestFail: the fake fails with each error of the API like the real publisher.
func TestFail(t *testing.T) {
	t.Parallel()
	errs := map[string]error{
		"ErrNoStream": messages.ErrNoStream, "ErrStreamFull": messages.ErrStreamFull,
		"ErrNotConnected": messages.ErrNotConnected, "ErrInDoubt": messages.ErrInDoubt, "ErrNoAnswers": messages.ErrNoAnswers,
	}
	api, err := os.ReadFile("../testdata/api.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(api)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "var "); ok && errs[name] == nil {
			t.Errorf("this test does not try messages.%s", name)
		}
	}
	errs["another"] = errors.New("the network is on fire")
	for name, fail := range errs {
		for call, publish := range publishes {
			t.Run(call+" "+name, func(t *testing.T) {
				fake := new(messagestest.Publisher)
				s, m := code()
				fake.Fail(fail)
				ack, err := publish(t.Context(), fake, s, m)
				if !errors.Is(err, fail) {
					t.Errorf("error is %v, want %v", err, fail)
				}
				if err != nil && (strings.Contains(err.Error(), m.To) || strings.Contains(err.Error(), s.Key)) {
					t.Errorf("the error shows the address or the key: %v", err)
				}
				atOnce := call == "PublishAsync" && (errors.Is(fail, messages.ErrNotConnected) || errors.Is(fail, messages.ErrNoAnswers)) // Wait is never reached
				if (ack.ID == "") != atOnce {
					t.Errorf("with the error it returns the id %q; want an id: %t", ack.ID, !atOnce)
				}
				recorded := 0
				if errors.Is(fail, messages.ErrInDoubt) {
					recorded = 1
				}
				if n := len(fake.Published()); n != recorded {
					t.Errorf("%d messages are recorded, want %d", n, recorded)
				}

				// Publish the same message again, as the doc of Publish says.
				fake.Fail(nil)
				m.ID = ack.ID
				again, err := publish(t.Context(), fake, s, m)
				if err != nil {
					t.Errorf("the second publish: %v", err)
				}
				if want := recorded == 1; again.Duplicate != want {
					t.Errorf("the second publish: duplicate is %t, want %t", again.Duplicate, want)
				}
				if n := len(fake.Published()); n != 1 {
					t.Errorf("%d messages are recorded in the end, want 1", n)
				}
			})
		}
	}
}

func TestFailWithAFieldError(t *testing.T) {
	t.Parallel()
	fail := &messages.FieldError{Field: "to", Problem: "is not on the list"}
	fake := new(messagestest.Publisher)
	fake.Fail(fail)
	s, m := code()
	ack, err := fake.Publish(t.Context(), s, m)
	if !errors.Is(err, fail) || err.Error() != fail.Error() {
		t.Errorf("Publish: error is %v, want %v, not wrapped", err, fail)
	}
	if ack.ID != "" {
		t.Errorf("Publish: the id is %q, want none", ack.ID)
	}
	pending, err := fake.PublishAsync(s, m)
	if !errors.Is(err, fail) {
		t.Errorf("PublishAsync: error is %v, want %v", err, fail)
	}
	if pending != nil {
		t.Errorf("PublishAsync returns %v with the error, want nil", pending)
	}
}

func TestFailNext(t *testing.T) {
	t.Parallel()
	fake := new(messagestest.Publisher)
	fake.Fail(messages.ErrNoStream)
	fake.FailNext(messages.ErrStreamFull, nil, messages.ErrNotConnected)
	s, m := code()
	bad := *m
	bad.To = ""
	for i, want := range []error{messages.ErrStreamFull, nil, messages.ErrNotConnected, messages.ErrNoStream, messages.ErrNoStream} {
		if _, err := fake.Publish(t.Context(), s, &bad); !errors.As(err, new(*messages.FieldError)) {
			t.Errorf("a bad message before publish %d: %v, want a *FieldError", i, err)
		}
		if _, err := fake.Publish(t.Context(), s, m); !errors.Is(err, want) {
			t.Errorf("publish %d: %v, want %v", i, err, want)
		}
	}
	fake.Reset()
	ack, err := fake.Publish(t.Context(), s, m)
	if err != nil {
		t.Errorf("after Reset: %v", err)
	}
	if ack.Sequence != 2 {
		t.Errorf("after Reset the sequence is %d, want 2", ack.Sequence)
	}
	if n := len(fake.Published()); n != 1 {
		t.Errorf("after Reset %d messages are recorded, want 1", n)
	}
}

func TestPublishDuplicates(t *testing.T) {
	t.Parallel()
	now := noon
	fake := &messagestest.Publisher{Options: messages.PublisherOptions{Now: func() time.Time { return now }}}
	for i, c := range []struct {
		name  string
		key   string
		later time.Duration
		want  messages.Ack
	}{
		{"the first", "u1", 0, messages.Ack{ID: "x", Sequence: 1}},
		{"again", "u1", 5*time.Minute - 1, messages.Ack{ID: "x", Sequence: 1, Duplicate: true}},
		{"for another user", "u2", 0, messages.Ack{ID: "x", Sequence: 2}},
		{"after five minutes", "u1", 1, messages.Ack{ID: "x", Sequence: 3}},
	} {
		now = now.Add(c.later)
		s, m := code()
		s.Key, m.ID = c.key, "x"
		if got, err := fake.Publish(t.Context(), s, m); err != nil || got != c.want {
			t.Errorf("%d, %s: %+v, %v, want %+v", i, c.name, got, err, c.want)
		}
	}
}

func TestPublishAfterTheContextEnded(t *testing.T) {
	t.Parallel()
	fake := new(messagestest.Publisher)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, m := code()
	ack, err := fake.Publish(ctx, s, m)
	if !errors.Is(err, messages.ErrInDoubt) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want ErrInDoubt with the context's error", err)
	}
	if ack.ID == "" {
		t.Error("with the error Publish returns no id")
	}
	if n := len(fake.Published()); n != 0 {
		t.Errorf("%d messages are recorded, want none", n)
	}
}

// TestPublishedIsACopy: changes to the caller's message or to the returned slice do not change
// the record.
func TestPublishedIsACopy(t *testing.T) {
	t.Parallel()
	fake := new(messagestest.Publisher)
	s, m := code()
	user := map[string]any{"name": "安"}
	m.Payload["user"] = user
	if _, err := fake.Publish(t.Context(), s, m); err != nil {
		t.Fatal(err)
	}
	if m.ID != "" || !m.CreatedAt.IsZero() {
		t.Errorf("the caller's message has the id %q and the time %v, want neither", m.ID, m.CreatedAt)
	}
	m.Payload["code"], user["name"] = "000000", "other"
	got := fake.Published()
	if got[0].Message.Payload.Text("code") != "739205" || !reflect.DeepEqual(got[0].Message.Payload["user"], map[string]any{"name": "安"}) {
		t.Errorf("the record has changed with the caller's message: %v", map[string]any(got[0].Message.Payload))
	}
	got[0] = messagestest.Published{}
	if fake.Published()[0].Sequence != 1 {
		t.Error("the record has changed with the slice that Published returned")
	}
}

// TestPublisherConcurrently is for the race detector.
func TestPublisherConcurrently(t *testing.T) {
	t.Parallel()
	fake := new(messagestest.Publisher)
	_, shared := code()
	const many = 20
	var wg sync.WaitGroup
	for i := range many {
		for call, publish := range publishes {
			wg.Go(func() {
				if _, err := publish(t.Context(), fake, messages.Subject{Channel: messages.SMS, Key: fmt.Sprint(call, i)}, shared); err != nil {
					t.Errorf("%s: %v", call, err)
				}
				fake.Fail(nil)
				fake.FailNext()
				_ = fake.Published()
			})
		}
	}
	wg.Wait()
	if n := len(fake.Published()); n != 2*many {
		t.Errorf("%d messages are recorded, want %d", n, 2*many)
	}
}
