// Package docs gives the program the pages that it quotes.
package docs

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed connectors/*.md
var pages embed.FS

// ConnectorExample returns the first configuration of the guide of a type of connector
// (docs/connectors/<type>.md).
func ConnectorExample(kind string) (string, error) {
	page, err := pages.ReadFile(path.Join("connectors", kind+".md"))
	if err != nil {
		return "", fmt.Errorf("the guide of the connector: %w", err)
	}
	_, rest, found := strings.Cut(string(page), "\n```yaml\n")
	example, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		return "", fmt.Errorf("docs/connectors/%s.md has no configuration between ```yaml and ```", kind)
	}
	return example + "\n", nil
}
