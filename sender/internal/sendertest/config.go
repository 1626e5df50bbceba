package sendertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

// Change is a change of a good configuration, and the paths of the problems that it
// causes.
type Change[C sender.Config] = struct {
	Name   string
	Change func(C)
	Want   []string
}

// Validate applies each change to a configuration that good returns, and checks the
// problems that Validate reports: their paths, that they have a text, and that they show
// no secret. If there are none, New must make a connector.
func Validate[C sender.Config](t *testing.T, good func() C, secrets []string, changes []Change[C]) {
	t.Helper()
	for _, c := range changes {
		t.Run(c.Name, func(t *testing.T) {
			config := good()
			c.Change(config)
			problems := config.Validate()
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
				if p.Text == "" {
					t.Errorf("%s: the problem has no text", p.Path)
				}
				for _, secret := range secrets {
					if strings.Contains(p.Text, secret) {
						t.Errorf("%s: the problem shows %q: %s", p.Path, secret, p.Text)
					}
				}
			}
			if !slices.Equal(paths, c.Want) {
				t.Errorf("got %v, want problems at %v", problems, c.Want)
			}
			if _, err := config.New(); err != nil && len(problems) == 0 {
				t.Errorf("New: %v", err)
			}
		})
	}
}
