//go:build unix

package bench

import (
	"syscall"
	"time"
)

// cpu is the process's time on the processors, in the kernel too; 0 if it can't be known.
func cpu() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
