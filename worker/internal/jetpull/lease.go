package jetpull

import "time"

// A message belongs to a worker until the server has waited AckWait for its ack. After
// that the server can hand it to another worker, without notice. So a worker measures the
// time itself, from events that it is sure of.

// beat is the interval at which the pulling goroutine notes that this process runs. A
// message that is seen after a gap of two beats may have come during the gap.
const beat = 25 * time.Millisecond

// stallAfter is how long this process can stand still, because it is suspended or gets no
// CPU, before the messages that came meanwhile are no longer trusted.
func stallAfter(ackWait time.Duration) time.Duration {
	return max(ackWait/3, 250*time.Millisecond)
}

// firstLease is how long a message belongs to this worker after its arrival. It is shorter
// than AckWait, because the server began to count earlier: the message may have waited
// here while the process stood still.
func firstLease(ackWait time.Duration) time.Duration {
	return ackWait - ackWait/3 - ackWait/10
}

// OwnedUntil returns the time until which the message surely belongs to this worker.
func (m *Message) OwnedUntil() time.Time {
	return m.Arrived.Add(time.Duration(m.lease.Load()))
}

// InProgress tells the server to start its AckWait for the message again. It does not wait
// for the confirmation. Once the server confirms it, the message is owned for longer.
// InProgress does nothing if the message was put back.
func (a *Acker) InProgress(m *Message, ackWait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.putBack {
		return
	}
	sent := a.now()
	a.send(m, ackInProgress, func(err error) {
		// A confirmation that comes after the lease proves nothing: another worker may
		// have received the message in between, and the server confirms an ack from any
		// worker.
		if err == nil && a.now().Before(m.OwnedUntil()) {
			m.lease.Store(int64(sent.Add(ackWait).Sub(m.Arrived)))
		}
	})
}
