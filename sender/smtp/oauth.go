package smtp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/codeferry/codeferry/sender"
)

// googleTokens is where tokens are made by default, and mailScope what a
// service account asks for: both are nodemailer's defaults, Google's.
const (
	googleTokens = "https://oauth2.googleapis.com/token" //nolint:gosec // an address
	mailScope    = "https://mail.google.com/"
)

// tokens hands out access tokens, and renews them, one call at a time.
type tokens struct {
	auth Auth
	now  func() time.Time
	http http.RoundTripper

	lock    chan struct{} // holds one value while somebody looks
	token   *oauth2.Token
	refresh string // a server may replace the refresh token by each answer
}

func newTokens(a Auth, now func() time.Time) *tokens {
	t := &tokens{
		auth: a, now: now, lock: make(chan struct{}, 1), refresh: a.RefreshToken.Reveal(),
		http: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSHandshakeTimeout: DefaultTimeout,
			DisableKeepAlives:   true, // a token lasts an hour
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

// early is how long before its end a token is renewed.
const early = 30 * time.Second

// get returns an access token other than rejected, which a server has refused;
// a new one where there is none or it has expired. fresh tells that it was made
// just now.
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

// source asks once, with the call's own context.
func (t *tokens) source(ctx context.Context) oauth2.TokenSource {
	client := &http.Client{
		Transport: within{ctx, t.http},
		// A redirect would carry a secret to where nobody asked for it.
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

// within gives each request the call's context: the jwt package sends without.
type within struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the call
	next http.RoundTripper
}

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.next.RoundTrip(r.WithContext(w.ctx))
}

// error classes what came in place of a token: no mail has begun. Neither the
// answer's body nor the request's URL is repeated.
func (t *tokens) error(ctx context.Context, err error) *sender.Error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		e := &sender.Error{Class: sender.Unavailable, Code: codeToken, Detail: "no access token: the server that makes them can't be reached, or its answer can't be read"}
		if ctx.Err() != nil {
			e.Code, e.Detail = codeTimeout, "no access token came in time"
		}
		return e
	}
	e := &sender.Error{Class: sender.AccountDown, Code: codeToken, Detail: "the server that makes access tokens refused: " + answer.Response.Status}
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
	switch status := answer.Response.StatusCode; {
	case status == http.StatusTooManyRequests:
		e.Class = sender.Throttled
	case status >= 500 || status < 400 && code == "" || code == "temporarily_unavailable":
		e.Class = sender.Unavailable
	}
	return e
}

// oauthWord keeps of an answer's error what RFC 6749, 5.2 names.
func oauthWord(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"access_denied", "temporarily_unavailable":
		return code
	}
	return ""
}
