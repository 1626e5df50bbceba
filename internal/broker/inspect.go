package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// Finding is a difference between JetStream and what codeferry would make.
type Finding struct {
	// Text describes it and the consequence.
	Text string
	// Wrong says that a worker can't work with it.
	Wrong bool
	// Missing says that the stream or consumer does not exist.
	Missing bool
}

// Inspect checks everything that a worker needs in JetStream, and changes nothing.
// nothing says that none of it exists yet.
func Inspect(ctx context.Context, js jetstream.JetStream, o wire.StreamOptions) (findings []Finding, nothing bool, err error) {
	f, err := look(ctx, js, o)
	if err != nil {
		return nil, false, err
	}
	if len(f.streams) == 0 {
		return nil, true, nil
	}
	for _, cfg := range wire.StreamConfigs(o) {
		info := f.streams[cfg.Name]
		if info == nil {
			findings = append(findings, missing("stream "+cfg.Name))
			continue
		}
		all, _ := compare("stream "+cfg.Name, streamFields, info.Config, cfg, false)
		findings = append(findings, reported(all)...)
		findings = append(findings, chosen(o, cfg, info)...)
	}
	for _, c := range messages.Channels() {
		info := f.consumers[c]
		if info == nil {
			findings = append(findings, missing("consumer "+string(c)))
			continue
		}
		all, _ := compare("consumer "+string(c), consumerFields, info.Config, wantedConsumer(c, o, f), false)
		findings = append(findings, reported(all)...)
		if text := paused(info, time.Now()); text != "" {
			findings = append(findings, Finding{Text: text, Wrong: true})
		}
	}
	return findings, false, nil
}

func missing(what string) Finding {
	return Finding{Text: what + " is missing; codeferry run makes it if it may, codeferry provision makes it or says why it can't", Wrong: true, Missing: true}
}

func reported(all []difference) (findings []Finding) {
	for _, d := range all {
		switch d.action {
		case honour:
			findings = append(findings, Finding{Text: d.String() + "; the worker keeps to it"})
		case repair:
			findings = append(findings, Finding{Text: d.String() + "; codeferry run repairs it if it may, codeferry provision does", Wrong: true})
		case refuse:
			findings = append(findings, Finding{Text: d.String() + "; it can't be changed in place: " + remedy(d.of), Wrong: true})
		case fine:
		}
	}
	return findings
}

// chosen reports operator's choices that differ from the configuration.
func chosen(o wire.StreamOptions, cfg jetstream.StreamConfig, info *jetstream.StreamInfo) (findings []Finding) {
	have, given := info.Config.MaxBytes, sizeGiven(o, cfg.Name)
	switch {
	case given > 0 && have != given && newSize(o, info) == 0:
		findings = append(findings, Finding{Text: fmt.Sprintf("max_bytes of stream %s is %s, and %s says %s: it holds more than that, and stays as it is", cfg.Name, size(have), sizeSetting(cfg.Name), size(given))})
	case have <= 0 && given <= 0 && cfg.Name != wire.StreamName:
		findings = append(findings, Finding{Text: fmt.Sprintf("max_bytes of stream %s is not set, so the server keeps no room for it; %s sets it", cfg.Name, sizeSetting(cfg.Name))})
	}
	if info.Config.Replicas != cfg.Replicas {
		findings = append(findings, Finding{Text: fmt.Sprintf("num_replicas of stream %s is %d, and nats.replicas says %d: codeferry provision changes it", cfg.Name, info.Config.Replicas, cfg.Replicas)})
	}
	return findings
}
