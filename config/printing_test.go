package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
)

// TestConnectorsDontShowTheirSecrets prints every connector and its settings with every verb.
func TestConnectorsDontShowTheirSecrets(t *testing.T) {
	const mark = "MARKED"
	for _, name := range config.ConnectorTypes() {
		settings := ofType(t, name, "")
		conn := config.Connector{Type: name, Settings: settings}
		snd, err := settings.New()
		if err != nil {
			t.Fatal(name, err)
		}
		for _, v := range []any{snd, conn.Settings, conn, &conn, []any{snd}} {
			var log strings.Builder
			logger := zerolog.New(&log)
			logger.Info().Interface("a", v).Msg("")
			shown := log.String()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%p", "%c"} {
				shown += fmt.Sprintf(verb, v)
			}
			for _, form := range []string{mark, fmt.Sprintf("%x", mark), fmt.Sprintf("%X", mark), "[77 65 82 75 69 68]"} {
				if i := strings.Index(shown, form); i >= 0 {
					t.Errorf("%s, printed as %T, shows its secret: …%s…", name, v, shown[max(0, i-80):min(len(shown), i+20)])
				}
			}
		}
	}
}
