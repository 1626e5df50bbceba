package sample

import (
	"testing"
	"time"
)

func TestQuote(t *testing.T) {
	for _, c := range []struct {
		p  Parcel
		o  Offer
		ok bool
	}{
		{Parcel{Weight: -1}, Offer{}, false},
		{Parcel{Weight: 101}, Offer{}, false},
		{Parcel{Weight: 10}, Offer{20, time.Hour}, true},
		{Parcel{Weight: 1}, Offer{5, time.Hour}, true},
		{Parcel{Weight: 1, Kind: Box}, Offer{12, time.Hour}, true},
		{Parcel{Weight: 10, Fragile: true}, Offer{20, 2 * time.Hour}, true},
		{Parcel{Weight: 10, Express: true}, Offer{20, time.Hour}, true},
	} {
		if o, ok := Quote(c.p); o != c.o || ok != c.ok {
			t.Errorf("Quote(%+v) is %+v, %v; want %+v, %v", c.p, o, ok, c.o, c.ok)
		}
	}
}
