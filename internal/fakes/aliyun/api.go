package aliyun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const actionVerifyCode = "SendSmsVerifyCode"

const (
	// maxURI is roughly the length at which Aliyun's gateway refuses a mail that is in
	// the query and not in the form.
	maxURI  = 80 << 10
	maxBody = 10 << 20
)

// action is one operation of the API. run checks the action's own parameters, carries it out
// and returns the answer's JSON.
type action struct {
	version string
	run     func(*Server, *call) (any, *apiError)
}

var actions = map[string]action{
	"SingleSendMail":     {"2015-11-23", singleSendMail},
	"DescAccountSummary": {"2015-11-23", descAccountSummary},
	"SendSms":            {"2017-05-25", sendSMS},
	"QuerySendDetails":   {"2017-05-25", querySendDetails},
	actionVerifyCode:     {"2017-05-25", sendSMSVerifyCode},
}

var actionNames = slices.Sorted(maps.Keys(actions))

// serveAPI answers a request to the API. If a fault asks for it, it panics with
// http.ErrAbortHandler, which cuts the connection.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	if len(r.RequestURI) > maxURI {
		s.requests.count("")
		writeHTML(w, http.StatusRequestURITooLong)
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		s.requests.count("")
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			writeHTML(w, http.StatusRequestEntityTooLarge)
			return
		}
		panic(http.ErrAbortHandler)
	}
	c, err := newCall(r, body)
	s.requests.count(c.action)

	fault := s.faults.take(c.action)
	s.delay(r, fault.Latency)
	switch {
	case fault.Drop == DropBefore:
		panic(http.ErrAbortHandler)
	case fault.Drop == DropHang:
		s.hang(r)
	case fault.Drop == DropAfter:
	case fault.answer(w, c):
		return
	}

	var answer any
	failed := failWith("InvalidParameter", "The request's parameters cannot be decoded.")
	if err == nil {
		c.now = s.now().UTC()
		answer, failed = s.do(c)
	}
	switch {
	case fault.Drop == DropAfter:
		panic(http.ErrAbortHandler)
	case failed != nil:
		writeJSON(w, failed.status, failed.body(c))
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

func (s *Server) do(c *call) (any, *apiError) {
	if e := s.verify(c); e != nil {
		return nil, e
	}
	return actions[c.action].run(s, c)
}

// delay waits for d.
func (s *Server) delay(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	case <-s.closed:
		panic(http.ErrAbortHandler)
	}
}

// hang holds the connection until the client goes away.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
	panic(http.ErrAbortHandler)
}

// answer writes the fault's own answer, if it has one.
func (f Fault) answer(w http.ResponseWriter, c *call) bool {
	switch {
	case f.Body != nil:
		contentType := f.ContentType
		if contentType == "" {
			contentType = "application/json;charset=utf-8"
			if strings.HasPrefix(*f.Body, "<") {
				contentType = "text/html; charset=utf-8"
			}
		}
		write(w, max(f.HTTPStatus, http.StatusOK), contentType, []byte(*f.Body))
	case f.Code != "":
		e := fail(f.Code)
		if f.Message != "" {
			e.message = f.Message
		}
		if f.HTTPStatus != 0 {
			e.status = f.HTTPStatus
		}
		writeJSON(w, e.status, e.body(c))
	case f.HTTPStatus >= 400:
		writeHTML(w, f.HTTPStatus)
	case f.HTTPStatus != 0:
		write(w, f.HTTPStatus, "application/json;charset=utf-8", nil)
	default:
		return false
	}
	return true
}

// writeHTML answers as a gateway in front of the service does.
func writeHTML(w http.ResponseWriter, status int) {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	page := fmt.Sprintf("<html>\n<head><title>%[1]s</title></head>\n<body>\n<center><h1>%[1]s</h1></center>\n</body>\n</html>\n", title)
	write(w, status, "text/html; charset=utf-8", []byte(page))
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeIndented(w, status, "", v) }

// writeIndented writes JSON for a person if it is given an indent.
func writeIndented(w http.ResponseWriter, status int, indent string, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		// Only types of this package are encoded.
		panic(err)
	}
	write(w, status, "application/json;charset=utf-8", body.Bytes())
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is not our error
}
