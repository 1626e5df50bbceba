//go:build !linux

package tcp

import "time"

// bound does nothing: the system has no such setting.
func bound(uintptr, time.Duration) {}
