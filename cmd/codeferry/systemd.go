package main

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// systemd tells systemd about the process, if a unit with Type=notify has started it:
// otherwise it does nothing. The protocol is that of sd_notify(3).
type systemd struct{ log zerolog.Logger }

// ready says that the process works, and what it waits for.
func (s systemd) ready(status string) { s.notify(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// status says what the process does.
func (s systemd) status(text string) { s.notify("STATUS=" + text) }

// stopping says that the process is about to end.
func (s systemd) stopping() { s.notify(daemon.SdNotifyStopping + "\nSTATUS=stopping") }

func (s systemd) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn().Err(err).Msg("systemd can't be told the state of codeferry (NOTIFY_SOCKET)")
	}
}

// watchdog keeps systemd's watchdog quiet until the returned function is called, which waits
// for its end. Without a watchdog (WatchdogSec) it does nothing.
func (s systemd) watchdog(ctx context.Context) (stop func()) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn().Err(err).Msg("systemd's watchdog (WATCHDOG_USEC) is not understood")
	}
	if every == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(every / 2)
		defer tick.Stop()
		for {
			s.notify(daemon.SdNotifyWatchdog)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		ended.Wait()
	}
}
