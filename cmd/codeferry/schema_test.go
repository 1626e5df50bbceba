package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// bySchema checks a configuration as an editor does, by docs/codeferry.schema.json.
func bySchema(t *testing.T, text string) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "docs", "codeferry.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\nin %s", err, text)
	}
	return schema.Validate(v)
}

func TestSchemaTakesTheDeployedConfiguration(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "codeferry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := bySchema(t, string(text)); err != nil {
		t.Error(err)
	}
}

// TestSchemaFindsMistakes: an editor shows them while the configuration is written.
func TestSchemaFindsMistakes(t *testing.T) {
	t.Parallel()
	const connectors = "connectors:\n  a:\n    type: smtp\n    "
	for name, text := range map[string]string{
		"an unknown field":              "listn: 127.0.0.1:8080",
		"an unknown field further down": "worker: {retry: {attempts: 3}}",
		"a list in place of a mapping":  "apps: [a]",
		"text in place of a number":     "worker: {concurrency: many}",
		"none of the values":            "worker: {claims: sometimes}",
		"no type":                       "connectors: {a: {host: mail.example.com}}",
		"an unknown type":               "connectors: {a: {type: pigeon}}",
		"another connector's field":     connectors + "signName: Example",
		"a wrong value of a connector":  connectors + "tls: {minVersion: SSLv3}",
		"a step without a name":         "apps: {default: {sms: [{mainlnd: true}]}}",
	} {
		if bySchema(t, text) == nil {
			t.Errorf("%s: the schema takes\n%s", name, text)
		}
	}
	for name, text := range map[string]string{
		"a variable for a number":    "worker: {concurrency: '${WORKERS}'}",
		"a variable for a value":     "worker: {claims: '${CLAIMS:-auto}'}",
		"a size as a number":         "nats: {maxBytes: 1048576}",
		"a size with a unit":         "nats: {maxBytes: 512MiB}",
		"a connector's common field": connectors + "rateLimit: 2.5",
		"a field of Logto's":         connectors + "debug: true",
		"a header with two values":   connectors + "customHeaders: {X-A: [a, b], X-B: c}",
	} {
		if err := bySchema(t, text); err != nil {
			t.Errorf("%s: the schema refuses\n%s\n%v", name, text, err)
		}
	}
}
