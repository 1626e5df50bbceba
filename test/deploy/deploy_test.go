package deploy

import (
	"os"
	"testing"
)

// root is the root of the repository.
const root = "../.."

// needed ends a test that needs what is not installed: in CI with a failure.
func needed(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("this test needs ", what)
	}
	t.Skip("this test needs ", what)
}
