package bench

import (
	"runtime"
	"syscall"
	"time"
)

// usage is what the process has used.
type usage struct {
	cpu           time.Duration
	allocs, bytes uint64
}

func take() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{allocs: m.Mallocs, bytes: m.TotalAlloc}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return u
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.allocs - before.allocs, u.bytes - before.bytes}
}
