package smtp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// googleTokens is the default token endpoint, and mailScope the scope that a service
// account requests. Both are nodemailer's defaults, for Google.
const (
	googleTokens = "https://oauth2.googleapis.com/token" //nolint:gosec // an address
	mailScope    = "https://mail.google.com/"
)

// tokens returns access tokens and renews them, one call at a time.
type tokens struct {
	auth Auth
	now  func() time.Time
	http http.RoundTripper

	lock    chan struct{} // holds one value while a caller uses the fields below
	token   *oauth2.Token
	refresh string // each answer can replace the refresh token
}

func newTokens(a Auth, now func() time.Time) *tokens {
	t := &tokens{
		auth: a, now: now, lock: make(chan struct{}, 1), refresh: a.RefreshToken.Reveal(),
		http: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			OnProxyConnectResponse: httpclient.RefusedByProxy,
			TLSHandshakeTimeout:    DefaultTimeout,
			DisableKeepAlives:      true, // a token lasts an hour
			MaxResponseHeaderBytes: maxAnswer,
		},
	}
	if !a.AccessToken.IsZero() {
		t.token = &oauth2.Token{AccessToken: a.AccessToken.Reveal()}
		if a.Expires > 0 {
			t.token.Expiry = time.UnixMilli(a.Expires)
		}
	}
	return t
}

// early is how long before its expiry a token is renewed.
const early = 30 * time.Second

// get returns an access token other than rejected, which a server has refused. It
// requests a new one if there is none or it has expired. fresh reports whether the token
// is new.
func (t *tokens) get(ctx context.Context, rejected string) (token string, fresh bool, err *sender.Error) {
	if !enter(ctx, t.lock) {
		return "", false, &sender.Error{Class: sender.Unavailable, Code: codeTimeout, Detail: "no access token came in time"}
	}
	defer func() { <-t.lock }()
	if t.token != nil && t.token.AccessToken != rejected && (t.token.Expiry.IsZero() || t.now().Add(early).Before(t.token.Expiry)) {
		return t.token.AccessToken, false, nil
	}
	if !t.renews() {
		return "", false, &sender.Error{Class: sender.AccountDown, Code: codeToken, Detail: "auth.accessToken has expired or was refused, and there is no refreshToken to renew it with"}
	}
	made, failed := t.source(ctx).Token()
	if failed != nil {
		return "", false, t.error(ctx, failed)
	}
	t.token, t.refresh = made, cmp.Or(made.RefreshToken, t.refresh)
	return made.AccessToken, true, nil
}

func (t *tokens) renews() bool { return t.refresh != "" || t.auth.ServiceClient != "" }

// source returns a source that asks once, with the call's own context.
func (t *tokens) source(ctx context.Context) oauth2.TokenSource {
	client := &http.Client{
		Transport: within{ctx, t.http},
		// A redirect could send a secret to another server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	url := cmp.Or(t.auth.AccessURL, googleTokens)
	if t.auth.ServiceClient != "" {
		return (&jwt.Config{
			Email: t.auth.ServiceClient, Subject: t.auth.User, PrivateKey: []byte(t.auth.PrivateKey.Key.Reveal()),
			Scopes: []string{mailScope}, TokenURL: url,
		}).TokenSource(ctx)
	}
	return (&oauth2.Config{
		ClientID: t.auth.ClientID, ClientSecret: t.auth.ClientSecret.Reveal(),
		// AuthStyleAutoDetect would ask a second time.
		Endpoint: oauth2.Endpoint{TokenURL: url, AuthStyle: oauth2.AuthStyleInParams},
	}).TokenSource(ctx, &oauth2.Token{RefreshToken: t.refresh})
}

// within gives each request the call's context, because the jwt package sends requests
// without one.
type within struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the call
	next http.RoundTripper
}

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(r.WithContext(w.ctx))
}

// error classes the error of a token request. No mail has begun. The error repeats
// neither the answer's body nor the request's URL.
func (t *tokens) error(ctx context.Context, err error) *sender.Error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		e := &sender.Error{Class: sender.Unavailable, Code: codeToken, Detail: "no access token: the token server (auth.accessUrl) can't be reached, or its answer can't be read"}
		if proxy, ok := errors.AsType[*httpclient.ProxyError](err); ok {
			e.Detail = "no access token: " + proxy.Error()
		}
		if ctx.Err() != nil {
			e.Code, e.Detail = codeTimeout, "no access token came in time"
		}
		return e
	}
	status := answer.Response.StatusCode // the text after the status is the server's own
	e := &sender.Error{
		Class: sender.AccountDown, Code: codeToken,
		Detail: fmt.Sprintf("the token server refused: %d %s", status, http.StatusText(status)),
	}
	code := answer.ErrorCode
	if code == "" { // the jwt package leaves it in the body
		var body struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(answer.Body, &body)
		code = body.Error
	}
	if word := oauthWord(code); word != "" {
		e.Detail += ", " + word
	}
	switch {
	case status == http.StatusTooManyRequests:
		e.Class = sender.Throttled
	case status >= 500 || status < 400 && code == "" || code == "temporarily_unavailable":
		e.Class = sender.Unavailable
	}
	return e
}

// oauthWord returns an answer's error code if RFC 6749, 5.2 names it.
func oauthWord(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"access_denied", "temporarily_unavailable":
		return code
	}
	return ""
}
