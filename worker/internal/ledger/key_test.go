package ledger_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// TestKey: a publish that is repeated has the key of the first one. Any other message has
// its own key.
func TestKey(t *testing.T) {
	body := []byte("body")
	key := ledger.Key("id", "subject", body, place)
	check.Equal(t, "the same, stored again", ledger.Key("id", "subject", body, other), key)
	for name, k := range map[string]string{
		"another id":      ledger.Key("id2", "subject", body, place),
		"another subject": ledger.Key("id", "subject2", body, place),
		"another body":    ledger.Key("id", "subject", []byte("body2"), place),
		"moved between":   ledger.Key("ids", "ubject", body, place),
		"moved to a body": ledger.Key("id", "subjectb", []byte("ody"), place),
		"no id":           ledger.Key("", "subject", body, place),
	} {
		if k == key {
			t.Errorf("%s: got the same key, want another one", name)
		}
	}
	check.Equal(t, "no id", ledger.Key("", "subject", body, place), "7-70")
	check.Equal(t, "no id, stored again", ledger.Key("", "subject", body, other), "5-50")
	if len(key) != 32 {
		t.Errorf("the key has %d characters, want 32", len(key))
	}
}
