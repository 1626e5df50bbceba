package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/codeferry/codeferry/config"
)

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		example, minimal, withFiles, mailJSON, marked, "", "x: [", "a: &a [*a]", "? a\n: b", "a: |2\n  x\n", "a: \"\\ud83d\\udea2\"", "- - - a", "--- a\n--- b", "apps:\n  é: ~\n",
		"nats:\n\treplicas: 1\n", "a: b\r\nc: {\r\n}", "{{code}}: x", "<<: {a: b}", "apps: !!map {a: b}", "nats: {replicas: 0x3}", "%YAML 1.2\n---\nlisten: ''",
	} {
		f.Add(text)
	}
	env := environment(logtoFiles())
	f.Fuzz(func(t *testing.T, text string) {
		begin := time.Now()
		c, err := config.Parse(file, []byte(text), env)
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("Parse took %v, want at most 5s", d)
		}
		if err == nil {
			if len(c.Apps) == 0 {
				t.Error("Parse took a configuration without apps")
			}
			for name, conn := range c.Connectors {
				if conn.Settings == nil {
					t.Errorf("connector %q has no settings", name)
				}
			}
			return
		}
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) == 0 || c != nil {
			t.Fatalf("Parse() = %v, %v, want no configuration, and Problems", c, err)
		}
		lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
		for i, p := range problems {
			if p.File != file {
				continue // of a connector's file
			}
			if i > 0 && problems[i-1].File == file && (p.Line < problems[i-1].Line || p.Line == problems[i-1].Line && p.Column < problems[i-1].Column) {
				t.Errorf("the problems are not in the file's order:\n%v", err)
			}
			if p.Line == 0 && p.Column == 0 {
				continue // the whole file
			}
			if p.Line < 1 || p.Line > len(lines) {
				t.Fatalf("line %d of %d: %v", p.Line, len(lines), p)
			}
			if n := utf8.RuneCountInString(lines[p.Line-1]); p.Column < 1 || p.Column > n+1 {
				t.Fatalf("column %d of %d: %v", p.Column, n, p)
			}
		}
	})
}
