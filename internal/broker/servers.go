package broker

import (
	"context"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// TryServers connects to each of t's servers alone, if there are several, and returns a finding
// for each that it can't connect to. A worker connects to the others, so nothing else shows
// that one is missing until they are, too. It blocks until each server has answered or failed.
func TryServers(ctx context.Context, t Target) (findings []Finding) {
	servers := strings.Split(t.URL, ",")
	if len(servers) < 2 {
		return nil
	}
	failed := make([]error, len(servers))
	var tries sync.WaitGroup
	for i, url := range servers {
		one := t
		one.URL = url
		tries.Go(func() {
			nc, err := Connect(ctx, one, zerolog.Nop())
			if failed[i] = err; err == nil {
				nc.Close()
			}
		})
	}
	tries.Wait()
	for _, err := range failed {
		if err != nil && ctx.Err() == nil {
			findings = append(findings, Finding{Text: err.Error() + "; a worker uses the other servers of " + t.Settings.named().URL})
		}
	}
	return findings
}
