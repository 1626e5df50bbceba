package broker

import (
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages/wire"
)

// Refused reports whether a server's error says that it refuses the credentials, or has
// stopped accepting them.
func Refused(err error) bool {
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// watch logs the state of a connection; a lasting problem once a minute.
type watch struct {
	target Target
	log    zerolog.Logger
	seldom *seldom
	// login is for what keeps the connection from being made. It ends when the connection is
	// back.
	login *seldom
	// lost is when the connection was lost (Unix, in nanoseconds); 0 while there is one.
	lost atomic.Int64
	// conn is the connection, after it was up for the first time.
	conn atomic.Pointer[nats.Conn]
	// refused says that the credentials were refused since the connection was last up.
	refused atomic.Bool
	// refusals are those of the present round of tries.
	refusals refusals
	// random returns a number of at least 0 and below 1.
	random func() float64
}

func (w *watch) away(err error) {
	w.lost.CompareAndSwap(0, w.login.clock().UnixNano())
	w.log.Warn().Err(err).Msg("NATS is away; waiting messages are sent when it is back")
}

func (w *watch) back(server string) {
	w.refused.Store(false)
	w.refusals.back(w.target.Refused)
	w.login.ended()
	line := w.log.Info().Str("server", server)
	if lost := w.lost.Swap(0); lost != 0 {
		line.Stringer("lasted", w.login.clock().Sub(time.Unix(0, lost)).Round(time.Millisecond))
	}
	line.Msg("NATS is back")
}

// failed is called for every error of the server or the client.
func (w *watch) failed(err error) {
	d, diagnosed := w.target.Diagnose(err)
	var wrong *settingError
	if (diagnosed || errors.As(err, &wrong)) && w.conn.Load() != nil {
		w.refusals.heard(w.target.Refused, err)
	}
	switch {
	case Refused(err):
		w.refused.Store(true)
		if w.login.now("credentials") {
			w.log.Error().Err(err).Msg("NATS refuses the credentials; " + d.Remedy + "; trying again with the current ones")
		}
	case errors.As(err, &wrong):
		if w.login.now(err.Error()) {
			w.log.Error().Err(wrong).Msg("a file of the connection to NATS can't be used; trying again with the current one")
		}
	case diagnosed:
		if w.login.now(d.What) {
			w.log.Error().Err(err).Msg("the NATS server " + d.What + "; " + d.Remedy + "; trying again with the current files")
		}
	case errors.Is(err, nats.ErrPermissionViolation):
		operation, subject := Denial(err)
		if w.seldom.now(operation + " " + subject) {
			w.log.Error().Str("operation", operation).Str("subject", subject).
				Msg("NATS does not permit it to this user; docs/roles.md has the permissions of each role")
		}
		if w.target.Denied != nil {
			w.target.Denied(err)
		}
	default:
		if w.seldom.now(err.Error()) {
			w.log.Warn().Err(err).Msg("NATS reports an error")
		}
	}
}

// Waits between the rounds of tries, once all servers have failed.
const (
	firstDelay = 250 * time.Millisecond
	// maxDelay is the longest wait if they refuse the credentials, because a server logs
	// each try.
	maxDelay = 5 * time.Second
)

// delay is how long to wait after a round of tries. A server that can't be reached is tried
// two to four times a second; one that refuses the credentials, less and less often.
// The client calls nobody if TLS fails, so delay asks for the last error.
func (w *watch) delay(round int) time.Duration {
	if nc := w.conn.Load(); nc != nil {
		w.tlsFailed(nc.LastError())
		w.refusals.round(w.target.Refused)
	}
	d := firstDelay
	if w.refused.Load() {
		d = min(maxDelay/2, firstDelay<<min(max(round, 0), 8))
	}
	return d + time.Duration(w.random()*float64(d))
}

// tlsFailed logs the last error of a lost connection if it is about TLS or a file. The
// client reports all other errors to failed.
func (w *watch) tlsFailed(err error) {
	_, ofTLS := w.target.tlsDiagnosis(err)
	if _, wrong := errors.AsType[*settingError](err); ofTLS || wrong {
		w.failed(err)
	}
}

var deniedRE = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) (?:to|with reply of) "([^"]*)"`)

// Denial returns the operation and the subject of a permission violation. The subject is
// without the parts that change from message to message, or could identify a user. The
// operation is publish or subscribe, or "" if err is not a permission violation.
func Denial(err error) (operation, subject string) {
	m := deniedRE.FindStringSubmatch(err.Error())
	if m == nil {
		return "", ""
	}
	operation = strings.ToLower(m[1])
	if operation == "subscription" {
		operation = "subscribe"
	}
	return operation, general(m[2])
}

// DeniedSubject returns the whole subject of a permission violation. It may identify a user. It
// is "" if err is not a permission violation.
func DeniedSubject(err error) string {
	if m := deniedRE.FindStringSubmatch(err.Error()); m != nil {
		return m[2]
	}
	return ""
}

// general cuts a subject after the tokens that say its purpose.
func general(subject string) string {
	tokens := strings.Split(subject, ".")
	keep := 7 // such as $JS.API.CONSUMER.MSG.NEXT.CODEFERRY.sms
	switch second := strings.Join(tokens[:min(2, len(tokens))], "."); {
	case second == "$JS.ACK":
		keep = 4 // the stream and the consumer
	case tokens[0] == "$KV":
		keep = 2
	case strings.HasPrefix(tokens[0], "_INBOX"):
		keep = 1
	case tokens[0] == "codeferry":
		keep = 3 // such as codeferry.send.default
	case strings.Contains(subject, ".DIRECT.GET."):
		keep = 5
	default:
		// The consumers of these streams may have new random names each time.
		for i, token := range tokens {
			if token == wire.OutcomesName || token == wire.DeadName {
				keep = i + 1
				break
			}
		}
	}
	if keep >= len(tokens) {
		return subject
	}
	return strings.Join(tokens[:keep], ".") + ".>"
}
