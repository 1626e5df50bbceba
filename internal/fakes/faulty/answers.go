package faulty

import (
	"io"
	"net/http"
	"time"
)

// Answer always gives the same answer.
func Answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Cut closes the connection instead of an answer.
func Cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// Hang lets the client wait for d, or until it goes away, and then closes the connection.
func Hang(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
		Cut(w, r)
	}
}

// BadGateway answers as a proxy whose server is down.
func BadGateway(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = io.WriteString(w, "<html><h1>502 Bad Gateway</h1></html>")
}

// Empty answers 200 and nothing else.
func Empty(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
