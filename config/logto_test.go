package config_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// TestLogtosConnectorsLoad unchanged: JSON with every field that Logto's documents have for a
// connector, and their example mail. Each field without effect gives a warning.
func TestLogtosConnectorsLoad(t *testing.T) {
	file, err := filepath.Abs("testdata/codeferry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	warnings := map[string][]string{
		"smtp": {"logger", "debug", "disableFileAccess", "disableUrlAccess"},
	}
	for _, kind := range config.ConnectorTypes() {
		t.Run(kind, func(t *testing.T) {
			channel := ofType(t, kind, "").Channel()
			text := "apps:\n  default: {" + string(channel) + ": [a]}\nconnectors:\n  a: {type: " + kind + ", file: logto/" + kind + ".json}\n"
			c, err := config.Parse(file, []byte(text), config.Env{})
			if err != nil {
				t.Fatal(err)
			}
			var warned []string
			for _, p := range c.Warnings {
				if filepath.Base(p.File) != kind+".json" {
					t.Errorf("the warning is not about %s.json: %v", kind, p)
				}
				warned = append(warned, strings.TrimPrefix(p.Path, "connectors.a."))
			}
			if !slices.Equal(warned, warnings[kind]) {
				t.Errorf("the warnings are about %q, want %q", warned, warnings[kind])
			}
			s, err := c.Connectors["a"].Settings.New()
			if err != nil {
				t.Fatal(err)
			}
			if closer, ok := s.(interface{ Close() error }); ok {
				defer func() { _ = closer.Close() }()
			}
			to := map[messages.Channel]string{messages.Email: "a@example.com", messages.SMS: "+8613800000001"}[channel]
			for _, typ := range messages.Types() {
				m, err := s.Render(&messages.SendCode{ID: "id-1", To: to, Type: typ, Payload: messages.Payload{"code": "483921", "domain": "example.com", "token": "t&t"}})
				if err != nil {
					t.Errorf("render %s: %v", typ, err)
					continue
				}
				if whole := m.HTML + m.Text + m.TemplateParam; !strings.Contains(whole, "483921") || strings.Contains(whole, "{{") {
					t.Errorf("%s is rendered as %q, want the code and no placeholder", typ, whole)
				}
			}
		})
	}
}
