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

// commonParams must be present and, except Signature, must not be empty.
var commonParams = []string{
	"Version", "Format", "AccessKeyId", "Timestamp",
	"SignatureMethod", "SignatureVersion", "SignatureNonce", "Signature",
}

// commonValues are the only values that the fake accepts. A missing SignatureType counts as
// empty.
var commonValues = []struct{ name, want string }{
	{"Format", "JSON"},
	{"SignatureMethod", "HMAC-SHA1"},
	{"SignatureVersion", "1.0"},
	{"SignatureType", ""},
}

// checkGateway makes the checks that all actions share. The nonce comes last, so that only an
// otherwise valid request uses it up.
func (s *Server) checkGateway(c *call) *apiError {
	if c.action == "" {
		return missing("Action")
	}
	act, ok := actions[c.action]
	if !ok {
		return fail("InvalidAction.NotFound")
	}
	for _, name := range commonParams {
		value, ok := c.params[name]
		if !ok || value == "" && name != "Signature" {
			return missing(name)
		}
	}
	if c.params["Version"] != act.version {
		return fail("InvalidVersion")
	}
	for _, v := range commonValues {
		if got := c.params[v.name]; got != v.want && !(v.name == "Format" && strings.EqualFold(got, v.want)) {
			return invalid(v.name)
		}
	}
	if e := checkTimestamp(c.params["Timestamp"], c.now); e != nil {
		return e
	}
	key, ok := s.keys[c.params["AccessKeyId"]]
	if !ok {
		return fail("InvalidAccessKeyId.NotFound")
	}
	if e := checkSecurityToken(c.params, key); e != nil {
		return e
	}
	if e := checkSignature(c, key); e != nil {
		return e
	}
	if !s.nonces.use(nonce{key.ID, c.params["SignatureNonce"]}, c.now) {
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

// checkSignature, like Aliyun, tells the client what it should have signed:
// the whole message, code and recipient included.
func checkSignature(c *call, key Key) *apiError {
	signature, toSign := c.params["Signature"], stringToSign(c.method, c.params)
	code := "SignatureDoesNotMatch"
	switch {
	case signature == "":
		code = "IncompleteSignature"
	case verify(signature, toSign, key.Secret):
		return nil
	}
	return failWith(code, catalogue[code].message+" server string to sign is:"+toSign)
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
