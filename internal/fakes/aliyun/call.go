package aliyun

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"time"
)

const formType = "application/x-www-form-urlencoded"

// call is one request to the API.
type call struct {
	host      string
	userAgent string
	action    string
	// common are the parameters that all actions have, by their names in signature V1.
	common params
	// params are those of the action; with signature V1, the common ones are among them.
	params    params
	signature signature
	requestID string
	now       time.Time
}

// signature is how a request says who sent it: v1 or v3.
type signature interface {
	// wellFormed refuses a request that lacks a common parameter, or has one in a form that
	// the signature does not allow.
	wellFormed() *apiError
	// verify refuses a request that was not signed with the secret.
	verify(secret string) *apiError
}

// newCall reads a request. It returns an error if the parameters can't be decoded.
func newCall(r *http.Request, body string) (*call, error) {
	c := &call{host: r.Host, userAgent: r.UserAgent(), requestID: requestID()}
	if !isV3(r.Header) {
		// Some clients send x-acs-action with signature V1 too.
		if err := readV1(c, r, body); err != nil || c.action != "" || !hasV3(r.Header) {
			return c, err
		}
	}
	return c, readV3(c, r, body)
}

// require refuses a call without one of the parameters. An empty one counts as present.
func (c *call) require(names ...string) *apiError {
	for _, name := range names {
		if _, ok := c.params[name]; !ok {
			return missing(name)
		}
	}
	return nil
}

// readBody reads the whole body, even if it is not used: net/http notices that the client has
// gone only after that.
func readBody(w http.ResponseWriter, r *http.Request) (string, error) {
	var body bytes.Buffer
	if _, err := io.Copy(&body, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return "", err
	}
	return body.String(), nil
}

func mediaType(r *http.Request) string {
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return t
}
