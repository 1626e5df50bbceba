package bench

import (
	"runtime"
	"time"
)

// usage is the resources that the process has used.
type usage struct {
	cpu           time.Duration
	allocs, bytes uint64
}

func take() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{cpu: cpu(), allocs: m.Mallocs, bytes: m.TotalAlloc}
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.allocs - before.allocs, u.bytes - before.bytes}
}
