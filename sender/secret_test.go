package sender_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

func TestSecretNeverShows(t *testing.T) {
	const value = "Sm9obnk"
	s := sender.NewSecret(value)
	type config struct {
		Key  sender.Secret
		Keys []sender.Secret
		By   map[string]sender.Secret
		Ptr  *sender.Secret
		own  sender.Secret
	}
	// With a verb that does not fit, fmt prints a pointer in a pointer without calling its
	// methods.
	type holder struct{ in *config }
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%5.1s", "%-20v", "%y"} {
		for _, v := range []any{
			s, &s,
			[]sender.Secret{s},
			config{s, []sender.Secret{s}, map[string]sender.Secret{"a": s}, &s, s},
			map[string]*config{"a": {Key: s, own: s}},
			holder{&config{Key: s, Ptr: &s, own: s}},
		} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
		if got := fmt.Sprintf(verb, s); got != "[secret]" {
			t.Errorf("%s shows %q", verb, got)
		}
	}
	shown = append(shown, fmt.Sprint(s), fmt.Sprintln(s), s.String(), fmt.Errorf("bad key %s", s).Error())
	for _, v := range []any{s, &s, config{Key: s, Keys: []sender.Secret{s}, By: map[string]sender.Secret{"a": s}, Ptr: &s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, string(b))
	}
	text, err := encoding.TextMarshaler(s).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", s)
	shown = append(shown, string(text), log.String())
	for _, text := range shown {
		if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", value)) {
			t.Errorf("the secret is shown: %s", text)
		}
	}
	if s.Reveal() != value {
		t.Error("Reveal does not return the secret")
	}
}
