package aliyun

import (
	"sync"
	"sync/atomic"
	"time"
)

// flowLimits are the limits of verification codes to mainland China, in the order in which
// they are checked.
var flowLimits = []struct {
	window   time.Duration
	permits  int
	allSigns bool // counts a number's messages of all signatures
	message  string
}{
	{time.Minute, 1, false, "触发分钟级流控Permits:1"},
	{time.Hour, 5, false, "触发小时级流控Permits:5"},
	{flowMemory, 10, false, "触发天级流控Permits:10"},
	{flowMemory, 40, true, "触发号码天级流控Permits:40"},
}

const (
	// flowMemory is the longest window.
	flowMemory = 24 * time.Hour
	// flowMax limits the remembered sends; the oldest are dropped first.
	flowMax = 1 << 20
)

// flow counts the accepted sends while it is on.
type flow struct {
	on atomic.Bool

	mu    sync.Mutex
	sends map[string]*fifo[send] // by number, oldest first
	log   fifo[logged]           // all sends, in the same order
}

type send struct {
	sign string
	at   time.Time

	// scheme and interval are those of SendSmsVerifyCode: during the interval, no other
	// code goes to the number with the same scheme.
	scheme   string
	interval time.Duration
}

type logged struct {
	number string
	at     time.Time
}

// take counts one send to each of the numbers, or none if one of them is over a limit.
func (f *flow) take(numbers []string, s send) *apiError {
	if !f.on.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(s.at)
	for i, number := range numbers {
		if e := f.exceeded(number, s); e != nil {
			for range i {
				f.undo()
			}
			return e
		}
		f.count(number, s)
	}
	return nil
}

func (f *flow) exceeded(number string, next send) *apiError {
	of := f.sends[number]
	if of == nil {
		return nil
	}
	for _, s := range of.items {
		if s.interval > 0 && s.scheme == next.scheme && next.at.Sub(s.at) < next.interval {
			return fail("biz.FREQUENCY")
		}
	}
	for _, limit := range flowLimits {
		n := 0
		for _, s := range of.items {
			if next.at.Sub(s.at) < limit.window && (limit.allSigns || s.sign == next.sign) {
				n++
			}
		}
		if n >= limit.permits {
			return failWith("isv.BUSINESS_LIMIT_CONTROL", limit.message)
		}
	}
	return nil
}

func (f *flow) count(number string, s send) {
	if f.sends == nil {
		f.sends = map[string]*fifo[send]{}
	}
	of := f.sends[number]
	if of == nil {
		of = &fifo[send]{}
		f.sends[number] = of
	}
	of.push(s)
	f.log.push(logged{number, s.at})
}

// undo removes the newest send.
func (f *flow) undo() {
	number := f.log.popBack().number
	f.sends[number].popBack()
	f.tidy(number)
}

func (f *flow) forget(now time.Time) {
	for f.log.len() > flowMax || f.log.len() > 0 && now.Sub(f.log.front().at) >= flowMemory {
		number := f.log.popFront().number
		f.sends[number].popFront()
		f.tidy(number)
	}
}

func (f *flow) tidy(number string) {
	if f.sends[number].len() == 0 {
		delete(f.sends, number)
	}
}

func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sends, f.log = nil, fifo[logged]{}
}
