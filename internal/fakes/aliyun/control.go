package aliyun

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const maxControlBody = 1 << 20

const indexPage = `codeferry sandbox: a fake of Aliyun DirectMail and SMS. Nothing is sent.

POST   /           the API (signature V1 or V3; GET works too)
GET    /inbox      what was accepted, newest first; ?to=ADDRESS-OR-NUMBER, ?limit=N
DELETE /inbox      empties the inbox and the flow-control counters
GET    /faults     the faults that are left
PUT    /faults     [{"action":"SendSms","code":"isp.SYSTEM_ERROR","count":3}]; [] clears them
GET    /settings   {"flowControl":false}
PUT    /settings   {"flowControl":true}
GET    /requests   how often each action was called
`

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /{$}":      s.serveRoot,
		"POST /{$}":     s.serveAPI,
		"GET /inbox":    s.getInbox,
		"DELETE /inbox": s.deleteInbox,
		"GET /faults":   s.getFaults,
		"PUT /faults":   s.putFaults,
		"GET /settings": s.getSettings,
		"PUT /settings": s.putSettings,
		"GET /requests": s.getRequests,
	} {
		mux.HandleFunc(pattern, handle)
	}
	return mux
}

// serveRoot: a GET pattern also matches HEAD, which must not send anything.
func (s *Server) serveRoot(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && (r.URL.Query().Has("Action") || hasV3(r.Header)) {
		s.serveAPI(w, r)
		return
	}
	write(w, http.StatusOK, "text/plain; charset=utf-8", []byte(indexPage))
}

func (s *Server) getInbox(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit := 0
	if v := query.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			badRequest(w, errors.New("limit: "+strconv.Quote(v)+" is not a number from 1 up"))
			return
		}
		limit = n
	}
	// Neither numbers nor addresses hold spaces; a space was a plus sign.
	to := strings.ReplaceAll(query.Get("to"), " ", "+")
	writeIndented(w, http.StatusOK, "  ", s.messages(to, limit))
}

func (s *Server) deleteInbox(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.faults.left())
}

func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	put(w, r, func(body []byte) error {
		list, err := decodeFaults(body)
		if err != nil {
			return err
		}
		return s.SetFaults(list)
	})
}

type settings struct {
	FlowControl *bool `json:"flowControl"`
}

func (s *Server) getSettings(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, settings{FlowControl: new(s.flow.on.Load())})
}

func (s *Server) putSettings(w http.ResponseWriter, r *http.Request) {
	put(w, r, func(body []byte) error {
		var to settings
		if err := decodeStrict(body, &to); err != nil {
			return err
		}
		if to.FlowControl != nil {
			s.SetFlowControl(*to.FlowControl)
		}
		return nil
	})
}

func (s *Server) getRequests(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Requests())
}

// put answers 204, or 400 with the mistake.
func put(w http.ResponseWriter, r *http.Request, set func(body []byte) error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err == nil {
		err = set(body)
	}
	if err != nil {
		badRequest(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// decodeStrict refuses unknown fields and anything after the value.
func decodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more text after the JSON value")
	}
	return nil
}

func badRequest(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusBadRequest)
}
