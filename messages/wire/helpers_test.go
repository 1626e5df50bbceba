package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

// wantField fails the test unless err is a *FieldError about a field.
func wantField(t *testing.T, err error, field string) {
	t.Helper()
	var wrong *messages.FieldError
	if !errors.As(err, &wrong) {
		t.Fatalf("error is %v, want a *FieldError about %s", err, field)
	}
	if wrong.Field != field || !strings.HasPrefix(err.Error(), field+" ") {
		t.Errorf("error is %q, want one about %s", err, field)
	}
}
