package relay

import (
	"errors"
	"os"
	"testing"
)

func TestVanish(t *testing.T) {
	r := opened(t)
	before := dial(t, r)
	if err := says(t, before, hang); err != nil {
		t.Fatalf("an open relay: %v", err)
	}
	if err := r.Vanish(); err != nil {
		t.Fatal(err)
	}
	if err := says(t, before, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a connection that vanished: %v, want silence", err)
	}
	if err := says(t, dial(t, r), hang); err != nil {
		t.Errorf("over a new connection: %v", err)
	}
}
