package jetpull

// For the tests with a server.
var ErrNoLeader = errNoLeader

const (
	Unwatched      = unwatched
	RequestExpires = requestExpires
)
