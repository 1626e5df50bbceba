package config_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// TestNetHTTP: with the setting net/http makes a connector's requests, and without it the
// connector makes them itself.
func TestNetHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	for _, kind := range config.ConnectorTypes() {
		if kind == "smtp" {
			continue // it does not use HTTP
		}
		for setting, want := range map[string]int32{"": 0, "netHTTP: false, ": 0, "netHTTP: true, ": 1} {
			t.Run(kind+" "+setting, func(t *testing.T) {
				settings := ofType(t, kind, fmt.Sprintf("endpoint: %q, %s", srv.URL, setting))
				to := map[messages.Channel]string{messages.Email: "a@b.c", messages.SMS: "+8613012345678"}[settings.Channel()]
				connector, err := settings.New()
				if err != nil {
					t.Fatal(err)
				}
				m, err := connector.Render(&messages.SendCode{ID: "1", To: to, Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
				if err != nil {
					t.Fatal(err)
				}
				var byNetHTTP atomic.Int32
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { byNetHTTP.Add(1) }})
				if _, err := connector.Send(ctx, m); err == nil {
					t.Error("Send returns no error for a 503")
				}
				if n := byNetHTTP.Load(); n != want {
					t.Errorf("net/http made %d requests, want %d", n, want)
				}
			})
		}
	}
	if _, err := parse("apps: {default: {email: [c]}}\nconnectors:\n  c: {type: smtp, netHTTP: true, host: h, port: 25, fromEmail: a@b.c, templates: "+mailTemplates+"}\n", nil); err == nil {
		t.Error("smtp takes netHTTP, which has no effect there")
	}
	if _, err := parse("apps: {default: {email: [c]}}\nconnectors:\n  c: {type: sendgrid, netHTTP: maybe, "+fieldsOfTypes["sendgrid"]+"}\n", nil); err == nil || !strings.Contains(err.Error(), "netHTTP") {
		t.Errorf("error is %v, want one that names netHTTP", err)
	}
}
