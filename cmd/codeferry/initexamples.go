package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// exampleValue is a value of a configuration that init writes as an example: no message is
// sent with it.
type exampleValue struct {
	// line counts from 1.
	line int
	// value is a word of the closed list, so it can be printed.
	value string
}

// The examples of the connectors' guides. Each pattern takes a closed list of words as the
// whole value of a setting that is no secret. So nothing else of a file is ever printed: a value
// that only looks like an example may be a password, such as the one of nats://a:b@example.com.
var examplePatterns = []*regexp.Regexp{
	exampleOf(`host`, `smtp\.example\.com`),
	exampleOf(`accountName|emailAddress|fromEmail|user`, `no-reply@(?:mail\.)?example\.com`),
	exampleOf(`templateCode|china|overseas`, `SMS_(?:123456|987654)[0-9]{3}`),
	exampleOf(`signName`, `示例|Example`),
	exampleOf(`fromAlias|fromName`, `Example`),
}

// exampleOf matches a setting whose value is an example. An address can have the name Example.
func exampleOf(settings, words string) *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[\s{,])["']?(?:` + settings + `)(?:["']: *|: +)["']?(?:Example <)?(` + words + `)>?["']? *(?:[,}]|$)`)
}

// exampleValues finds the examples that a configuration still has, each once. It reads the
// text, without the comments, because a value can stand in a setting of any connector.
func exampleValues(text string) (all []exampleValue) {
	seen := make(map[string]bool)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if before, _, comment := strings.Cut(" "+line, " #"); comment {
			line = before
		}
		for _, pattern := range examplePatterns {
			for _, found := range pattern.FindAllStringSubmatch(line, -1) {
				if value := found[1]; !seen[value] {
					seen[value] = true
					all = append(all, exampleValue{n, value})
				}
			}
		}
	}
	return all
}

// listed writes examples as one text: each with its line.
func listed(all []exampleValue) string {
	texts := make([]string, 0, len(all))
	for _, e := range all {
		texts = append(texts, fmt.Sprintf("%s (line %d)", e.value, e.line))
	}
	return strings.Join(texts, ", ")
}

// examples warns of the examples that the configuration still has.
func (c *checkCmd) examples(r *checkReport, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return // it was read before, so somebody has just replaced it
	}
	if all := exampleValues(string(text)); len(all) > 0 {
		r.warning(file, "has examples of codeferry init, to be replaced by your own: "+listed(all))
	}
}
