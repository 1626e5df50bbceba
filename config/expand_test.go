package config_test

import (
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender/aliyunsms"
)

func TestReferences(t *testing.T) {
	files := map[string]string{
		"/etc/codeferry/key":     "a key\n",
		"/run/secrets/key":       "another\r\n\r\n",
		"/etc/codeferry/nested":  "${UNSET} $${x}",
		"/etc/codeferry/k ey.md": "spaced",
	}
	for text, want := range map[string]string{
		"plain":                          "plain",
		"${ALIBABA_CLOUD_ACCESS_KEY_ID}": keyID,
		"a ${TTL} b ${TTL}c":             "a 3m b 3mc",
		"${file:key}":                    "a key",
		"${file:/run/secrets/key}":       "another",
		"${file:k ey.md}":                "spaced",
		"${file:nested}":                 "${UNSET} $${x}", // not expanded again
		"$${TTL}":                        "${TTL}",
		"$${":                            "$${", // not a reference, so there is nothing to escape
		"$TTL {TTL} $":                   "$TTL {TTL} $",
		"${TTL":                          "${TTL",
		"a$${TTL}b${TTL}":                "a${TTL}b3m",
		"x${EMPTY}y":                     "xy",
		"{{code}} ${TTL}":                "{{code}} 3m",
		"$${a-b}":                        "${a-b}",
		"a\\nb":                          "a\nb",
	} {
		c := mustParse(t, strings.Replace(minimal, "signName: x", `signName: "`+text+`"`, 1), files)
		if got := c.Connectors["a"].Settings.(*aliyunsms.Config).SignName; got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestReferencesInNumbersAndDurations(t *testing.T) {
	c := mustParse(t, edit(t, "codeTTL: 10m", "codeTTL: \"${TTL}\""), nil)
	if got := c.Apps["default"].CodeTTL.String(); got != "3m0s" {
		t.Errorf("codeTTL is %s, want 3m0s", got)
	}
}
