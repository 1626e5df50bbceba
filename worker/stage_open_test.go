package worker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

func TestOpen(t *testing.T) {
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sealedFor := func(k wire.PrivateKey) string {
		code, err := messages.NewSealer(k.Public()).Seal(smsSubject, &messages.SendCode{
			ID: "id-1", To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "123456"},
		})
		if err != nil {
			t.Fatal(err)
		}
		body, err := code.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for name, c := range map[string]struct {
		given   given
		require bool
		// wrong is a part of the error of a message that can't be sent.
		wrong      string
		unreadable bool
		id         string
		app        string
		unknown    bool
		typ        messages.Type
		expiresAt  time.Time
		to         string
		epoch      int
	}{
		"a code": {id: "id-1"},
		"a code with an expiry": {
			given: given{body: `{"id":"id-1","to":"+8613012345678","type":"SignIn","payload":{"code":"123456"},"expiresAt":"2026-06-01T12:03:00Z"}`},
			id:    "id-1", expiresAt: noon.Add(3 * time.Minute),
		},
		"of an app with a codeTTL of its own": {
			given: given{subject: "codeferry.send.short.sms.SignIn.u1"}, id: "id-1", app: "short", expiresAt: noon.Add(-time.Second + time.Minute),
		},
		"of an app that is not configured": {given: given{subject: "codeferry.send.other.sms.SignIn.u1"}, id: "id-1", app: "other", unknown: true},
		"an id that shows the recipient": {
			given: given{body: `{"id":"for-13012345678","to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}`},
			id:    maskID("for-13012345678", "13012345678"),
		},
		"without an id":                 {given: given{body: `{"to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}`}, id: "CODEFERRY-7"},
		"without an id, a Nats-Msg-Id":  {given: given{msgID: "msg-1", body: `{"to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}`}, id: "msg-1"},
		"the older type":                {given: given{subject: "codeferry.send.default.sms.Test.u1", body: `{"id":"id-1","to":"+8613012345678","type":"Test","payload":{"code":"1"}}`}, id: "id-1", typ: messages.Generic},
		"a replay":                      {given: given{header: nats.Header{wire.EpochHeader: {"2"}}}, id: "id-1", epoch: 2},
		"sealed":                        {given: given{body: sealedFor(key)}, id: "id-1"},
		"sealed, and that is required":  {given: given{body: sealedFor(key)}, require: true, id: "id-1"},
		"sealed for another":            {given: given{body: sealedFor(other)}, wrong: "key", unreadable: true, id: "id-1", to: "none"},
		"not sealed, though required":   {require: true, wrong: "body is not sealed, and sealing.requireSealed is on", unreadable: true, id: "id-1"},
		"no JSON":                       {given: given{body: `{`}, wrong: "JSON", id: "CODEFERRY-7", to: "none", typ: "none"},
		"another type than its subject": {given: given{subject: "codeferry.send.default.sms.Register.u1"}, wrong: "type is SignIn in the message and Register in its subject", id: "id-1"},
		"too big":                       {given: given{body: strings.Repeat("x", wire.MaxBody+1)}, wrong: "body has ", id: "CODEFERRY-7", to: "none", typ: "none"},
		"sealed for another subject":    {given: given{subject: "codeferry.send.default.sms.SignIn.u2", body: sealedFor(key)}, wrong: "open the message: ", id: "id-1", to: "none"},
		"no recipient":                  {given: given{body: `{"id":"id-1","type":"SignIn","payload":{"code":"123456"}}`}, wrong: "to ", id: "id-1", to: "none"},
		"an id that can't be one":       {given: given{msgID: "msg-1", body: `{"id":"a b","to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}}`}, wrong: "id ", id: "msg-1"},
		"a subject of something else":   {given: given{subject: "codeferry.send.x"}, wrong: "subject ", id: "id-1", app: wire.HiddenKey, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStage{
				channel: messages.SMS, seals: newSeals(config.Sealing{Keys: []wire.PrivateKey{key}, RequireSealed: c.require}),
				apps: map[string]config.App{"default": {CodeTTL: 10 * time.Minute}, "short": {CodeTTL: time.Minute}},
			}
			d := &delivery{msg: c.given.message(t, nowhere())}
			if v, ok := s.handle(t.Context(), d); ok {
				t.Errorf("it decided on action %d, want that it passes the message on", v.action)
			}
			if c.wrong == "" && d.wrong != nil {
				t.Errorf("wrong: %v, want nothing", d.wrong)
			}
			if c.wrong != "" {
				if d.wrong == nil {
					t.Errorf("got no error, want %q", c.wrong)
				} else {
					contains(t, "wrong", d.wrong.Error(), c.wrong)
				}
			}
			check.Equal(t, "unreadable", d.unreadable, c.unreadable)
			check.Equal(t, "id", d.id, c.id)
			check.Equal(t, "the code's id", d.code.ID, c.id)
			check.Equal(t, "app", d.subject.App, or(c.app, "default"))
			check.Equal(t, "the app is known", d.appKnown, !c.unknown)
			check.Equal(t, "channel", d.subject.Channel, messages.SMS)
			check.Equal(t, "type", d.code.Type, map[messages.Type]messages.Type{"": messages.SignIn, messages.Generic: messages.Generic, "none": ""}[c.typ])
			check.Equal(t, "to", d.code.To, map[string]string{"": "+8613012345678", "none": ""}[c.to])
			check.Equal(t, "epoch", d.epoch, c.epoch)
			check.Equal(t, "place", d.place, ledger.Place{Sequence: 7, StoredAt: noon.Add(-time.Second).UnixNano()})
			want := c.expiresAt
			if want.IsZero() {
				want = noon.Add(-time.Second).Add(10 * time.Minute)
			}
			if !d.expiresAt.Equal(want) {
				t.Errorf("expires at %v, want %v", d.expiresAt, want)
			}
		})
	}
}

// or returns a, or b if a is empty.
func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// TestOpenSealedButWrong: the sealed part is validated like a plain message.
func TestOpenSealedButWrong(t *testing.T) {
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	code, err := messages.NewSealer(key.Public()).Seal(smsSubject, &messages.SendCode{ID: "id-1", To: "13012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := code.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s := openStage{channel: messages.Email, seals: newSeals(config.Sealing{Keys: []wire.PrivateKey{key}})}
	d := &delivery{msg: given{subject: smsSubject, body: string(body)}.message(t, nowhere())}
	s.handle(t.Context(), d)
	var field *messages.FieldError
	if !errors.As(d.wrong, &field) || field.Field != "to" {
		t.Errorf("wrong: got %v, want that to is not an email address", d.wrong)
	}
	check.Equal(t, "unreadable", d.unreadable, false)
}

// TestOpenShowsNothing: text that a publisher has put in the wrong field is not shown.
func TestOpenShowsNothing(t *testing.T) {
	for _, g := range []given{
		{subject: "codeferry.send.a@example;com.sms.SignIn.u1"},
		{subject: "codeferry.send.default.13012345678.SignIn.u1"},
		{body: `{"id":"id-1","to":"+8613012345678","type":"13012345678","payload":{"code":"123456"}}`},
	} {
		d := &delivery{msg: g.message(t, nowhere())}
		openStage{channel: messages.SMS}.handle(t.Context(), d)
		for what, text := range map[string]string{"app": d.subject.App, "type": string(d.code.Type), "wrong": d.wrong.Error()} {
			if strings.Contains(text, "13012345678") || strings.Contains(text, "@") {
				t.Errorf("%s of %s shows %q", what, g.subject, text)
			}
		}
	}
}

// TestMinimal: a message that could not be opened can still be settled.
func TestMinimal(t *testing.T) {
	for name, c := range map[string]struct {
		given given
		id    string
	}{
		"no Nats-Msg-Id":              {given{}, "CODEFERRY-7"},
		"a Nats-Msg-Id":               {given{msgID: "msg-1"}, "msg-1"},
		"a Nats-Msg-Id, and it shows": {given{msgID: "u@example.com"}, maskID("u@example.com", "")},
	} {
		c.given.header = nats.Header{wire.EpochHeader: {"2"}}
		m := c.given.message(t, nowhere())
		o := minimal(m, messages.SMS)
		check.Equal(t, name+": id", o.id, c.id)
		check.Equal(t, name+": place", o.place, placeOf(m))
		check.Equal(t, name+": epoch", o.epoch, 2)
		check.Equal(t, name+": app", o.subject.App, wire.HiddenKey)
		check.Equal(t, name+": channel", o.subject.Channel, messages.SMS)
		check.Equal(t, name+": there is a code", o.code != nil, true)
		if want := m.StoredAt.Add(config.DefaultCodeTTL); !o.expiresAt.Equal(want) {
			t.Errorf("%s: expires at %v, want %v", name, o.expiresAt, want)
		}
	}
}
