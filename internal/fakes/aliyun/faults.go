package aliyun

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Drop says when a fault cuts the connection without an answer.
type Drop string

const (
	// DropBefore cuts it before the request is checked.
	DropBefore Drop = "before"
	// DropAfter checks the request and accepts it, then cuts: the client
	// cannot know that the message is on its way.
	DropAfter Drop = "after"
	// DropHang accepts nothing and answers nothing until the client goes away
	// or the Server is closed.
	DropHang Drop = "hang"
)

// Fault makes requests fail. For each request, valid or not, the first fault of the list
// that matches it and has count left is used. A fault does this, in this order:
//
//   - Latency passes. It ends early, with the connection cut and nothing
//     accepted, when the client goes away or the Server is closed.
//   - Drop cuts the connection; then the fields below have no effect.
//   - Body, Code or HTTPStatus answer, the first of them that is set; the
//     request is not checked and nothing is accepted.
//   - Otherwise the request continues as if there were no fault. So a fault with
//     only a Count lets that many requests pass before the next fault.
//
// In JSON, latency is a Go duration such as "50ms" and body may be absent.
type Fault struct {
	// Action is the action to fail. Default: any.
	Action string
	// Count is the number of requests to fail; 0 means until the list is replaced.
	Count int

	Latency time.Duration
	Drop    Drop

	// Code is an error code of Aliyun's, answered in its form and with its HTTP
	// status. HTTPStatus overrides that status, Message the
	// usual text. An unknown code is answered as the gateway does, with
	// 400, or as SMS does if it begins with isv. or isp.
	Code    string
	Message string

	// HTTPStatus alone answers an HTML error page from 400 up, and an empty
	// body below.
	HTTPStatus int

	// Body is the exact answer, with HTTPStatus or 200; it may be empty.
	// ContentType defaults to text/html for a body that begins with "<", else to
	// application/json.
	Body        *string
	ContentType string
}

// faultJSON is Fault's form on the wire.
type faultJSON struct {
	Action      string  `json:"action,omitempty"`
	Code        string  `json:"code,omitempty"`
	Message     string  `json:"message,omitempty"`
	HTTPStatus  int     `json:"httpStatus,omitempty"`
	Count       int     `json:"count,omitempty"`
	Latency     string  `json:"latency,omitempty"`
	Drop        Drop    `json:"drop,omitempty"`
	Body        *string `json:"body,omitempty"`
	ContentType string  `json:"contentType,omitempty"`
}

// MarshalJSON returns the form that PUT /faults takes.
func (f Fault) MarshalJSON() ([]byte, error) {
	j := faultJSON{
		Action: f.Action, Count: f.Count, Drop: f.Drop,
		Code: f.Code, Message: f.Message, HTTPStatus: f.HTTPStatus,
		Body: f.Body, ContentType: f.ContentType,
	}
	if f.Latency != 0 {
		j.Latency = f.Latency.String()
	}
	return json.Marshal(j)
}

// UnmarshalJSON refuses unknown fields and a latency that is not a duration. SetFaults checks
// the values of the other fields.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var j faultJSON
	if err := decodeStrict(data, &j); err != nil {
		return err
	}
	var latency time.Duration
	if j.Latency != "" {
		var err error
		if latency, err = time.ParseDuration(j.Latency); err != nil {
			return fmt.Errorf("latency: %q is not a duration such as 50ms", j.Latency)
		}
	}
	*f = Fault{
		Action: j.Action, Count: j.Count, Latency: latency, Drop: j.Drop,
		Code: j.Code, Message: j.Message, HTTPStatus: j.HTTPStatus,
		Body: j.Body, ContentType: j.ContentType,
	}
	return nil
}

// validate names the field that is wrong.
func (f Fault) validate() error {
	_, known := actions[f.Action]
	switch {
	case f.Action != "" && !known:
		return fmt.Errorf("action: %q is not one of %s", f.Action, strings.Join(actionNames, ", "))
	case f.Count < 0:
		return fmt.Errorf("count: %d is negative", f.Count)
	case f.Latency < 0:
		return fmt.Errorf("latency: %v is negative", f.Latency)
	case !slices.Contains([]Drop{"", DropBefore, DropAfter, DropHang}, f.Drop):
		return fmt.Errorf("drop: %q is not before, after or hang", f.Drop)
	case f.HTTPStatus != 0 && (f.HTTPStatus < 200 || f.HTTPStatus > 599):
		return fmt.Errorf("httpStatus: %d is not between 200 and 599", f.HTTPStatus)
	case f.Message != "" && f.Code == "":
		return errors.New("message: needs a code")
	case f.ContentType != "" && f.Body == nil:
		return errors.New("contentType: needs a body")
	}
	return nil
}

// faults is the list that is set; used-up faults are removed from it.
type faults struct {
	mu   sync.Mutex
	list []Fault
}

func (fs *faults) set(list []Fault) error {
	for i, f := range list {
		if err := f.validate(); err != nil {
			return fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = slices.Clone(list)
	return nil
}

func (fs *faults) left() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return append([]Fault{}, fs.list...)
}

// take returns the fault for a request; the zero Fault changes nothing.
func (fs *faults) take(action string) Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for i, f := range fs.list {
		if f.Action != "" && f.Action != action {
			continue
		}
		switch f.Count {
		case 0:
		case 1:
			fs.list = slices.Delete(fs.list, i, i+1)
		default:
			fs.list[i].Count--
		}
		return f
	}
	return Fault{}
}

// decodeFaults reads a list; its error says which fault is wrong.
func decodeFaults(data []byte) ([]Fault, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || raw == nil {
		return nil, errors.New("the body is not a JSON list of faults")
	}
	list := make([]Fault, len(raw))
	for i, r := range raw {
		if r[0] != '{' {
			return nil, fmt.Errorf("fault %d: is not a JSON object", i+1)
		}
		if err := list[i].UnmarshalJSON(r); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	return list, nil
}
