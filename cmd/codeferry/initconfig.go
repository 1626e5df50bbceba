package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/codeferry/codeferry/docs"
)

// schemaURL is where editors find the schema of a configuration.
const schemaURL = "https://raw.githubusercontent.com/codeferry/codeferry/main/docs/codeferry.schema.json"

// example is a connector's configuration in its guide.
type example struct {
	kind, name, channel string
	// fields is what stands below "connectors:".
	fields string
}

// The example's app has one channel with one connector.
var exampleApp = regexp.MustCompile(`(?m)^  default: \{(email|sms): \[([A-Za-z0-9_-]+)\]\}$`)

// examples returns those of the connectors that were chosen.
func (c *initCmd) examples() ([]example, error) {
	var out []example
	for _, kind := range []string{c.Email, c.SMS} {
		if kind == "" {
			continue
		}
		text, err := docs.ConnectorExample(kind)
		if err != nil {
			return nil, err
		}
		app := exampleApp.FindStringSubmatch(text)
		_, fields, found := strings.Cut(text, "\nconnectors:\n")
		if app == nil || !found {
			return nil, fmt.Errorf("docs/connectors/%s.md: its first configuration takes a line like default: {email: [name]}, and then connectors", kind)
		}
		out = append(out, example{kind: kind, channel: app[1], name: app[2], fields: fields})
	}
	return out, nil
}

// configuration returns the text of the file.
func (c *initCmd) configuration(examples []example) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# yaml-language-server: $schema=%s
# All settings: https://github.com/codeferry/codeferry/blob/main/docs/configuration.md
# ${NAME} is an environment variable, ${file:PATH} the text of a file.

`, schemaURL)
	if c.NATS == embedded {
		b.WriteString(`# The NATS server is part of the worker, and keeps its data here. Only one worker can use it:
# for several, name a NATS server by nats: {url: …}.
dataDir: ./data

`)
	} else {
		fmt.Fprintf(&b, `nats:
  url: %q
  # How many servers keep each message: 1, or 3 in a cluster of NATS.
  replicas: 1
  # The login: a user and password, or one of token, nkey and creds.
  # user: worker
  # password: ${WORKER_NATS_PASSWORD}
  # The CA of a server whose certificate is not from a public one.
  # tls: {caFile: ca.pem}
  # On a NATS with roles (https://github.com/codeferry/codeferry/blob/main/docs/roles.md), the inboxes of the worker.
  # inboxPrefix: _INBOX_worker

`, c.NATS)
	}
	b.WriteString(`# Dead letters are sealed with this key, so that they can be replayed, and publishers can
# seal codes with its public part: codeferry keygen --from ` + initKey + `. All workers have the same one.
sealing:
  keys: ["${file:` + initKey + `}"]

# Metrics and health.
listen: 127.0.0.1:8080

# The connectors of each app, in the order to try them. An auth service names its app in
# the subject that it publishes to.
apps:
  default:
`)
	for _, e := range examples {
		fmt.Fprintf(&b, "    %s: [%s]\n", e.channel, e.name)
	}
	b.WriteString(`    # How long a code is good if its message does not say so.
    codeTTL: 10m

# Replace the senders, signatures and templates by your own.
connectors:
`)
	for _, e := range examples {
		fmt.Fprintf(&b, "  # Each field is explained in %s.\n%s", guideURL(e.kind), e.fields)
	}
	return b.String()
}
