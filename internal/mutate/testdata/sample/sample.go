// Package sample is what the tests of mutate break.
package sample

import "time"

// Parcel is something to be sent.
type Parcel struct {
	Weight int
	Fragile,
	Express bool
	Kind Kind
}

// Kind is what a parcel is.
type Kind int

// The kinds.
const (
	Letter Kind = iota
	Box
)

// Offer is what it costs to send a parcel, and how long it takes.
type Offer struct {
	Price int
	Takes time.Duration
}

var log logger

type logger struct{}

func (logger) Info() logger { return logger{} }
func (logger) Msg(string)   {}

// Quote makes an offer; ok is false if there is none.
func Quote(p Parcel) (o Offer, ok bool) {
	if p.Weight < 0 || p.Weight > 100 {
		log.Info().Msg("no offer")
		return Offer{}, false
	}
	o = Offer{Price: 2 * p.Weight, Takes: time.Hour}
	switch p.Kind {
	case Letter:
		o.Price = max(o.Price, 5)
	case Box:
		o.Price += 10
	}
	if p.Fragile && !p.Express {
		o.Takes = 2 * o.Takes
	}
	return o, true
}

// Needs a server, which the fast tests do not have.
func Connect() bool { return true }
