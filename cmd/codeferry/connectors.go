package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// connectors are the senders of a configuration's connectors, by name, for a command
// that uses them once.
type connectors map[string]sender.Sender

// openConnectors makes the named connectors. The caller closes them.
func openConnectors(cfg *config.Config, names []string) (connectors, error) {
	all := make(connectors)
	for _, name := range names {
		c, ok := cfg.Connectors[name]
		if !ok {
			return nil, fmt.Errorf("the configuration has no connector %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(cfg.Connectors)), ", "))
		}
		snd, err := c.Settings.New()
		if err != nil {
			all.close()
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
		all[name] = snd
	}
	return all, nil
}

func (all connectors) close() {
	for _, snd := range all {
		if c, ok := snd.(io.Closer); ok {
			_ = c.Close() // no request is in flight
		}
	}
}

// renderSample renders a message. A value that the payload lacks becomes its own name
// in brackets. The error is a *sender.Error.
func renderSample(snd sender.Sender, m *messages.SendCode) (*sender.Message, error) {
	sample := *m
	sample.Payload = samplePayload()
	maps.Copy(sample.Payload, m.Payload)
	rendered, err := snd.Render(&sample)
	if err != nil || len(rendered.Missing) == 0 {
		return rendered, err
	}
	for _, path := range rendered.Missing {
		put(sample.Payload, strings.Split(path, "."), "["+path+"]")
	}
	return snd.Render(&sample)
}

// samplePayload is what Logto's payloads hold.
func samplePayload() messages.Payload {
	return messages.Payload{
		"code": "000000", "link": "https://example.com/invitation?token=sample",
		"application":  map[string]any{"name": "Sample application"},
		"organization": map[string]any{"name": "Sample organization"},
		"user":         map[string]any{"name": "Sample User", "username": "sample", "primaryEmail": "sample@example.com"},
	}
}

// put stores a value at a path. If the path leads through a value that is not an
// object, it stores nothing.
func put(at map[string]any, path []string, value string) {
	for ; len(path) > 1; path = path[1:] {
		if _, ok := at[path[0]]; !ok {
			at[path[0]] = make(map[string]any)
		}
		next, ok := at[path[0]].(map[string]any)
		if !ok {
			return
		}
		at = next
	}
	at[path[0]] = value
}
