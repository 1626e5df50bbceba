package aliyun

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync/atomic"
)

// ids makes BizIds and EnvIds: numbers, as at Aliyun, counted up from a random start so that
// two servers do not make the same ones.
type ids struct{ last atomic.Uint64 }

func (i *ids) init() {
	var b [8]byte
	rand.Read(b[:])
	// Eighteen digits, with more than enough room to count.
	i.last.Store(100_000_000_000_000_000 + binary.NativeEndian.Uint64(b[:])%800_000_000_000_000_000)
}

func (s *Server) bizID() string { return fmt.Sprintf("%d^0", s.ids.last.Add(1)) }

func (s *Server) envID() string { return strconv.FormatUint(s.ids.last.Add(1), 10) }

// requestID is a random UUID in capitals.
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
