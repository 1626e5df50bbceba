package broker

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// TestRefusals: a refusal lasts until two rounds of tries had none, or the connection is back.
func TestRefusals(t *testing.T) {
	t.Parallel()
	var r refusals
	var last error
	tell := func(err error) { last = err }
	for i, step := range []struct {
		do      func()
		refused bool
	}{
		{func() { r.round(tell) }, false},
		{func() { r.heard(tell, nats.ErrAuthorization) }, true},
		{func() { r.round(tell) }, true},
		{func() { r.round(tell) }, true}, // it can have come late
		{func() { r.heard(tell, nats.ErrAuthorization) }, true},
		{func() { r.round(tell) }, true},
		{func() { r.round(tell) }, true},
		{func() { r.round(tell) }, false},
		{func() { r.heard(tell, nats.ErrAuthExpired) }, true},
		{func() { r.back(tell) }, false},
		{func() { r.heard(nil, nats.ErrAuthExpired); r.round(nil); r.back(nil) }, false},
	} {
		if step.do(); (last != nil) != step.refused {
			t.Errorf("after step %d, the refusal is %v, want one: %t", i, last, step.refused)
		}
	}
}
