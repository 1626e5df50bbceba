package config_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/sender"
)

// fieldsOfTypes are the required fields of each type of connector. MARKED values are secret,
// and a test looks for them in what the connector prints.
var fieldsOfTypes = map[string]string{
	"aliyun-dm":      "accessKeyId: MARKED, accessKeySecret: MARKED, securityToken: MARKED, accountName: a@b.c, templates: " + mailTemplates,
	"aliyun-sms":     "accessKeyId: MARKED, accessKeySecret: MARKED, securityToken: MARKED, signName: x, templates: " + smsTemplates,
	"aliyun-sms-mas": "accessKeyId: MARKED, accessKeySecret: MARKED, securityToken: MARKED, signName: x, templates: " + strings.ReplaceAll(smsTemplates, "SMS_1", `"100001"`),
	"aws-ses":        "accessKeyId: MARKED, accessKeySecret: MARKED, sessionToken: MARKED, region: us-east-1, emailAddress: a@b.c, templates: " + mailTemplates,
	"sendgrid":       "apiKey: SG.MARKED, fromEmail: a@b.c, templates: " + mailTemplates,
	"smtp":           "host: h, port: 25, auth: {user: u, pass: MARKED}, fromEmail: a@b.c, templates: " + mailTemplates,
}

const (
	mailTemplates = `[{usageType: Register, subject: s, content: "{{code}}"}, {usageType: SignIn, subject: s, content: "{{code}}"}, ` +
		`{usageType: ForgotPassword, subject: s, content: "{{code}}"}, {usageType: Generic, subject: s, content: "{{code}}"}]`
	smsTemplates = `[{usageType: Register, templateCode: SMS_1}, {usageType: SignIn, templateCode: SMS_1}, ` +
		`{usageType: ForgotPassword, templateCode: SMS_1}, {usageType: Generic, templateCode: SMS_1}]`
)

// ofType reads a connector of a type. beside has further fields, with a comma after them.
func ofType(t *testing.T, kind, beside string) sender.Config {
	t.Helper()
	fields, ok := fieldsOfTypes[kind]
	if !ok {
		t.Fatalf("fieldsOfTypes, in config/whole_test.go, lacks %s: add the fields that it needs, with MARKED for each secret", kind)
	}
	var err error
	for _, channel := range []string{"email", "sms"} { // one of them takes it
		var c *config.Config
		c, err = parse(fmt.Sprintf("apps: {default: {%s: [c]}}\nconnectors:\n  c: {type: %s, %s%s}\n", channel, kind, beside, fields), nil)
		if err == nil {
			return c.Connectors["c"].Settings
		}
	}
	t.Fatalf("fieldsOfTypes, in config/whole_test.go, does not make a connector of type %s: %v", kind, err)
	return nil
}

// types are all types of connectors, as errors list them.
var types = strings.Join(config.ConnectorTypes(), ", ")

// TestEveryConnectorIsWhole names each missing part of a type of connector.
// docs/adding-a-connector.md lists the parts.
func TestEveryConnectorIsWhole(t *testing.T) {
	guides := read(t, "../docs/connectors/README.md")
	configuration := read(t, "../docs/configuration.md")
	for _, kind := range config.ConnectorTypes() {
		t.Run(kind, func(t *testing.T) {
			guide, err := os.ReadFile("../docs/connectors/" + kind + ".md")
			switch text := string(guide); {
			case err != nil:
				t.Errorf("the docs page of %s is missing: %v", kind, err)
			case !strings.Contains(text, "type: "+kind+"\n") && !strings.Contains(text, "type: "+kind+","):
				t.Errorf("docs/connectors/%s.md shows no configuration with type: %s", kind, kind)
			}
			if line := "| [" + kind + "](" + kind + ".md) |"; !strings.Contains(guides, line) {
				t.Errorf("the table of docs/connectors/README.md has no line for %s: it begins with %s", kind, line)
			}
			if !strings.Contains(configuration, "`"+kind+"`") {
				t.Errorf("the field type, in the table of docs/configuration.md, does not list `%s`", kind)
			}
			if !hasHeading(configuration, kind) {
				t.Errorf("docs/configuration.md has no heading \"### %s\" with its fields below", kind)
			}
			if _, err := os.Stat("testdata/logto/" + kind + ".json"); err != nil {
				t.Errorf("config/testdata/logto/%s.json is missing: the connector's fields as Logto's console shows them, as JSON: %v", kind, err)
			}
			if !strings.Contains(fieldsOfTypes[kind], "MARKED") {
				t.Errorf("fieldsOfTypes, in config/whole_test.go, has no MARKED secret of %s", kind)
			}
			// The last, because it ends the test without the fields above.
			pkg := strings.TrimPrefix(reflect.TypeOf(ofType(t, kind, "")).Elem().PkgPath(), "github.com/codeferry/codeferry/")
			if !callsConformance(t, filepath.Join("..", pkg)) {
				t.Errorf("%s has no test that calls sendertest.Conformance", pkg)
			}
		})
	}
}

// TestNoPartWithoutItsConnector: each part belongs to an existing type of connector.
func TestNoPartWithoutItsConnector(t *testing.T) {
	for _, pattern := range []string{"../docs/connectors/*.md", "testdata/logto/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			kind := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
			if kind != "README" && !slices.Contains(config.ConnectorTypes(), kind) {
				t.Errorf("%s is about a type without a line in connectorTypes, config/connector.go", file)
			}
		}
	}
	packages, err := filepath.Glob("../sender/*")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, kind := range config.ConnectorTypes() {
		known[filepath.Base(reflect.TypeOf(ofType(t, kind, "")).Elem().PkgPath())] = true
	}
	for _, dir := range packages {
		if callsConformance(t, dir) && !known[filepath.Base(dir)] {
			t.Errorf("%s is a connector without a line in connectorTypes, config/connector.go", dir)
		}
	}
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```")

// TestTheDocsShowTheSkeleton: each block of Go in docs/adding-a-connector.md is a part of the
// skeleton, or of the registry.
func TestTheDocsShowTheSkeleton(t *testing.T) {
	files, err := filepath.Glob("../sender/internal/skeleton/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range append(files, "connector.go") {
		all.WriteString(read(t, file))
	}
	blocks := goBlock.FindAllStringSubmatch(read(t, "../docs/adding-a-connector.md"), -1)
	if len(blocks) < 5 {
		t.Errorf("the page has %d blocks of Go, want 5 or more", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(all.String(), block[1]) {
			t.Errorf("this block is neither in sender/internal/skeleton nor in connector.go:\n%s", block[1])
		}
	}
}

var textBlock = regexp.MustCompile("(?ms)^```text\n(.*?)^```")

// TestTheSkeletonIsCopied: the commands with which docs/adding-a-connector.md begins make a
// package of another name.
func TestTheSkeletonIsCopied(t *testing.T) {
	if _, err := exec.LookPath("perl"); err != nil {
		check.Lacks(t, "the commands need perl: "+err.Error())
	}
	commands := textBlock.FindStringSubmatch(read(t, "../docs/adding-a-connector.md"))
	if commands == nil {
		t.Fatal("docs/adding-a-connector.md has no commands")
	}
	copying, rest, ok := strings.Cut(commands[1], "make ")
	if !ok || strings.TrimSpace(rest) != "test PKG=./sender/examplemail" {
		t.Errorf("the last command is make %q, want one that tests ./sender/examplemail", rest)
	}
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "sender/internal/skeleton"), os.DirFS("../sender/internal/skeleton")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", copying)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, copying)
	}
	files, err := filepath.Glob(filepath.Join(root, "sender/examplemail/*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files were copied: %v", len(files), err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		if name := strings.TrimSuffix(parsed.Name.Name, "_test"); name != "examplemail" {
			t.Errorf("%s is of package %s, want examplemail", filepath.Base(file), parsed.Name.Name)
		}
		if strings.Contains(read(t, file), "skeleton") {
			t.Errorf("%s still speaks of the skeleton", filepath.Base(file))
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// callsConformance reports whether a test in a folder calls sendertest.Conformance.
func callsConformance(t *testing.T, dir string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(read(t, file), "sendertest.Conformance(t, ")
	})
}

// hasHeading reports whether a heading of the third level names a type.
func hasHeading(text, kind string) bool {
	for line := range strings.Lines(text) {
		names, ok := strings.CutPrefix(line, "### ")
		if ok && slices.Contains(strings.FieldsFunc(names, func(r rune) bool { return strings.ContainsRune(", \n", r) }), kind) {
			return true
		}
	}
	return false
}
