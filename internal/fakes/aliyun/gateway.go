package aliyun

import (
	"strings"
	"sync"
	"time"
)

// timeWindow is how far a request's Timestamp may differ, and how long its nonce counts as
// used.
const timeWindow = 15 * time.Minute

const timestampLayout = "2006-01-02T15:04:05Z"

// verify makes the checks that all actions share, whichever signature a request has. The nonce
// comes last, so that only an otherwise valid request uses it up.
func (s *Server) verify(c *call) *apiError {
	if c.action == "" {
		return missing("Action")
	}
	act, ok := actions[c.action]
	if !ok {
		return fail("InvalidAction.NotFound")
	}
	if e := c.signature.wellFormed(); e != nil {
		return e
	}
	if c.common["Version"] != act.version {
		return fail("InvalidVersion")
	}
	// Without a Format, Aliyun answers in JSON if it has signature V3. V1 needs one.
	if format, ok := c.params["Format"]; ok && !strings.EqualFold(format, "JSON") {
		return invalid("Format")
	}
	if e := checkTimestamp(c.common["Timestamp"], c.now); e != nil {
		return e
	}
	key, ok := s.keys[c.common["AccessKeyId"]]
	if !ok {
		return fail("InvalidAccessKeyId.NotFound")
	}
	if e := checkSecurityToken(c.common, key); e != nil {
		return e
	}
	if e := c.signature.verify(key.Secret); e != nil {
		return e
	}
	if !s.nonces.use(nonce{key.ID, c.common["SignatureNonce"]}, c.now) {
		return fail("SignatureNonceUsed")
	}
	return nil
}

func checkTimestamp(value string, now time.Time) *apiError {
	at, err := time.Parse(timestampLayout, value)
	// time.Parse accepts fractions of a second that the layout does not have.
	if err != nil || len(value) != len(timestampLayout) {
		return fail("InvalidTimeStamp.Format")
	}
	if now.Sub(at).Abs() > timeWindow {
		return fail("InvalidTimeStamp.Expired")
	}
	return nil
}

func checkSecurityToken(p params, key Key) *apiError {
	token, sent := p["SecurityToken"]
	switch {
	case token == key.SecurityToken:
		return nil
	case !sent:
		return missing("SecurityToken")
	case token == "":
		return fail("InvalidSecurityToken.Malformed")
	default:
		return fail("InvalidSecurityToken.MismatchWithAccessKey")
	}
}

type nonce struct{ accessKeyID, value string }

// nonces remembers the nonces of the last timeWindow.
type nonces struct {
	mu   sync.Mutex
	used map[nonce]struct{}
	log  fifo[usedNonce]
}

type usedNonce struct {
	nonce
	at time.Time
}

// use reports whether n was new, and remembers it.
func (s *nonces) use(n nonce, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.log.len() > 0 && now.Sub(s.log.front().at) >= timeWindow {
		delete(s.used, s.log.popFront().nonce)
	}
	if _, ok := s.used[n]; ok {
		return false
	}
	if s.used == nil {
		s.used = map[nonce]struct{}{}
	}
	s.used[n] = struct{}{}
	s.log.push(usedNonce{n, now})
	return true
}
